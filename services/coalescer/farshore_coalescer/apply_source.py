"""What is learned of the source volume: its snapshots, and what became of those asked for."""

from farshore.errors import RetryClass
from farshore_coalescer.backoff import spread, wait_seconds
from farshore_coalescer.messages import DeleteFailed, SnapshotDeleted, SnapshotTaken, SourceFailed, SourceRead
from farshore_coalescer.proof import proven_cover
from farshore_coalescer.state import Replica, SourceActivity, State

SOURCE_READ_SECONDS = 600.0
"""How often, at the least, the source's snapshots are read again although nothing asks for it."""


def source_read(state: State, read: SourceRead, now: float) -> State:
    source = state.source
    known_before = source.known_before
    if source.snapshots is None:
        known_before = max((s.cover for s in read.snapshots if s.cover is not None), default=-1)
    source = source.with_snapshots(read.snapshots)._replace(
        activity=SourceActivity.IDLE,
        known_before=known_before,
        read_at=now + spread(SOURCE_READ_SECONDS, f"source/{now}"),
        undeletable=frozenset(),
        clean=source.clean & {snapshot.uuid for snapshot in read.snapshots},
        unsure=False,
    )
    replicas = [_proved_anew(replica, proven_cover(read.snapshots, replica.exported)) for replica in state.replicas]
    state = state._replace(source=source, replicas=tuple(replicas))
    if state.seen.dirty <= state.covered():
        return _source_well(state)._replace(waiting_since=None)
    if not source.snapshot_failed:  # a refused snapshot isn't mended by a reading: it keeps its back-off
        state = _source_well(state)
    return state if state.waiting_since is not None else state._replace(waiting_since=now)


def _proved_anew(replica: Replica, proven: int) -> Replica:
    if proven == replica.proven:
        return replica
    return replica._replace(proven=proven, younger_than=replica.younger_than if replica.proven else -1.0)


def _source_well(state: State) -> State:
    return state._replace(source=state.source._replace(failures=0, snapshot_failed=False, trouble=None))


def snapshot_taken(state: State, taken: SnapshotTaken, now: float) -> State:
    others = tuple(s for s in state.source.snapshots or () if s.uuid != taken.snapshot.uuid)
    source = state.source.with_snapshots((*others, taken.snapshot))._replace(
        activity=SourceActivity.IDLE,
        began_at=state.source.asked_at,
        snapshot_at=now,
        unsure=False,
    )
    state = _source_well(state._replace(source=source))
    if state.seen.dirty <= state.covered():
        return state._replace(waiting_since=None)
    # what the snapshot doesn't cover had not settled when it was begun
    return state._replace(waiting_since=source.began_at - state.rules.settle)


def source_failed(state: State, failed: SourceFailed, now: float) -> State:
    failures = state.source.failures + 1
    snapshotting = state.source.activity is SourceActivity.SNAPSHOTTING
    source = state.source._replace(
        activity=SourceActivity.IDLE,
        failures=failures,
        snapshot_failed=state.source.snapshot_failed or snapshotting,
        look_at=now + wait_seconds(failed.retry, failures, "source"),
        trouble=failed.reason,
    )
    if snapshotting or failed.retry is RetryClass.REDISCOVER:  # the snapshot may be there all the same
        source = source._replace(read_at=now)
    return state._replace(source=source)


def snapshot_deleted(state: State, deleted: SnapshotDeleted, now: float) -> State:
    left = tuple(s for s in state.source.snapshots or () if s.uuid != deleted.uuid)
    return state._replace(source=state.source.with_snapshots(left)._replace(deleting=None))


def delete_failed(state: State, failed: DeleteFailed, now: float) -> State:
    return state._replace(
        source=state.source._replace(
            deleting=None,
            undeletable=state.source.undeletable | {failed.uuid},
        ),
    )


def read_source_again(state: State, now: float) -> State:
    return state._replace(source=state.source._replace(read_at=min(state.source.read_at, now)))
