"""While a fence holds nothing is snapshotted, and nothing that one touches sets out."""

from coalescer_machine import Machine, name_of, snapshot

from farshore.errors import RetryClass
from farshore_coalescer.apply import apply
from farshore_coalescer.decide import is_held
from farshore_coalescer.fences import Raised
from farshore_coalescer.messages import (
    Began,
    DeleteFailed,
    DeleteSnapshot,
    HeadSeen,
    NoSlot,
    SlotFreed,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
)
from farshore_coalescer.state import Extent, Rules
from farshore_coalescer.why import why_behind


def takes(machine: Machine) -> list[int]:
    return [action.cover for action in machine.decide() if isinstance(action, TakeSnapshot)]


def starts(machine: Machine) -> list[str]:
    return [action.snapshot for action in machine.decide() if isinstance(action, StartTransfer)]


def test_neither_max_wait_nor_urgent_events_break_a_fence() -> None:
    machine = Machine("fra", rules=Rules(max_wait=1.0)).idle(snapshot(5))
    machine.raise_fence(6, limit=600.0)
    machine.push_and_settle(7, urgent=True)
    machine.later(30.0)
    assert takes(machine) == []
    assert "fence gc" in (why_behind(machine.state, machine.state.replica("fra"), machine.now) or "")
    machine.lift_fence(8)
    machine.later(1.0)
    assert takes(machine) == [8]


def test_a_fence_lets_go_after_its_limit_and_what_was_behind_it_goes() -> None:
    machine = Machine("fra").idle(snapshot(5))
    machine.raise_fence(6, limit=60.0)
    machine.later(59.0)
    assert takes(machine) == []
    machine.later(1.0)
    assert takes(machine) == [6]


def test_two_fences_hold_as_long_as_one_of_them_does() -> None:
    machine = Machine("fra").idle(snapshot(5))
    machine.raise_fence(6, "a")
    machine.raise_fence(7, "b")
    machine.lift_fence(8, "a")
    machine.lift_fence(9, "a")
    machine.later(1.0)
    assert takes(machine) == []
    machine.lift_fence(10, "b")
    machine.later(1.0)
    assert takes(machine) == [10]


def test_a_fence_is_held_only_once_the_snapshot_under_way_is_known() -> None:
    machine = Machine("fra").idle(snapshot(5))
    machine.push_and_settle(6)
    assert takes(machine) == [6]
    machine.raise_fence(7)
    assert not is_held(machine.state, machine.now)
    machine.see(SourceFailed(RetryClass.RETRY_SOON, "the reply was lost"))
    assert not is_held(machine.state, machine.now)
    machine.later(1.0)
    machine.decide()
    machine.see(SourceRead((snapshot(5),)))
    assert is_held(machine.state, machine.now)


def test_a_snapshot_that_was_done_only_after_the_fence_was_raised_never_sets_out() -> None:
    machine = Machine("fra").idle(snapshot(5))
    machine.push_and_settle(6)
    assert takes(machine) == [6]
    machine.raise_fence(7)
    machine.see(SnapshotTaken(snapshot(6)))
    assert starts(machine) == []
    machine.lift_fence(8)
    machine.later(1.0)
    assert takes(machine) == [8]
    machine.see(SnapshotTaken(snapshot(8)))
    assert starts(machine) == [name_of(8)]


def test_a_snapshot_known_before_the_fence_may_still_set_out() -> None:
    machine = Machine("fra").idle(snapshot(5))
    machine.push_and_settle(6)
    machine.decide()
    machine.see(SnapshotTaken(snapshot(6)))
    machine.raise_fence(7)
    assert starts(machine) == [name_of(6)]


def test_a_snapshot_that_is_being_deleted_takes_the_place_of_none_that_a_fence_touches() -> None:
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(5))
    machine.push_and_settle(6)
    machine.decide()
    machine.see(SnapshotTaken(snapshot(6, 2)))
    machine.see(NoSlot("fra"))
    machine.push_and_settle(7)
    machine.see(SlotFreed("fra"))
    assert takes(machine) == [7]
    fence = Raised(7, "gc", 60.0)
    for observation in (  # one after the other, before the log is read behind the snapshot
        SnapshotTaken(snapshot(7, 3)),
        Began(DeleteSnapshot(snapshot(6, 2))),
        HeadSeen(Extent(8, 8), (fence,)),
    ):
        machine.state = apply(machine.state, observation, machine.now)
    machine.log.append(fence)
    assert starts(machine) == []
    machine.see(DeleteFailed(snapshot(6, 2).uuid))
    assert starts(machine) == [name_of(6, 2)]


def test_a_restart_finds_the_fence_in_the_log_and_trusts_no_snapshot_before_it() -> None:
    machine = Machine("fra", head=9)
    before = Machine("fra")
    before.raise_fence(8)
    machine.log = before.log
    machine.idle(snapshot(5), source=(snapshot(5), snapshot(6)))
    machine.later(1.0)
    assert (takes(machine), starts(machine)) == ([], [])
    assert is_held(machine.state, machine.now)


def test_a_snapshot_beyond_a_fence_says_that_it_is_over() -> None:
    machine = Machine("fra", head=12)
    before = Machine("fra")
    before.raise_fence(8)
    machine.log = before.log
    machine.idle(snapshot(10))
    machine.later(1.0)
    assert takes(machine) == [12]
