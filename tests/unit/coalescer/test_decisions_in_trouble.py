"""What the coalescer decides when storage refuses, contradicts itself, or was changed by somebody else."""

from coalescer_machine import OWNER, Machine, name_of, named, snapshot

from farshore.errors import RetryClass
from farshore_coalescer.messages import (
    DeleteSnapshot,
    Publish,
    ReadReplica,
    ReadSource,
    ReplicaFailed,
    ReplicaRead,
    RunningTransfer,
    SnapshotDeleted,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Rules, Snapshot


def test_a_snapshot_that_a_person_named_like_ours_is_never_deleted() -> None:
    theirs = named("farshore-before-the-upgrade")
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(theirs, snapshot(9)))
    assert machine.decide() == []


def test_snapshots_of_a_former_incarnation_are_deleted_once_nobody_rests_on_them() -> None:
    former = named(Log("ffffffff", 2).snapshot_name(70, 7, OWNER))
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(former, snapshot(9)))
    assert machine.decide() == [DeleteSnapshot(former)]
    resting = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(former, snapshot(9)))
    resting.see(ReplicaRead("fra", former.id))
    assert not any(isinstance(action, DeleteSnapshot) for action in resting.decide())


def test_what_a_replica_was_sent_when_its_relationship_was_deleted_stays_at_the_source() -> None:
    """The transfer may have ended before: a resync then needs that snapshot, and ONTAP protects it no longer."""
    machine = Machine("fra", "syd", rules=Rules(keep=0))
    machine.idle(snapshot(5), source=(snapshot(3), snapshot(5), snapshot(8), snapshot(9)))
    machine.see(ReplicaRead("fra", snapshot(5).id, running=RunningTransfer("t1", name_of(8))))
    machine.see(ReplicaRead("syd", snapshot(9).id))
    for _ in range(2):
        machine.see(ReplicaFailed("fra", RetryClass.OPERATOR, "there is none"))
    assert _delete_all(machine) == [snapshot(3)]
    machine.see(ReplicaRead("fra", snapshot(9).id))
    assert _delete_all(machine) == [snapshot(5), snapshot(8)]


def _delete_all(machine: Machine) -> list[Snapshot]:
    """Every snapshot that the machine has deleted, one after the other, until it needs all that are left."""
    deleted = []
    while found := [action.snapshot for action in machine.decide() if isinstance(action, DeleteSnapshot)]:
        deleted += found
        machine.see(SnapshotDeleted(found[0].uuid))
    return deleted


def test_snapshots_that_are_refused_wait_longer_each_time_although_the_source_can_be_read() -> None:
    machine = Machine("fra").idle()
    machine.push_and_settle(1)
    waits = []
    for number in range(1, 7):
        assert TakeSnapshot(name_of(1, number), 1) in machine.decide()
        machine.see(SourceFailed(RetryClass.REDISCOVER, "it can't be done as things are"))
        waits.append(machine.state.source.look_at - machine.now)
        machine.later(waits[-1])
        assert machine.decide() == [ReadSource()]
        machine.see(SourceRead(()))
        assert machine.state.source.trouble is not None
    assert waits[-1] > 8 * waits[0]


def test_a_source_that_can_be_read_again_is_out_of_trouble() -> None:
    machine = Machine("fra")
    machine.decide()
    machine.see(SourceFailed(RetryClass.RETRY_SOON, "no answer"))
    machine.later(1)
    machine.decide()
    machine.see(SourceRead(()))
    assert machine.state.source.trouble is None


def test_transfers_that_end_well_but_bring_nothing_wait_longer_each_time() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    waits = []
    for number in range(6):
        assert StartTransfer("fra", name_of(3)) in machine.decide()
        machine.see(TransferStarted("fra", f"t{number}"))
        machine.later(0.02)
        assert ReadReplica("fra") in machine.decide()
        machine.see(ReplicaRead("fra", None))
        waits.append(machine.state.replica("fra").look_at - machine.now)
        machine.later(waits[-1])
        if ReadReplica("fra") in machine.decide():
            machine.see(ReplicaRead("fra", None))
    assert waits[-1] > 8 * waits[0]
    assert machine.state.replica("fra").trouble is not None


def test_a_snapshot_that_turns_out_to_be_no_younger_is_followed_by_another() -> None:
    """A former owner's request was carried out late: the replica exports cover 2, taken after cover 3."""
    machine = Machine("fra", head=3)
    machine.later(1)
    machine.idle(snapshot(2), source=(snapshot(3), snapshot(2)))
    for _ in range(2):
        assert machine.decide() == [StartTransfer("fra", name_of(3))]
        machine.see(ReplicaFailed("fra", RetryClass.REDISCOVER, "it is older than the base snapshot"))
        machine.later(1)
        machine.decide()
        machine.see(SourceRead((snapshot(3), snapshot(2))))
        machine.see(ReplicaRead("fra", snapshot(2).id))
    assert machine.decide() == [TakeSnapshot(name_of(3, 2), 3)]
    machine.see(SnapshotTaken(snapshot(3, 2)))
    assert StartTransfer("fra", name_of(3, 2)) in machine.decide()


