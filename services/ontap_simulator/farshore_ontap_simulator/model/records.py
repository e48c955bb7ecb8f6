"""The records that a cluster keeps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen; `key` names it within its collection."""

    model_config = ConfigDict(frozen=True)

    @property
    def key(self) -> str:
        raise NotImplementedError

    def but(self, **changes: Any) -> Any:
        """A copy with some fields changed (of the same type)."""
        return self.model_copy(update=changes)


class UuidRecord(Record):
    uuid: str

    @property
    def key(self) -> str:
        return self.uuid


class Identity(Record):
    """The cluster itself."""

    uuid: str
    name: str
    sequence: int = 0
    snapshots_taken: int = 0

    @property
    def key(self) -> str:
        return "cluster"


class Svm(UuidRecord):
    name: str


class Volume(UuidRecord):
    """A volume. `tree` is its current tree relative to its own folder, None while a dp volume is uninitialised.

    `exported` is the version uuid that a dp volume's clients see; `number` counts views and automatic snapshots.
    """

    name: str
    svm: str
    type: str
    size: int
    created: datetime
    junction: str | None = None
    comment: str = ""
    aggregate: str = "aggr1"
    dedupe: str = "inline"
    compression: str = "inline"
    tree: str | None = None
    exported: str | None = None
    number: int = 0
    state: str = "online"

    @property
    def path(self) -> str:
        return f"{self.svm}:{self.name}"


class Snapshot(UuidRecord):
    """`sequence` orders snapshots of a volume where `create_time`, by the source's clock, has no finer answer."""

    volume: str
    name: str
    version_uuid: str
    create_time: datetime
    sequence: int
    comment: str = ""
    label: str = ""
    logical_bytes: int = 0


class Hold(Record):
    """A snapshot at the source is the base, or about to be, of a relationship: it is busy."""

    relationship: str
    volume: str
    version_uuid: str
    destination: str
    cluster: str

    @property
    def key(self) -> str:
        return f"{self.relationship}/{self.version_uuid}"


class Retention(BaseModel):
    model_config = ConfigDict(frozen=True)
    label: str
    count: int = 1


class Policy(UuidRecord):
    name: str
    type: str = "async"
    comment: str = ""
    scope: str = "cluster"
    svm: str | None = None
    network_compression_enabled: bool = False
    copy_all_source_snapshots: bool = False
    copy_latest_source_snapshot: bool = False
    create_snapshot_on_source: bool = True
    retention: tuple[Retention, ...] = ()
    throttle: int = 0
    built_in: bool = False


class RelationshipState(StrEnum):
    UNINITIALIZED = "uninitialized"
    SNAPMIRRORED = "snapmirrored"
    PAUSED = "paused"
    BROKEN_OFF = "broken_off"


class Relationship(UuidRecord):
    """Kept by the destination's cluster. `throttle` in KB/s, 0 for none."""

    source_path: str
    source_cluster: str
    destination_path: str
    volume: str
    policy: str
    state: RelationshipState = RelationshipState.UNINITIALIZED
    healthy: bool = True
    unhealthy_code: int = 0
    unhealthy_message: str = ""
    throttle: int = 0
    checkpoint_bytes: int = 0
    auto_number: int = 0
    last_transfer_type: str | None = None
    last_ratio: str | None = None
    total_bytes: int = 0
    total_wire_bytes: int = 0
    total_seconds: float = 0.0
    transfers: int = 0
    snapshots: int = 0


class TransferState(StrEnum):
    QUEUED = "queued"
    TRANSFERRING = "transferring"
    SUCCESS = "success"
    FAILED = "failed"
    ABORTED = "aborted"
    HARD_ABORTED = "hard_aborted"


ACTIVE = frozenset({TransferState.QUEUED, TransferState.TRANSFERRING})


class Transfer(UuidRecord):
    """`bytes_transferred` counts 4 KiB for each block that crossed, `wire_bytes` what the socket carried."""

    relationship: str
    type: str
    state: TransferState
    started: datetime
    updated: datetime
    ended: datetime | None = None
    seconds: float = 0.0
    snapshot: str | None = None
    throttle: int = 0
    bytes_transferred: int = 0
    wire_bytes: int = 0
    ratio: str | None = None
    checkpoint_bytes: int = 0
    error_code: int = 0
    error_message: str = ""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"


class Job(UuidRecord):
    description: str
    state: JobState
    started: datetime
    ended: datetime | None = None
    code: int = 0
    message: str = ""


class Peer(UuidRecord):
    """Another cluster and the address of its intercluster socket; the link's limits are ours towards it."""

    name: str
    address: str
    latency_ms: float = 0.0
    bandwidth_bytes_per_second: float = 0.0
    reachable: bool = True


class SvmPeer(UuidRecord):
    svm: str
    peer_svm: str
    peer_cluster: str


class Writers(Record):
    """The processes that write to a volume: (pid, start time in clock ticks since boot)."""

    volume: str
    processes: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        return self.volume


class Privilege(BaseModel):
    """What a role allows below a path; `access` is one of ONTAP's words."""

    model_config = ConfigDict(frozen=True)

    path: str
    access: str


class Role(Record):
    name: str
    privileges: tuple[Privilege, ...]

    @property
    def key(self) -> str:
        return self.name


class Account(Record):
    """A user beside the one that the cluster is started with."""

    name: str
    role: str
    password_sha256: str

    @property
    def key(self) -> str:
        return self.name


class EmsDestination(Record):
    name: str
    type: str
    destination: str
    filters: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name


class EmsEvent(Record):
    index: int
    time: datetime
    name: str
    severity: str
    log_message: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"{self.index:012d}"
