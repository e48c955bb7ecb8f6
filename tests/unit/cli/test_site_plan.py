"""What storage takes when a site comes or leaves, without any cluster."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from planned_worlds import at, empty_world, example, finished, relationship

from farshore.ontap.model import TransferState
from farshore_cli.applying.facts import SiteFacts, Unseen
from farshore_cli.applying.steps import Consequence, Kind
from farshore_cli.sites.plan import arrival, departure, replicas_at

SIZE = 1 << 40
VOLUME = "registry_main"


def with_relationship(world: Mapping[str, SiteFacts | Unseen], **changes: object) -> dict[str, SiteFacts | Unseen]:
    """The world with another relationship at waw."""
    changed = replace(relationship(), **changes)  # type: ignore[arg-type]
    return {**world, "waw": replace(at(world, "waw"), relationships={VOLUME: changed})}


def test_only_what_concerns_the_new_site_is_done_when_it_comes() -> None:
    topology = example("cascade")
    world = {**finished(topology), "waw": at(empty_world(topology), "waw")}
    world["fra"] = replace(at(world, "fra"), policy=None)  # somebody else's trouble
    found = arrival(topology, world, "waw", SIZE)
    assert {step.site for step in found.steps} == {"waw"}
    assert [step.kind for step in found.steps] == [
        Kind.CREATE_POLICY,
        Kind.CREATE_VOLUME,
        Kind.CREATE_RELATIONSHIP,
        Kind.INITIALISE,
        Kind.MOUNT_VOLUME,
    ]
    assert not found.differences


def test_a_relationship_is_paused_before_it_is_deleted_and_its_data_stays() -> None:
    topology = example("cascade")
    world = finished(topology)
    first = departure(topology, world, "waw", delete_data=False)
    assert [(step.kind, bool(step.waits)) for step in first.steps] == [
        (Kind.PAUSE, False),
        (Kind.DELETE_RELATIONSHIP, True),
    ]
    paused = departure(topology, with_relationship(world, state="paused"), "waw", delete_data=False)
    assert [(step.kind, bool(step.waits)) for step in paused.steps] == [(Kind.DELETE_RELATIONSHIP, False)]
    gone = departure(topology, {**world, "waw": replace(at(world, "waw"), relationships={})}, "waw", delete_data=False)
    assert not gone.pending


def test_the_volume_goes_only_when_that_is_said() -> None:
    topology = example("cascade")
    world = with_relationship(finished(topology), state="paused")
    kinds = [step.kind for step in departure(topology, world, "waw", delete_data=True).steps]
    assert kinds == [Kind.DELETE_RELATIONSHIP, Kind.UNMOUNT_VOLUME, Kind.DELETE_VOLUME]


def test_a_transfer_that_runs_is_aborted_first() -> None:
    topology = example("cascade")
    running = {"transfer_state": TransferState.TRANSFERRING, "transfer_uuid": "t"}
    found = departure(topology, with_relationship(finished(topology), **running), "waw", delete_data=False)
    assert [step.kind for step in found.ready] == [Kind.ABORT_TRANSFER]
    assert found.ready[0].path.endswith("/transfers/t")


@pytest.mark.parametrize(
    ("site", "found"),
    [("nyc", "it is the primary of main"), ("fra", "it feeds main.ams"), ("ams", "it feeds main.waw")],
)
def test_a_site_that_others_need_does_not_go(site: str, found: str) -> None:
    topology = example("cascade")
    plan = departure(topology, finished(topology), site, delete_data=True)
    assert not plan.steps
    assert [(one.found.split(",")[0], one.consequence) for one in plan.differences] == [(found, Consequence.BLOCKED)]


def test_an_unseen_cluster_gets_no_call() -> None:
    topology = example("cascade")
    plan = departure(topology, {**finished(topology), "waw": Unseen("no answer")}, "waw", delete_data=True)
    assert (plan.steps, plan.has(Consequence.UNKNOWN)) == ((), True)
    assert [one.name for one in replicas_at(topology, "waw")] == ["main.waw"]
