"""The storage of `farshore site add` and `remove`, killed at every call, on simulated clusters."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from applied import Killed, Watching, everything, topology_document, written
from simulators import Simulator, start_simulators

from farshore.topology import Topology, load_topology
from farshore_cli.applying.facts import World
from farshore_cli.applying.plan import plan
from farshore_cli.applying.run import execute, look, outcome_code
from farshore_cli.applying.steps import Plan
from farshore_cli.sites.plan import arrival, departure

pytestmark = pytest.mark.integration

SITES, LEAVING, SIZE = ("nyc", "fra", "syd"), "syd", 1 << 30


@pytest.fixture
def simulators(tmp_path: Path) -> Iterator[dict[str, Simulator]]:
    with start_simulators(tmp_path, SITES) as simulators:
        yield simulators


async def killed_at_every_call(topology: Topology, planner: Callable[[World], Plan]) -> list[str]:
    """What was called in all. Each run dies at its first call, one when its answer is there, the next before it
    leaves."""
    answered: list[str] = []
    for number in range(60):
        watching = Watching(("done", "…")[number % 2])
        try:
            outcome = await execute(topology, planner, watching, 300)
        except Killed:
            answered += [line for line in watching.lines if line.endswith(": done")]
        else:
            break
    assert outcome_code(outcome) == 0, (outcome.failures, outcome.plan)
    return answered


async def test_a_site_that_leaves_and_comes_back_is_killed_at_every_call_and_nothing_is_left_over_or_doubled(
    simulators: dict[str, Simulator], tmp_path: Path
) -> None:
    topology = load_topology(Path(written(topology_document(simulators, tmp_path / "token"), tmp_path / "file.yaml")))
    made = await execute(topology, lambda world: plan(topology, world, SIZE), Watching(), 300)
    assert outcome_code(made) == 0, (made.failures, made.plan)
    whole = everything(simulators)
    site = simulators[LEAVING]
    (relationship,) = site.request("GET", "/api/snapmirror/relationships")["records"]
    site.arm(kind="hold_transfer", destination=f"{site.svm}:main")
    site.request("POST", f"/api/snapmirror/relationships/{relationship['uuid']}/transfers", {})

    going = partial(departure, topology, site=LEAVING, delete_data=True)
    called = await killed_at_every_call(topology, going)
    assert [line.split()[0] for line in called] == ["abort", "pause", "delete", "unmount", "delete"], called
    assert (await look(topology, going)) == Plan()
    gone = everything(simulators)
    assert gone[f"{LEAVING} /api/storage/volumes"] == gone[f"{LEAVING} /api/snapmirror/relationships"] == []
    site.disarm()

    coming = partial(arrival, topology, site=LEAVING, volume_bytes=SIZE)
    called = await killed_at_every_call(topology, coming)
    assert {"create", "make"} & {line.split()[0] for line in called}, called
    assert (await look(topology, coming)) == Plan()
    back = everything(simulators)
    assert back == whole
