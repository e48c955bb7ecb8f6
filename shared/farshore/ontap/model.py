"""What an ONTAP cluster tells, as frozen objects. Sizes are bytes, times are aware, by the cluster's clock.

Fields and their meaning: ONTAP REST 9.14, `cluster`, `storage/volumes`, `storage/volumes/{uuid}/snapshots`,
`snapmirror/relationships`, `snapmirror/relationships/{uuid}/transfers`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TransferState(StrEnum):
    """Where a transfer stands. `UNKNOWN` is any word that a newer ONTAP may have invented."""

    QUEUED = "queued"
    TRANSFERRING = "transferring"
    SUCCESS = "success"
    FAILED = "failed"
    ABORTED = "aborted"
    HARD_ABORTED = "hard_aborted"
    UNKNOWN = "unknown"


class RelationshipState(StrEnum):
    """Where a relationship stands. `UNKNOWN` is any word that a newer ONTAP may have invented."""

    UNINITIALIZED = "uninitialized"
    SNAPMIRRORED = "snapmirrored"
    PAUSED = "paused"
    BROKEN_OFF = "broken_off"
    IN_SYNC = "in_sync"
    OUT_OF_SYNC = "out_of_sync"
    SYNCHRONIZING = "synchronizing"
    UNKNOWN = "unknown"


class JobState(StrEnum):
    """Where a job stands. `UNKNOWN` is any word that a newer ONTAP may have invented."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """Which cluster answers."""

    name: str
    version: str
    """Human-readable, for instance `NetApp Release 9.14.1`."""
    uuid: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Disks that volumes lie on."""

    name: str
    available: int
    """Bytes that are free."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of one SVM."""

    uuid: str
    name: str
    svm: str
    type: str
    """`rw`, or `dp` for a SnapMirror destination."""
    state: str
    """`online`, or why it can't serve: `offline`, `restricted`, `error`, …"""
    junction_path: str | None
    """Where clients of the SVM find it; None while it isn't mounted."""
    size: int
    used: int
    """Bytes that its content takes at rest, after deduplication and compression."""
    logical_used: int | None
    """Bytes of content before storage efficiency; None where the cluster doesn't say."""
    dedupe: str | None = None
    """Deduplication at rest: `background`, `inline`, `both`, `mixed`, `none`; None where the cluster doesn't say."""
    compression: str | None = None
    """Compression at rest, in the same words."""

    @property
    def content_bytes(self) -> int:
        """Bytes of content before storage efficiency: about what a baseline has to send."""
        return self.used if self.logical_used is None else self.logical_used


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of one volume."""

    name: str
    uuid: str
    """Its own on every volume: a copy of it at a destination has another one."""
    version_uuid: str
    """The same on every copy of the snapshot: what proves that two snapshots are one."""
    create_time: datetime
    """By the clock of the cluster on which it was taken, also on copies."""
    owners: tuple[str, ...]
    """Who holds it; a snapshot with an owner is the base of a relationship and can't be deleted."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One run of SnapMirror on a relationship."""

    uuid: str
    state: TransferState
    snapshot: str | None
    """Name of the snapshot that is being transferred; None while ONTAP hasn't said."""
    bytes_transferred: int
    """What crossed the network."""
    network_compression_ratio: str | None
    """For instance `2.4:1`; only while the transfer is active."""
    end_time: datetime | None
    error_code: int | None
    error_message: str | None

    @property
    def active(self) -> bool:
        """Whether it holds the relationship: no other transfer can start. A state that isn't known counts while
        the transfer has no end."""
        if self.state is TransferState.UNKNOWN:
            return self.end_time is None
        return self.state in (TransferState.QUEUED, TransferState.TRANSFERRING)


@dataclass(frozen=True, slots=True)
class Relationship:
    """A SnapMirror relationship, as its destination's cluster tells it."""

    uuid: str
    state: RelationshipState
    healthy: bool
    unhealthy_reasons: tuple[str, ...]
    source_path: str
    """`svm:volume`."""
    destination_path: str
    """`svm:volume`."""
    exported_snapshot: str | None
    """Name of the snapshot that clients of the destination see; None before the baseline."""
    lag_seconds: float | None
    """Time since the exported snapshot was created; None before the baseline."""
    transfer_uuid: str | None
    """The active transfer; None when there is none."""
    transfer_state: TransferState | None
    """State of the active transfer, or how the last one ended; None before the first."""
    policy: str | None = None
    """Name of its policy; None where the cluster doesn't say."""
    source_cluster: str | None = None
    """The source's cluster, by its name here; None where the cluster doesn't say."""

    @property
    def established(self) -> bool:
        """Whether it has its baseline and takes updates."""
        return self.state in (RelationshipState.SNAPMIRRORED, RelationshipState.IN_SYNC)

    @property
    def transferring(self) -> bool:
        """Whether a transfer holds it."""
        return self.transfer_state in (TransferState.QUEUED, TransferState.TRANSFERRING)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a relationship transfers."""

    uuid: str
    name: str
    network_compression: bool
    copy_all_source_snapshots: bool
    """Whether a plain update sends every source snapshot that is newer than the common one."""


@dataclass(frozen=True, slots=True)
class EmsDestination:
    """Where a cluster posts its events."""

    name: str
    url: str
    filters: tuple[str, ...]
    """Names of the EMS filters that choose what is posted."""


@dataclass(frozen=True, slots=True)
class Job:
    """An asynchronous piece of work; gone about 300 seconds after its end."""

    uuid: str
    state: JobState
    message: str | None
    code: int | None
    """Error code; None or 0 when nothing failed."""

    @property
    def finished(self) -> bool:
        """Whether it ended, well or not."""
        return self.state in (JobState.SUCCESS, JobState.FAILURE)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another cluster or SVM that this one knows."""

    uuid: str
    name: str
    state: str
    """`available` (cluster peer) or `peered` (SVM peer) when it can be used."""
    applications: tuple[str, ...]
    """What it may be used for, for instance `snapmirror`; empty where the cluster doesn't say."""
    local_svm: str | None = None
    """The SVM on this side; None for a cluster peer."""
    cluster: str | None = None
    """The cluster on the far side of an SVM peer, by its name here; None for a cluster peer."""

    @property
    def usable(self) -> bool:
        """Whether SnapMirror can run through it now."""
        return self.state in ("available", "peered") and ("snapmirror" in self.applications or not self.applications)
