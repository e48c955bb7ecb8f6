"""What a plan says of a world, without any cluster."""

from dataclasses import replace
from pathlib import Path

import pytest
from planned_worlds import EXAMPLES, SIZE, at, empty_world, example, finished, relationship, volume

from farshore.ontap.model import Policy, TransferState
from farshore.topology import load_topology
from farshore_cli.applying.destroy import destruction, replica_named
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.plan import plan, upstream_first
from farshore_cli.applying.show import plan_lines
from farshore_cli.applying.steps import Consequence, Kind


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_planned_from_empty_svms(path: Path) -> None:
    topology = load_topology(path)
    found = plan(topology, empty_world(topology), SIZE)
    assert not found.differences
    replicas = sum(len(registry.replicas) for registry in topology.registries.values())
    kinds = [step.kind for step in found.steps]
    assert kinds.count(Kind.CREATE_VOLUME) == replicas + len(topology.registries)
    assert kinds.count(Kind.CREATE_RELATIONSHIP) == kinds.count(Kind.INITIALISE) == replicas
    assert all(step.waits for step in found.steps if "<uuid" in step.path)
    assert len(list(plan_lines(found))) == 2 * len(found.steps) + 1


def test_a_cascade_goes_upstream_first_whatever_the_order_in_the_file() -> None:
    topology = example("cascade")
    registry = topology.registries["main"]
    backwards = registry.model_copy(update={"replicas": registry.replicas[::-1]})
    topology = topology.model_copy(update={"registries": {"main": backwards}})
    assert [one.name for one in upstream_first(topology)] == ["main.fra", "main.ams", "main.waw"]


def test_a_cascade_waits_for_the_baseline_above_it() -> None:
    topology = example("cascade")
    world = finished(topology)
    world["fra"] = replace(at(world, "fra"), relationships={"registry_main": relationship("uninitialized")})
    world["ams"] = replace(at(world, "ams"), relationships={})
    waits = {step.subject: step.waits for step in plan(topology, world, SIZE).steps if step.method == "POST"}
    assert waits == {"relationship main.ams": "the baseline of main.fra"}


def test_a_finished_world_needs_nothing() -> None:
    topology = example("cascade")
    found = plan(topology, finished(topology), SIZE)
    assert not found.pending
    assert not found.differences
    assert list(plan_lines(found)) == ["nothing to do: all is as the topology says"]


@pytest.mark.parametrize("state", ["paused", "broken_off", "out_of_sync", "unknown"])
def test_a_relationship_in_any_other_state_is_for_a_person(state: str) -> None:
    topology = example("cascade")
    world = finished(topology)
    world["waw"] = replace(at(world, "waw"), relationships={"registry_main": relationship(state)})
    found = plan(topology, world, SIZE)
    assert not found.steps
    assert [one.consequence for one in found.differences] == [Consequence.BLOCKED]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"volumes": {"registry_main": volume("rw")}}, "it is of type rw, not dp"),
        ({"volumes": {"registry_main": replace(volume("dp"), state="offline")}}, "it is offline"),
        ({"relationships": {"registry_main": relationship(source="other:volume")}}, "its source is other:volume"),
        (
            {"relationships": {"registry_main": replace(relationship(), source_cluster="elsewhere")}},
            "its source is at elsewhere",
        ),
        ({"policy": Policy("p", "farshore", True, False)}, "it doesn't copy all source snapshots"),
        ({"relationships": {}, "peers": frozenset()}, "svm_registry of cluster-ams isn't peered"),
        ({"volumes": {}, "relationships": {}, "aggregate": None}, "it isn't there, and the SVM has no aggregate"),
    ],
)
def test_what_only_a_person_can_settle_is_said(change: dict[str, object], found: str) -> None:
    topology = example("cascade")
    world = finished(topology)
    world["waw"] = replace(at(world, "waw"), **change)  # type: ignore[arg-type]
    blocked = [one for one in plan(topology, world, SIZE).differences if one.consequence is Consequence.BLOCKED]
    assert [one.found for one in blocked if one.found.startswith(found)]


def test_an_unseen_cluster_gets_no_call_and_those_behind_it_wait() -> None:
    topology = example("cascade")
    world = empty_world(topology) | {"nyc": Unseen("no answer")}
    found = plan(topology, world, SIZE)
    assert not [step for step in found.steps if step.site == "nyc"]
    assert {
        step.waits for step in found.steps if step.subject == "relationship main.fra" and step.method == "POST"
    } == {"the cluster of nyc"}
    assert found.has(Consequence.UNKNOWN)


def test_only_a_replica_that_feeds_nobody_is_destroyed() -> None:
    topology = example("cascade")
    world = finished(topology)
    last, middle = replica_named(topology, "main.waw"), replica_named(topology, "main.fra")
    assert last is not None
    assert middle is not None
    assert replica_named(topology, "main.nyc") is None
    kinds = [step.kind for step in destruction(topology, world, last).steps]
    assert kinds == [Kind.DELETE_RELATIONSHIP, Kind.UNMOUNT_VOLUME, Kind.DELETE_VOLUME]
    assert len(destruction(topology, world, last).ready) == 1
    assert not destruction(topology, world, middle).steps
    running = replace(relationship(), transfer_state=TransferState.TRANSFERRING)
    for change in (
        {"volumes": {"registry_main": volume("rw")}},
        {"relationships": {"registry_main": relationship(source="other:volume")}},
        {"relationships": {"registry_main": running}},
    ):
        changed = world | {"waw": replace(at(world, "waw"), **change)}
        assert not destruction(topology, changed, last).steps
        assert destruction(topology, changed, last).has(Consequence.BLOCKED)
