"""What the decisions ask for (actions) and what they learn (observations)."""

from dataclasses import dataclass

from farshore.errors import RetryClass
from farshore_coalescer.fences import Change
from farshore_coalescer.state import Extent, Snapshot, SnapshotId

# --- actions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadSource:
    """List the source volume's snapshots. Answered by SourceRead or SourceFailed."""


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Take a source snapshot of this name. Answered by SnapshotTaken or SourceFailed."""

    name: str
    cover: int


@dataclass(frozen=True, slots=True)
class DeleteSnapshot:
    """Delete a source snapshot that nothing needs. Answered by SnapshotDeleted or DeleteFailed."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class ReadReplica:
    """Read relationship, transfers and destination's snapshots. Answered by ReplicaRead or ReplicaFailed."""

    site: str


@dataclass(frozen=True, slots=True)
class StartTransfer:
    """Start a transfer of this snapshot. Answered by TransferStarted, NoSlot or ReplicaFailed."""

    site: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish arrivals of the events in [start, end) and move the position. Answered by Published, or PublishFailed.

    Answered once for each committed chunk; `proof` is the exported snapshot, `transfer` what brought it where known.
    """

    site: str
    start: int
    end: int
    proof: SnapshotId
    transfer: str | None


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the log's fences from `start` to where it ends by then. Answered by LogRead or LogFailed."""

    start: int


Action = ReadSource | TakeSnapshot | DeleteSnapshot | ReadReplica | StartTransfer | Publish | ReadLog

# --- observations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """The shell has taken up an action; always applied before the action's answer."""

    action: Action


@dataclass(frozen=True, slots=True)
class HeadSeen:
    """The log reaches this far; `dirty` and `urgent` are 0 where there was no such event since the last time.

    `fences` are those of the records since the last time.
    """

    extent: Extent
    fences: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRead:
    """All fences in [start, end); the log ended at `end` after it was asked for."""

    start: int
    end: int
    fences: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class LogFailed:
    """The log could not be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class PositionRead:
    """The committed position of a relationship's consumer group; the log's beginning where there is none."""

    site: str
    position: int


@dataclass(frozen=True, slots=True)
class SourceRead:
    """All snapshots of the source volume."""

    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The snapshot exists on the source."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A reading or snapshot of the source did not work."""

    retry: RetryClass
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotDeleted:
    """The snapshot is gone."""

    uuid: str


@dataclass(frozen=True, slots=True)
class DeleteFailed:
    """The snapshot could not be deleted (yet)."""

    uuid: str


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """A transfer that is under way; `snapshot` is None where ONTAP doesn't say."""

    uuid: str
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class ReplicaRead:
    """What a relationship and its destination volume say.

    `exported` is what clients of the destination see. `running` is the transfer under way. `failed` is why the transfer
    that was being watched ended badly, with its class. `refusing` is why the relationship takes no transfers at all
    (paused, broken off, uninitialised).
    """

    site: str
    exported: SnapshotId | None
    running: RunningTransfer | None = None
    failed: tuple[RetryClass, str] | None = None
    refusing: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaFailed:
    """A reading or a start did not work."""

    site: str
    retry: RetryClass
    reason: str


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The transfer is under way."""

    site: str
    transfer: str


@dataclass(frozen=True, slots=True)
class NoSlot:
    """The replica's cluster has as many transfers as it may have; SlotFreed follows."""

    site: str


@dataclass(frozen=True, slots=True)
class SlotFreed:
    """The replica may try again."""

    site: str


@dataclass(frozen=True, slots=True)
class Published:
    """Arrivals before `position` are committed, with the position."""

    site: str
    position: int


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """Publication stopped short; `position` is what is known to be committed."""

    site: str
    position: int


Observation = (
    Began
    | HeadSeen
    | LogRead
    | LogFailed
    | PositionRead
    | SourceRead
    | SnapshotTaken
    | SourceFailed
    | SnapshotDeleted
    | DeleteFailed
    | ReplicaRead
    | ReplicaFailed
    | TransferStarted
    | NoSlot
    | SlotFreed
    | Published
    | PublishFailed
)
