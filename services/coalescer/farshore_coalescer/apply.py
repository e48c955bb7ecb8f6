"""How each observation changes the state; what to do about it is decide.py's."""

from collections.abc import Callable
from typing import Any

from farshore_coalescer.apply_log import head_seen, log_failed, log_read, settle, to_check
from farshore_coalescer.apply_replica import (
    no_slot,
    position_read,
    publish_failed,
    published,
    replica_failed,
    replica_read,
    slot_freed,
    transfer_started,
    with_replica,
)
from farshore_coalescer.apply_source import delete_failed, snapshot_deleted, snapshot_taken, source_failed, source_read
from farshore_coalescer.messages import (
    Action,
    Began,
    DeleteFailed,
    DeleteSnapshot,
    HeadSeen,
    LogFailed,
    LogRead,
    NoSlot,
    Observation,
    PositionRead,
    Publish,
    Published,
    PublishFailed,
    ReadLog,
    ReadReplica,
    ReadSource,
    ReplicaFailed,
    ReplicaRead,
    SlotFreed,
    SnapshotDeleted,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.state import Activity, SourceActivity, State


def apply(state: State, observation: Observation, now: float) -> State:
    """The state after `observation`."""
    return _HANDLERS[type(observation)](state, observation, now)


def _began(state: State, began: Began, now: float) -> State:
    action: Action = began.action
    match action:
        case ReadReplica(site):
            return with_replica(state, site, activity=Activity.READING)
        case ReadSource():
            return state._replace(source=state.source._replace(activity=SourceActivity.READING))
        case TakeSnapshot():
            source = state.source._replace(
                activity=SourceActivity.SNAPSHOTTING, numbered=state.source.numbered + 1, asked_at=now, unsure=True
            )
            return settle(state, now)._replace(source=source)
        case DeleteSnapshot(unneeded):
            return state._replace(source=state.source._replace(deleting=unneeded.uuid))
        case ReadLog(start):
            return state._replace(reading=state.reading._replace(checking=to_check(state, start)))
        case StartTransfer(site, snapshot):
            return with_replica(state, site, activity=Activity.STARTING, target=snapshot)
        case Publish(site, _, end):
            return with_replica(state, site, publishing=end)


_HANDLERS: dict[type, Callable[[State, Any, float], State]] = {
    Began: _began,
    HeadSeen: head_seen,
    LogRead: log_read,
    LogFailed: log_failed,
    PositionRead: position_read,
    SourceRead: source_read,
    SnapshotTaken: snapshot_taken,
    SourceFailed: source_failed,
    SnapshotDeleted: snapshot_deleted,
    DeleteFailed: delete_failed,
    ReplicaRead: replica_read,
    ReplicaFailed: replica_failed,
    TransferStarted: transfer_started,
    NoSlot: no_slot,
    SlotFreed: slot_freed,
    Published: published,
    PublishFailed: publish_failed,
}
