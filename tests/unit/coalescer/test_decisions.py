"""What the coalescer decides, one claim at a time; whole lives are in tests/simulation."""

from coalescer_machine import Machine, name_of, named, snapshot

from farshore.errors import RetryClass
from farshore_coalescer.backoff import FINAL_SECONDS, FIRST_OPERATOR_SECONDS, OPERATOR_SECONDS
from farshore_coalescer.decide import next_wake
from farshore_coalescer.messages import (
    DeleteFailed,
    DeleteSnapshot,
    HeadSeen,
    NoSlot,
    PositionRead,
    Publish,
    Published,
    ReadReplica,
    ReadSource,
    ReplicaFailed,
    ReplicaRead,
    RunningTransfer,
    SlotFreed,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.state import Extent, Rules, SnapshotId


def begin_transfer(machine: Machine) -> None:
    """The first event of an idle machine is on its way to fra, as transfer t1."""
    machine.push_and_settle(1)
    machine.decide()
    machine.see(SnapshotTaken(snapshot(1)))
    machine.decide()
    machine.see(TransferStarted("fra", "t1"))


def test_everything_is_read_before_anything_is_done() -> None:
    machine = Machine("fra", "syd")
    assert machine.decide() == [ReadSource(), ReadReplica("fra"), ReadReplica("syd")]
    assert machine.decide() == []


def test_an_event_is_not_covered_before_it_has_settled() -> None:
    machine = Machine("fra").idle()
    machine.push(1)
    machine.later(0.249)
    assert machine.decide() == []
    machine.later(0.001)
    assert machine.decide() == [TakeSnapshot(name_of(1), 1)]


def test_the_machine_asks_to_be_woken_when_the_event_settles() -> None:
    machine = Machine("fra").idle()
    machine.push(1)
    assert next_wake(machine.state, machine.now) == machine.now + 0.25


def test_the_cover_ends_before_what_has_not_settled() -> None:
    machine = Machine("fra").idle()
    machine.push(1)
    machine.later(0.2)
    machine.push(5)
    machine.later(0.05)
    assert machine.decide() == [TakeSnapshot(name_of(1), 1)]


def test_events_of_other_registries_ask_for_no_snapshot() -> None:
    machine = Machine("fra").idle()
    machine.see(HeadSeen(Extent(7, 0, 0)))
    machine.later(1)
    assert machine.decide() == []


def test_all_idle_replicas_get_the_new_snapshot() -> None:
    machine = Machine("fra", "syd").idle()
    machine.push_and_settle(3)
    machine.decide()
    machine.see(SnapshotTaken(snapshot(3)))
    assert machine.decide() == [StartTransfer(site, name_of(3)) for site in ("fra", "syd")]


def test_while_all_replicas_are_busy_events_only_collect() -> None:
    machine = Machine("fra").idle()
    begin_transfer(machine)
    machine.push_and_settle(50)
    assert not any(isinstance(action, TakeSnapshot) for action in machine.decide())


def after_a_transfer_of(seconds: float) -> Machine:
    """A machine at rest whose replica's last transfer took so long."""
    machine = Machine("fra").idle()
    begin_transfer(machine)
    machine.later(seconds)
    machine.decide()
    machine.see(ReplicaRead("fra", snapshot(1).id))
    machine.later(100)
    machine.decide()
    return machine


def takes_a_snapshot(machine: Machine) -> bool:
    return any(isinstance(action, TakeSnapshot) for action in machine.decide())


def waited_in_a_stream(machine: Machine) -> float:
    """Seconds from the first event to the snapshot while events keep coming, each before the one before has settled."""
    machine.push(2)
    began, end = machine.now, 2
    while not takes_a_snapshot(machine):
        machine.later(0.125)
        end += 1
        machine.push(end)
        assert machine.now < began + 10
    return machine.now - began


def test_a_burst_goes_out_as_one_once_its_last_event_has_settled() -> None:
    machine = after_a_transfer_of(3.0)
    for end in range(2, 6):
        machine.push(end)
        machine.later(0.2)
        assert not takes_a_snapshot(machine)
    machine.later(0.05)
    assert machine.decide() == [TakeSnapshot(name_of(5, 2), 5)]


def test_a_stream_without_end_is_not_waited_for_longer_than_two_transfers() -> None:
    assert 0.75 < waited_in_a_stream(after_a_transfer_of(0.375)) <= 0.25 + 0.75


def test_one_long_transfer_makes_no_stream_of_small_pushes_wait_as_long() -> None:
    assert 3.0 < waited_in_a_stream(after_a_transfer_of(60.0)) <= 0.25 + 3.0


def test_what_collected_during_a_transfer_does_not_wait_for_a_burst_as_long_again() -> None:
    machine = Machine("fra").idle()
    begin_transfer(machine)
    machine.push(2)
    machine.later(3.0)
    machine.push(3)
    machine.decide()
    machine.see(ReplicaRead("fra", snapshot(1).id))
    machine.later(0.1)
    machine.push(4)
    machine.later(0.2)
    machine.decide()
    assert next_wake(machine.state, machine.now) == machine.now + 0.05


def test_one_busy_replica_does_not_keep_an_idle_one_waiting() -> None:
    machine = Machine("fra", "syd").idle()
    begin_transfer(machine)
    machine.see(TransferStarted("syd", "t2"))
    machine.push_and_settle(2)
    machine.decide()
    machine.see(ReplicaRead("fra", snapshot(1).id))
    machine.see(ReplicaRead("syd", None, running=RunningTransfer("t2", name_of(1))))
    assert TakeSnapshot(name_of(2, 2), 2) in machine.decide()


def test_a_slow_replica_skips_the_snapshots_in_between() -> None:
    machine = Machine("syd").idle(source=(snapshot(1), snapshot(4), snapshot(9)))
    assert StartTransfer("syd", name_of(9)) in machine.decide()


def test_min_interval_holds_snapshots_apart_but_not_urgent_ones() -> None:
    machine = Machine("fra", rules=Rules(min_interval=60, max_wait=120)).idle()
    machine.push_and_settle(1)
    machine.decide()
    machine.see(SnapshotTaken(snapshot(1)))
    machine.see(ReplicaRead("fra", snapshot(1).id))
    machine.push_and_settle(2)
    assert not any(isinstance(action, TakeSnapshot) for action in machine.decide())
    machine.push_and_settle(3, urgent=True)
    assert TakeSnapshot(name_of(3, 2), 3) in machine.decide()


def test_an_urgent_event_that_has_not_settled_hurries_nothing() -> None:
    machine = Machine("fra", rules=Rules(min_interval=60, max_wait=120)).idle(snapshot(1))
    machine.see(SnapshotTaken(snapshot(1)))
    machine.push_and_settle(2)
    machine.push(3, urgent=True)
    assert not any(isinstance(action, TakeSnapshot) for action in machine.decide())


def test_no_event_waits_longer_than_max_wait_even_while_all_are_busy() -> None:
    machine = Machine("fra", rules=Rules(max_wait=5)).idle()
    begin_transfer(machine)
    machine.push(2)
    machine.later(5)
    assert TakeSnapshot(name_of(2, 2), 2) in machine.decide()


def test_arrivals_are_published_up_to_what_is_proved() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.see(ReplicaRead("fra", snapshot(3).id))
    assert Publish("fra", 0, 3, snapshot(3).id, None) in machine.decide()


def test_a_snapshot_of_the_same_name_but_another_version_proves_nothing() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.see(ReplicaRead("fra", SnapshotId(name_of(3), "somebody else's")))
    assert not any(isinstance(action, Publish) for action in machine.decide())


def test_a_snapshot_of_somebody_else_proves_nothing_and_is_superseded_by_one_begun_after_it_was_seen() -> None:
    theirs = named("hourly")
    machine = Machine("fra").idle(snapshot(3), source=(snapshot(3), theirs))
    machine.push_and_settle(4)
    assert machine.decide() == [TakeSnapshot(name_of(4, 2), 4)]
    machine.later(1)
    machine.see(ReplicaRead("fra", theirs.id))  # whether before or after the snapshot was taken isn't known
    machine.see(SnapshotTaken(snapshot(4, 2)))
    assert machine.decide() == [TakeSnapshot(name_of(4, 3), 4)]
    machine.later(1)
    machine.see(SnapshotTaken(snapshot(4, 3)))
    assert StartTransfer("fra", name_of(4, 3)) in machine.decide()
    machine.see(TransferStarted("fra", "t1"))
    machine.see(ReplicaRead("fra", snapshot(4, 3).id))
    assert Publish("fra", 3, 4, snapshot(4, 3).id, "t1") in machine.decide()


def test_a_foreign_snapshot_on_a_volume_without_events_is_left_alone() -> None:
    theirs = named("hourly")
    machine = Machine("fra").idle(source=(theirs,))
    machine.see(ReplicaRead("fra", theirs.id))
    machine.later(100)
    assert machine.decide() == []


def test_a_running_transfer_is_adopted_and_not_started_again() -> None:
    machine = Machine("fra")
    machine.decide()
    machine.see(SourceRead((snapshot(3),)))
    machine.see(ReplicaRead("fra", None, running=RunningTransfer("t1", name_of(3))))
    assert not any(isinstance(action, StartTransfer) for action in machine.decide())
    machine.later(1)
    assert ReadReplica("fra") in machine.decide()


def test_arrivals_name_the_transfer_that_brought_them() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.decide()
    machine.see(TransferStarted("fra", "t1"))
    machine.later(1)
    machine.decide()
    machine.see(ReplicaRead("fra", snapshot(3).id))
    assert Publish("fra", 0, 3, snapshot(3).id, "t1") in machine.decide()


def test_refused_starts_wait_longer_each_time() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    waits = []
    for _ in range(5):
        assert StartTransfer("fra", name_of(3)) in machine.decide()
        machine.see(ReplicaFailed("fra", RetryClass.RETRY_SOON, "another transfer is in progress"))
        waits.append(machine.state.replica("fra").look_at - machine.now)
        machine.later(waits[-1])
        machine.decide()
        machine.see(ReplicaRead("fra", None))
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


def test_what_a_person_must_mend_is_looked_at_again_slowly() -> None:
    for retry, seconds in ((RetryClass.OPERATOR, FIRST_OPERATOR_SECONDS), (RetryClass.FINAL, FINAL_SECONDS)):
        machine = Machine("fra", "syd").idle(source=(snapshot(3),))
        machine.decide()
        machine.see(ReplicaFailed("fra", retry, "peering is gone"))
        machine.see(TransferStarted("syd", "t1"))
        machine.later(seconds - 1)
        assert ReadReplica("fra") not in machine.decide()
        machine.later(1)
        assert ReadReplica("fra") in machine.decide()


def test_a_paused_relationship_is_looked_at_ever_less_often() -> None:
    machine = Machine("fra").idle(snapshot(3))
    machine.later(600)
    waits = []
    for _ in range(6):
        assert ReadReplica("fra") in machine.decide()
        machine.see(ReplicaRead("fra", snapshot(3).id, refusing="paused"))
        waits.append(machine.state.replica("fra").look_at - machine.now)
        machine.later(waits[-1])
    assert waits == sorted(waits)
    assert waits[0] == FIRST_OPERATOR_SECONDS
    assert waits[-1] == OPERATOR_SECONDS


def test_a_full_cluster_makes_a_replica_wait_for_its_turn() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.decide()
    machine.see(NoSlot("fra"))
    machine.later(100)
    assert not any(isinstance(action, StartTransfer) for action in machine.decide())
    machine.see(SlotFreed("fra"))
    assert StartTransfer("fra", name_of(3)) in machine.decide()


def test_a_failed_snapshot_lets_replicas_go_on_with_the_newest_there_is() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.push_and_settle(5)
    assert machine.decide() == [TakeSnapshot(name_of(5, 2), 5)]
    machine.see(SourceFailed(RetryClass.OPERATOR, "too many snapshots"))
    assert StartTransfer("fra", name_of(3)) in machine.decide()


def test_a_cascade_takes_what_its_upstream_holds() -> None:
    machine = Machine("fra", "ams", upstream={"ams": "fra"}).idle(source=(snapshot(3), snapshot(8)))
    machine.see(ReplicaRead("fra", snapshot(3).id))
    actions = machine.decide()
    assert StartTransfer("fra", name_of(8)) in actions
    assert StartTransfer("ams", name_of(3)) in actions


def test_each_hop_takes_what_the_one_before_holds() -> None:
    machine = Machine("fra", "ams", "syd", upstream={"ams": "fra", "syd": "ams"})
    machine.idle(source=(snapshot(3), snapshot(8)))
    machine.see(ReplicaRead("fra", snapshot(8).id))
    machine.see(ReplicaRead("ams", snapshot(3).id))
    actions = machine.decide()
    assert StartTransfer("ams", name_of(8)) in actions
    assert StartTransfer("syd", name_of(3)) in actions


def test_what_the_end_of_a_cascade_rests_on_stays_at_the_source() -> None:
    machine = Machine("fra", "ams", upstream={"ams": "fra"}, rules=Rules(keep=0))
    machine.idle(source=(snapshot(3), snapshot(5), snapshot(8)))
    machine.see(ReplicaRead("fra", snapshot(8).id))
    machine.see(ReplicaRead("ams", snapshot(3).id))
    assert [action for action in machine.decide() if isinstance(action, DeleteSnapshot)] == [
        DeleteSnapshot(snapshot(5))
    ]


def test_until_a_replica_is_read_it_may_rest_on_what_its_position_has_passed() -> None:
    machine = Machine("fra", "ams", upstream={"ams": "fra"}, rules=Rules(keep=0))
    machine.decide()
    machine.see(SourceRead((snapshot(3), snapshot(8))))
    machine.see(PositionRead("fra", 9))
    machine.see(PositionRead("ams", 9))  # it moved on by other registries' events, far beyond what is exported
    machine.see(ReplicaRead("fra", snapshot(8).id))
    assert not any(isinstance(action, DeleteSnapshot) for action in machine.decide())


def test_snapshots_that_nothing_needs_are_deleted_one_by_one() -> None:
    machine = Machine("fra", rules=Rules(keep=1)).idle(snapshot(1), snapshot(2), snapshot(3), snapshot(9))
    deleted = machine.decide()
    assert deleted == [DeleteSnapshot(snapshot(1))]


def test_base_target_newest_and_kept_snapshots_stay() -> None:
    machine = Machine("fra", "syd", rules=Rules(keep=0)).idle(snapshot(5), source=(snapshot(5), snapshot(9)))
    machine.see(ReplicaRead("syd", snapshot(5).id, running=RunningTransfer("t1", name_of(9))))
    assert not any(isinstance(action, DeleteSnapshot) for action in machine.decide())


def test_snapshots_of_others_are_never_deleted() -> None:
    theirs = named("hourly.2026-11-24_0005")
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(theirs, snapshot(9)))
    assert machine.decide() == []


