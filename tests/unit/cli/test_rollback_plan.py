"""Where a replica can go back to, the calls for it, and which readiness that ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from planned_worlds import at, example, finished, relationship

from farshore.oci import Digest, Repository, Tag
from farshore.ontap.model import RelationshipState, Snapshot, TransferState
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.steps import Consequence, Kind, Plan
from farshore_cli.rolling.plan import LAST_VERIFIED, Seen, choose, going_back, letting_go, vanishes
from farshore_cli.sites.plan import replicas_at

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
TOPOLOGY = example("cascade")
(ONE,) = replicas_at(TOPOLOGY, "waw")
NAMES = [
    "farshore-0a1b2c3d-0-10-1-5e1f0c4a",
    "nightly",
    "farshore-0a1b2c3d-0-20-2-5e1f0c4a",
    "farshore-0a1b2c3d-0-30-3-5e1f0c4a",
]


def snapshots(*names: str) -> list[Snapshot]:
    return [
        Snapshot(name, f"uuid-{name}", f"version-{name}", BEGIN + timedelta(hours=NAMES.index(name)), ())
        for name in names
    ]


def seen(
    *here: str,
    source: list[str] | None = None,
    verified: tuple[str, ...] = tuple(NAMES),
    shown: str = NAMES[-1],
    state: str = "snapmirrored",
) -> Seen:
    found = replace(relationship(state), exported_snapshot=shown)
    names = here or tuple(NAMES)
    return Seen(found, snapshots(*names), snapshots(*(source or names)), {f"version-{name}" for name in verified})


def chosen(found: Snapshot | str) -> str:
    return found if isinstance(found, str) else found.name


def test_the_last_verified_is_the_newest_earlier_one_that_both_sides_have() -> None:
    assert chosen(choose(seen(), LAST_VERIFIED)) == NAMES[2]
    assert chosen(choose(seen(verified=(NAMES[0], NAMES[3])), LAST_VERIFIED)) == NAMES[0]
    assert chosen(choose(seen(source=[NAMES[0], NAMES[3]]), LAST_VERIFIED)) == NAMES[0]


def test_a_snapshot_can_be_named_verified_or_not() -> None:
    assert chosen(choose(seen(verified=()), NAMES[0])) == NAMES[0]


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [
        (seen(verified=()), LAST_VERIFIED, "no earlier snapshot that both sides have was verified"),
        (seen(), NAMES[3], "is no earlier snapshot of farshore's"),  # it is shown now
        (seen(), "nightly", "is no earlier snapshot of farshore's"),  # nobody knows what it covers
        (seen(source=[NAMES[3]]), NAMES[0], "there are: none"),  # no way back to the source from there
        (seen(shown="gone"), LAST_VERIFIED, "it exports no snapshot"),
        (seen(shown="nightly", state="broken_off"), LAST_VERIFIED, "it may have been written to"),
        (seen(shown=NAMES[0], state="broken_off"), NAMES[2], "release it first"),
    ],
)
def test_what_is_no_way_back_is_refused(found: Seen, wanted: str, reason: str) -> None:
    assert reason in chosen(choose(found, wanted))


@pytest.mark.parametrize("wanted", [LAST_VERIFIED, NAMES[0]])
def test_a_run_that_was_killed_behind_the_break_goes_on_to_the_same_snapshot(wanted: str) -> None:
    assert chosen(choose(seen(NAMES[0], shown=NAMES[0], state="broken_off"), wanted)) == NAMES[0]


def world(**changes: object) -> World:
    found = finished(TOPOLOGY)
    changed = replace(relationship(), **changes)  # type: ignore[arg-type]
    return {**found, "waw": replace(at(found, "waw"), relationships={"registry_main": changed})}


def kinds(plan: Plan) -> list[tuple[Kind, bool]]:
    return [(step.kind, bool(step.waits)) for step in plan.steps]


def test_back_is_abort_then_pause_then_break_and_no_call_once_it_is_there() -> None:
    running = world(transfer_state=TransferState.TRANSFERRING, transfer_uuid="t")
    assert kinds(going_back(running, ONE, NAMES[0])) == [(Kind.ABORT_TRANSFER, False)]
    found = going_back(world(), ONE, NAMES[0])
    assert kinds(found) == [(Kind.PAUSE, False), (Kind.BREAK_OFF, True)]
    assert found.steps[1].body == {"state": "broken_off", "restore_to_snapshot": NAMES[0]}
    assert kinds(going_back(world(state=RelationshipState.PAUSED), ONE, NAMES[0])) == [(Kind.BREAK_OFF, False)]
    assert going_back(world(state=RelationshipState.BROKEN_OFF), ONE, NAMES[0]) == Plan()


def test_it_is_let_go_by_a_resync_that_is_waited_for() -> None:
    broken = {"state": RelationshipState.BROKEN_OFF}
    assert kinds(letting_go(world(**broken), ONE)) == [(Kind.RESYNC, False)]
    running = letting_go(world(**broken, transfer_state=TransferState.TRANSFERRING, transfer_uuid="t"), ONE)
    assert (running.steps, len(running.baselines)) == ((), 1)
    assert letting_go(world(), ONE) == Plan()


@pytest.mark.parametrize(
    "planner", [lambda world: going_back(world, ONE, NAMES[0]), lambda world: letting_go(world, ONE)]
)
def test_what_is_not_there_or_not_seen_gets_no_call(planner: object) -> None:
    assert callable(planner)
    facts = finished(TOPOLOGY)["waw"]
    assert isinstance(facts, SiteFacts)
    for seen_there, consequence in (
        (Unseen("no answer"), Consequence.UNKNOWN),
        (replace(facts, relationships={}), Consequence.BLOCKED),
        (replace(facts, relationships={"registry_main": relationship("uninitialized")}), Consequence.BLOCKED),
    ):
        found = planner({**finished(TOPOLOGY), "waw": seen_there})
        assert not found.pending
        assert found.has(consequence)


@pytest.mark.parametrize(
    ("generation", "gone"),
    [
        ("0a1b2c3d-0-19", False),
        ("0a1b2c3d-0-20", True),  # a cover is exclusive
        ("0a1b2c3d-1-5", True),  # another log: nobody knows
        ("ffffffff-0-5", True),
        ("not-a-generation-at-all", True),
    ],
)
def test_what_the_snapshot_does_not_cover_vanishes(generation: str, gone: bool) -> None:
    statement = Readiness(
        state=ReadinessState.READY,
        event_id="e",
        registry="main",
        site="waw",
        repository=Repository("team/app"),
        digest=Digest.of(b"it"),
        tag=Tag("v1"),
        generation=generation,
        pushed_at=BEGIN,
        accepted_at=BEGIN,
        ready_at=BEGIN,
    )
    assert vanishes(statement, NAMES[2]) is gone
    assert vanishes(statement, "nightly")
