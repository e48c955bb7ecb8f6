"""`farshore plan`, `apply` and `destroy` on three simulated clusters that begin empty."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from applied import EVENTS, Killed, Watching, emptied, everything, topology_document, written
from farshore_command import end_of, farshore, start_farshore
from simulators import PASSWORD, Simulator, start_simulators
from waiting import wait_until

from farshore.topology import Topology, load_topology
from farshore_cli.applying.destroy import destruction, replica_named
from farshore_cli.applying.execute import Outcome
from farshore_cli.applying.facts import World
from farshore_cli.applying.plan import plan
from farshore_cli.applying.run import execute, look, outcome_code
from farshore_cli.applying.steps import Consequence, Kind, Plan

pytestmark = pytest.mark.integration

Simulators = dict[str, Simulator]
NOTHING = Plan()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulators]:
    with start_simulators(tmp_path_factory.mktemp("clusters"), ["nyc", "fra", "syd"]) as simulators:
        yield simulators


@pytest.fixture
def simulators(running: Simulators) -> Iterator[Simulators]:
    """Clusters with empty SVMs."""
    yield running
    emptied(running)


@pytest.fixture
def file(simulators: Simulators, tmp_path: Path) -> str:
    return written(topology_document(simulators, tmp_path / "token"), tmp_path / "topology.yaml")


@pytest.fixture
def topology(file: str) -> Topology:
    return load_topology(Path(file))


async def planned(topology: Topology) -> Plan:
    return await look(topology, lambda world: plan(topology, world, 1 << 30))


async def run(topology: Topology, screen: Watching | None = None, within: float = 300) -> Outcome:
    return await execute(topology, lambda world: plan(topology, world, 1 << 30), screen or Watching(), within)


async def applied(topology: Topology) -> None:
    outcome = await run(topology)
    assert outcome_code(outcome) == 0, (outcome.failures, outcome.plan)


async def destroyed(topology: Topology, name: str, screen: Watching | None = None) -> Outcome:
    one = replica_named(topology, name)
    assert one is not None

    def planner(world: World) -> Plan:
        return destruction(topology, world, one)

    return await execute(topology, planner, screen or Watching(), 300)


def break_off(simulator: Simulator) -> None:
    uuid = simulator.request("GET", "/api/snapmirror/relationships")["records"][0]["uuid"]
    path = f"/api/snapmirror/relationships/{uuid}?return_timeout=100"
    simulator.request("PATCH", path, {"state": "broken_off"})


def assert_nothing_is_doubled(simulators: Simulators) -> None:
    found = everything(simulators)
    for site, volumes in {"nyc": ["europe", "main"], "fra": ["europe", "main"], "syd": ["main"]}.items():
        assert sorted(one["name"] for one in found[f"{site} /api/storage/volumes"]) == volumes
        ours = [one for one in found[f"{site} /api/snapmirror/policies"] if one["name"] == "farshore"]
        assert len(ours) == len(found[f"{site} /api/support/ems/destinations"]) == 1
    transfers = {name: states for name, states in found.items() if " transfers to " in name}
    assert list(transfers.values()) == [[{"state": "success"}]] * 3, transfers


async def test_the_commands_make_a_distribution_of_empty_svms_by_the_planned_calls_and_no_others(
    simulators: Simulators, file: str
) -> None:
    async def told(*arguments: str) -> tuple[int, Any]:
        ended = await farshore(*arguments, "--output", "json")
        assert PASSWORD not in ended.out + ended.err
        assert ended.out, ended.err
        return ended.code, json.loads(ended.out)

    before = everything(simulators)
    code, wanted = await told("plan", file, "--detailed-exitcode")
    assert code == 3
    assert everything(simulators) == before
    code, result = await told("apply", file)
    assert (code, result["complete"], result["failures"]) == (0, True, [])

    def call(step: dict[str, Any]) -> tuple[str, str, str, str]:
        return step["site"], step["words"], step["method"], json.dumps(step["body"])

    assert sorted(map(call, result["done"])) == sorted(map(call, wanted["steps"]))
    after = everything(simulators)
    for site, volume, source in (("fra", "main", "nyc"), ("syd", "main", "fra"), ("nyc", "europe", "fra")):
        path = f"svm_{site}:{volume}"
        entries = after[f"{site} /api/snapmirror/relationships"]
        (found,) = [one for one in entries if one["destination"]["path"] == path]
        assert (found["source"]["path"], found["state"]) == (f"svm_{source}:{volume}", "snapmirrored")
        assert found["policy"]["name"] == "farshore"
    for site in simulators:
        assert all(one["nas"]["path"] == f"/{one['name']}" for one in after[f"{site} /api/storage/volumes"])
        (policy,) = [one for one in after[f"{site} /api/snapmirror/policies"] if one["name"] == "farshore"]
        assert policy["network_compression_enabled"]
        (events,) = after[f"{site} /api/support/ems/destinations"]
        assert events["destination"] == EVENTS
    (primary,) = [one for one in after["nyc /api/storage/volumes"] if one["type"] == "rw"]
    assert primary["efficiency"] == {"dedupe": "both", "compression": "both"}
    assert_nothing_is_doubled(simulators)
    nothing: dict[str, list[object]] = {"steps": [], "baselines": [], "differences": []}
    assert await told("plan", file, "--detailed-exitcode") == (0, nothing)
    assert (await told("apply", file))[1]["done"] == []
    assert everything(simulators) == after


async def test_killed_at_every_step_it_comes_to_the_same_end_and_doubles_nothing(
    simulators: Simulators, topology: Topology
) -> None:
    """Each run dies at its first call, one before it leaves, the next when its answer is there."""
    wanted = len((await planned(topology)).steps)
    answered = 0
    for number in range(4 * wanted):
        watching = Watching(dies_at=("done", "…")[number % 2])
        try:
            await run(topology, watching)
        except Killed:
            answered += number % 2 == 0
        else:
            break
    assert answered >= wanted // 3  # clusters work side by side: a run may make a call at each
    assert await planned(topology) == NOTHING
    assert_nothing_is_doubled(simulators)


async def test_the_process_killed_again_and_again_comes_to_the_same_end(
    simulators: Simulators, file: str, topology: Topology
) -> None:
    kills = 0
    while kills < 30:
        process = await start_farshore("apply", file)
        assert process.stdout is not None
        calls = 0
        async for line in process.stdout:
            calls += line.decode().rstrip().endswith(("…", "done")[kills % 2])
            if calls == 4:
                process.kill()
                kills += 1
                break
        else:
            assert (await end_of(process)).code == 0
            break
        await process.communicate()
    assert kills
    assert await planned(topology) == NOTHING
    assert_nothing_is_doubled(simulators)


async def test_lost_replies_and_refusals_that_pass_are_survived(simulators: Simulators, topology: Topology) -> None:
    for simulator in simulators.values():
        for method in ("POST", "PATCH"):
            simulator.arm(kind="drop_reply", method=method, times=2)
            simulator.arm(kind="refuse", method=method, status=503, times=1)
    await applied(topology)
    assert [simulator.armed() for simulator in simulators.values()] == [[], [], []]
    assert_nothing_is_doubled(simulators)


async def test_what_differs_is_shown_and_only_what_costs_no_data_is_changed(
    simulators: Simulators, topology: Topology
) -> None:
    await applied(topology)
    nyc, fra, syd = simulators["nyc"], simulators["fra"], simulators["syd"]

    def uuid(simulator: Simulator, path: str) -> str:
        return str(simulator.request("GET", path)["records"][0]["uuid"])

    main = uuid(nyc, "/api/storage/volumes?name=main")
    nyc.request("PATCH", f"/api/storage/volumes/{main}?return_timeout=100", {"efficiency": {"dedupe": "none"}})
    policy = uuid(fra, "/api/snapmirror/policies?name=farshore")
    fra.request("PATCH", f"/api/snapmirror/policies/{policy}", {"network_compression_enabled": False})
    moved = uuid(fra, "/api/storage/volumes?name=europe")
    fra.request("PATCH", f"/api/storage/volumes/{moved}?return_timeout=100", {"nas": {"path": "/elsewhere"}})
    nyc.request("PATCH", "/api/support/ems/destinations/farshore", {"destination": "http://127.0.0.1:8"})
    break_off(syd)
    (syd.export("main") / "written-after-a-failover").write_text("precious")

    found = await planned(topology)
    assert {one.subject: one.consequence for one in found.differences} == {
        "EMS destination farshore of cluster-nyc": Consequence.CHANGED,
        "volume svm_nyc:main": Consequence.CHANGED,
        "policy farshore of svm_fra": Consequence.CHANGED,
        "volume svm_fra:europe": Consequence.LEFT,
        "relationship main.syd": Consequence.BLOCKED,
    }
    assert [step.kind for step in found.steps] == [Kind.CHANGE_EVENTS, Kind.CHANGE_VOLUME, Kind.CHANGE_POLICY]
    outcome = await run(topology)
    assert outcome_code(outcome) == 1
    left = (await planned(topology)).differences
    assert {one.consequence for one in left} == {Consequence.LEFT, Consequence.BLOCKED}
    assert (syd.export("main") / "written-after-a-failover").read_text() == "precious"


async def test_a_dead_cluster_holds_no_other_up(simulators: Simulators, topology: Topology) -> None:
    simulators["syd"].stop()
    outcome = await run(topology)
    assert outcome_code(outcome) == 75
    assert [one.subject for one in outcome.plan.differences] == ["cluster of syd"]
    relationships = simulators["fra"].request("GET", "/api/snapmirror/relationships?fields=state")["records"]
    assert [one["state"] for one in relationships] == ["snapmirrored"]
    simulators["syd"].start()
    simulators["syd"].wait_ready()
    await applied(topology)


async def test_a_baseline_that_fails_says_why_and_the_next_run_goes_on(
    simulators: Simulators, topology: Topology
) -> None:
    fault = {"kind": "fail_transfer", "destination": "svm_fra:main", "code": 13303812, "message": "not peered"}
    simulators["fra"].arm(**fault)
    outcome = await run(topology)
    assert outcome_code(outcome) == 1
    (error,) = outcome.failures.values()
    assert str(error).startswith("initialise relationship main.fra: not peered")
    await applied(topology)


async def test_a_baseline_that_fails_by_what_passes_is_begun_again(simulators: Simulators, topology: Topology) -> None:
    fault = {"kind": "fail_transfer", "destination": "svm_fra:main", "code": 1638600, "message": "no such snapshot"}
    simulators["fra"].arm(**fault)
    await applied(topology)
    transfers = everything(simulators)["fra transfers to svm_fra:main"]
    assert sorted(one["state"] for one in transfers) == ["failed", "success"]


async def test_a_baseline_that_takes_long_is_shown_and_goes_on_without_us(
    simulators: Simulators, topology: Topology
) -> None:
    simulators["fra"].arm(kind="hold_transfer", destination="svm_fra:main")

    async def only_one_is_left() -> Outcome | None:
        outcome = await run(topology, within=5)  # on a quiet machine the rest is done in one
        return outcome if [one.relationship for one in outcome.plan.baselines] == ["main.fra"] else None

    outcome = await wait_until(only_one_is_left, 60, "all but the baseline that is held")
    assert outcome is not None
    assert (outcome.out_of_time, outcome_code(outcome)) == (True, 75)
    simulators["fra"].disarm()
    await applied(topology)
    assert_nothing_is_doubled(simulators)


async def test_a_replica_goes_only_by_its_name_and_a_source_never(
    simulators: Simulators, file: str, topology: Topology
) -> None:
    await applied(topology)
    before = everything(simulators)
    once = await farshore("destroy", file, "--replica", "main.syd")
    assert (once.code, "takes the replica's name" in once.err) == (2, True)
    assert replica_named(topology, "main.nyc") is None  # the primary
    refused = await destroyed(topology, "main.fra")
    assert [one.found for one in refused.plan.differences] == ["it feeds main.syd"]
    assert everything(simulators) == before

    for number in range(20):
        try:
            outcome = await destroyed(topology, "main.syd", Watching(dies_at=("done", "…")[number % 2]))
        except Killed:
            continue
        assert outcome_code(outcome) == 0
        break
    after = everything(simulators)
    assert after["syd /api/storage/volumes"] == after["syd /api/snapmirror/relationships"] == []
    assert {path: found for path, found in after.items() if "syd" not in path} == {
        path: found for path, found in before.items() if "syd" not in path
    }
    again = await farshore("destroy", file, "--replica", "main.syd", "--yes", "main.syd")
    assert (again.code, "it isn't there" in again.out) == (0, True)


async def test_a_replica_that_was_broken_off_is_not_destroyed(simulators: Simulators, topology: Topology) -> None:
    await applied(topology)
    break_off(simulators["syd"])
    before = everything(simulators)
    outcome = await destroyed(topology, "main.syd")
    assert outcome_code(outcome) == 1
    assert "this may be the only copy" in outcome.plan.differences[0].hint
    assert everything(simulators) == before