def test_what_a_replica_that_was_never_read_may_rest_on_stays() -> None:
    machine = Machine("fra", "syd", rules=Rules(keep=0))
    machine.decide()
    machine.see(SourceRead((snapshot(2), snapshot(5), snapshot(9))))
    machine.see(PositionRead("fra", 9))
    machine.see(PositionRead("syd", 4))
    machine.see(ReplicaRead("fra", snapshot(9).id))
    assert machine.decide() == [DeleteSnapshot(snapshot(2))]


def test_a_snapshot_that_cannot_be_deleted_does_not_keep_others_from_it() -> None:
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(1), snapshot(2), snapshot(9))
    machine.decide()
    machine.see(DeleteFailed(snapshot(1).uuid))
    assert machine.decide() == [DeleteSnapshot(snapshot(2))]


def test_a_position_follows_a_log_that_only_others_move() -> None:
    machine = Machine("fra").idle(snapshot(3))
    machine.push(3)
    machine.see(HeadSeen(Extent(40, 0, 0)))
    machine.later(11)
    assert Publish("fra", 3, 40, snapshot(3).id, None) in machine.decide()
    machine.see(Published("fra", 40))
    machine.later(11)
    assert machine.decide() == []


def test_an_unchanged_position_is_committed_again_before_kafka_forgets_it() -> None:
    machine = Machine("fra").idle(snapshot(3))
    machine.later(3600)
    assert Publish("fra", 3, 3, snapshot(3).id, None) in machine.decide()