def test_one_that_was_deleted_is_followed_by_one_of_another_name() -> None:
    """A request for the former one may still be under way, of this process or of one that was taken over."""
    machine = Machine("fra", head=8)
    machine.later(1)
    machine.idle(snapshot(3), source=(snapshot(3), snapshot(8)))
    for _ in range(2):
        assert StartTransfer("fra", name_of(8)) in machine.decide()
        machine.see(ReplicaFailed("fra", RetryClass.REDISCOVER, "the snapshot does not exist on the source volume"))
        machine.later(1)
        machine.decide()
        machine.see(ReplicaRead("fra", snapshot(3).id))
        machine.see(SourceRead((snapshot(3), snapshot(8))))
    machine.see(SourceRead((snapshot(3),)))
    assert [one for one in machine.decide() if isinstance(one, TakeSnapshot)] == [TakeSnapshot(name_of(8, 2), 8)]
    machine.see(SnapshotTaken(snapshot(8, 2)))
    assert StartTransfer("fra", name_of(8, 2)) in machine.decide()


def test_what_the_end_of_a_cascade_asks_for_in_vain_is_followed_by_another_all_the_way() -> None:
    """It holds another snapshot of that name, say; the hops before it have all that was announced."""
    machine = Machine("fra", "ams", "syd", head=8, upstream={"ams": "fra", "syd": "ams"})
    machine.later(1)
    machine.idle(snapshot(3), snapshot(8))
    machine.see(ReplicaRead("syd", snapshot(3).id))
    for _ in range(2):
        assert StartTransfer("syd", name_of(8)) in machine.decide()
        machine.see(ReplicaFailed("syd", RetryClass.REDISCOVER, "that name exists"))
        machine.later(1)
        machine.decide()
        machine.see(SourceRead((snapshot(3), snapshot(8))))
        machine.see(ReplicaRead("syd", snapshot(3).id))
    assert [one for one in machine.decide() if not isinstance(one, Publish)] == [TakeSnapshot(name_of(8, 2), 8)]
    machine.see(SnapshotTaken(snapshot(8, 2)))
    for site in ("fra", "ams", "syd"):
        assert [one for one in machine.decide() if isinstance(one, StartTransfer)] == [
            StartTransfer(site, name_of(8, 2))
        ]
        machine.see(TransferStarted(site, f"t-{site}"))
        machine.see(ReplicaRead(site, snapshot(8, 2).id))
    assert not any(isinstance(one, StartTransfer | TakeSnapshot) for one in machine.decide())


def test_a_replica_that_asks_for_a_snapshot_which_is_gone_has_the_source_read_again() -> None:
    machine = Machine("fra").idle(source=(snapshot(3),))
    machine.decide()
    machine.see(ReplicaFailed("fra", RetryClass.REDISCOVER, "the snapshot does not exist on the source volume"))
    assert ReadSource() in machine.decide()


def test_a_replica_that_was_resynchronised_to_an_older_snapshot_goes_forward_again() -> None:
    machine = Machine("fra").idle(snapshot(3), snapshot(9))
    machine.see(ReplicaRead("fra", snapshot(3).id))
    actions = machine.decide()
    assert StartTransfer("fra", name_of(9)) in actions
    assert not any(isinstance(action, Publish) for action in actions)
    assert machine.state.replica("fra").position == 9


def test_a_deletion_under_way_delays_no_snapshot() -> None:
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(snapshot(3), snapshot(9)))
    assert machine.decide() == [DeleteSnapshot(snapshot(3))]
    machine.push_and_settle(12)
    assert machine.decide() == [TakeSnapshot(name_of(12, 2), 12)]
    machine.see(SnapshotTaken(snapshot(12, 2)))
    assert machine.decide() == [StartTransfer("fra", name_of(12, 2))]
    machine.see(SnapshotDeleted(snapshot(3).uuid))
    assert [one.cover for one in machine.state.source.snapshots or ()] == [9, 12]


def test_a_snapshot_that_is_due_goes_ahead_of_clean_up() -> None:
    machine = Machine("fra", rules=Rules(keep=0)).idle(snapshot(9), source=(snapshot(3), snapshot(9)))
    machine.push_and_settle(12)
    assert machine.decide() == [TakeSnapshot(name_of(12, 2), 12)]


def test_a_relationship_of_a_cluster_that_is_back_after_long_is_not_looked_at_as_seldom_as_one_missing_for_long() -> (
    None
):
    machine = Machine("fra").idle()

    def fails(retry: RetryClass) -> float:
        machine.see(ReplicaFailed("fra", retry, "what is wrong"))
        wait = machine.state.replica("fra").look_at - machine.now
        machine.later(wait)
        assert ReadReplica("fra") in machine.decide()
        return wait

    away = [fails(RetryClass.RETRY_SOON) for _ in range(10)]
    missing = [fails(RetryClass.OPERATOR) for _ in range(5)]
    assert away[-1] >= 15
    assert missing == [4, 8, 16, 30, 30]
    assert fails(RetryClass.RETRY_SOON) < 1