def test_a_stream_of_events_does_not_keep_a_snapshot_from_setting_out() -> None:
    machine = Machine("fra").idle()
    machine.push_and_settle(1)
    assert machine.decide() == [TakeSnapshot(name_of(1), 1)]
    machine.push_and_settle(2)  # while the snapshot is being taken
    machine.see(SnapshotTaken(snapshot(1)))
    assert machine.decide() == [StartTransfer("fra", name_of(1))]


def test_a_replica_that_becomes_free_later_gets_a_newer_snapshot_and_holds_up_nobody() -> None:
    machine = Machine("fra", "syd").idle()
    machine.push_and_settle(1)
    machine.decide()
    machine.see(ReplicaRead("syd", None, running=RunningTransfer("t0", None)))
    machine.push_and_settle(2)
    machine.see(ReplicaRead("syd", None))
    machine.later(0.01)
    machine.see(SnapshotTaken(snapshot(1)))
    actions = machine.decide()
    assert StartTransfer("fra", name_of(1)) in actions
    assert TakeSnapshot(name_of(2, 2), 2) in actions
    assert not any(isinstance(action, StartTransfer) and action.site == "syd" for action in actions)


def test_a_replica_for_which_a_snapshot_has_been_begun_gets_no_older_one() -> None:
    machine = Machine("fra", "syd").idle()
    machine.push_and_settle(1)
    machine.decide()
    machine.see(ReplicaRead("syd", None, running=RunningTransfer("t0", None)))
    machine.push_and_settle(2)
    machine.see(ReplicaRead("syd", None))  # free while the first is being taken, so the next is for it
    machine.see(SnapshotTaken(snapshot(1)))
    assert TakeSnapshot(name_of(2, 2), 2) in machine.decide()
    machine.see(TransferStarted("fra", "t1"))
    for _ in range(3):
        machine.later(0.01)
        assert not any(isinstance(action, StartTransfer) for action in machine.decide())
    machine.see(SnapshotTaken(snapshot(2)))
    assert StartTransfer("syd", name_of(2)) in machine.decide()
