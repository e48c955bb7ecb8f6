"""What the coalescer knows of one registry's volume and its replicas. Frozen: each observation makes a new state.

Times are seconds of the process's monotonic clock; no other clock is known here. Offsets and covers count records of
one partition of `farshore.events`.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

from farshore_coalescer.fences import Fences, Raised
from farshore_coalescer.snapshot_names import Log, is_ours


class Rules(NamedTuple):
    """The bounds of batching, in seconds; the meaning of each is in the topology's `Batching`.

    `watch`: a running transfer is looked at again after this share of the time that it has run, sooner when its end is
    expected.
    """

    settle: float = 0.25
    min_interval: float = 0.0
    max_wait: float = 30.0
    keep: int = 2
    watch: float = 0.1


class SnapshotId(NamedTuple):
    """A snapshot as it can be recognised on any cluster: ONTAP's `version_uuid` is the same on every copy."""

    name: str
    version: str


class Snapshot(NamedTuple):
    """A snapshot on the source volume.

    `cover` is None for snapshots of others or of another log; `number` counts the log's snapshots; `ours`: farshore
    took it, for whichever log.
    """

    id: SnapshotId
    uuid: str
    cover: int | None
    number: int
    ours: bool

    @classmethod
    def seen(cls, identity: SnapshotId, uuid: str, log: Log) -> "Snapshot":
        """A snapshot as its name and `log` say what it is."""
        cover, number = log.place_of(identity.name) or (None, 0)
        return cls(identity, uuid, cover, number, is_ours(identity.name))


class Extent(NamedTuple):
    """How far the log reaches: its end, and the offsets after this registry's last event and last urgent event."""

    end: int = 0
    dirty: int = 0
    urgent: int = 0

    def merged(self, other: "Extent") -> "Extent":
        """The farther of both, part by part."""
        return Extent(max(self.end, other.end), max(self.dirty, other.dirty), max(self.urgent, other.urgent))


class Mark(NamedTuple):
    """The log was seen to reach `extent` at `seen_at`; every part of it before was seen earlier."""

    extent: Extent
    seen_at: float


class Activity(Enum):
    """What a replica's relationship is doing, as far as is known."""

    UNKNOWN = auto()
    """Has to be read before anything else."""
    READING = auto()
    IDLE = auto()
    WAITING_FOR_SLOT = auto()
    """Could transfer, but its cluster has as many transfers as it may have."""
    STARTING = auto()
    TRANSFERRING = auto()
    STOPPED = auto()
    """Needs somebody or something else; looked at again slowly."""


class Replica(NamedTuple):
    """One relationship.

    `position`: arrivals are published up to here, None until it has been read. `exported`: what the last reading saw at
    the destination; `proven`: the cover that it proves. `younger_than`: only a snapshot that was begun after this is
    known to be younger than what is exported; -1 where every one of a higher cover is. `vain`: a snapshot
    that was asked for more than once and didn't come, until something else is exported. `target` and `transfer`: the
    snapshot's name and the transfer's uuid while STARTING or TRANSFERRING; `unseen`: a target whose transfer's end was
    not seen, until the relationship can be read again; `brought_by`: the transfer that brought `exported`.
    `look_at`: not before this is anything done. `took`: seconds that its last transfer ran. `idle_since`: when it last
    became idle. `read_at`: when an idle relationship is read again. `failures` in a row, without progress between, all
    of which a person has to mend (`stuck`), or none.
    `publishing`: up to where a publication under way goes. `committed_at`: when the position was last written to Kafka.
    `seen_once`: it has been read by this process.
    """

    site: str
    upstream: str | None = None
    position: int | None = None
    activity: Activity = Activity.UNKNOWN
    look_at: float = 0.0
    read_at: float = 0.0
    exported: SnapshotId | None = None
    proven: int = 0
    younger_than: float = -1.0
    vain: SnapshotId | None = None
    target: str | None = None
    unseen: str | None = None
    transfer: str | None = None
    brought_by: str | None = None
    transferring_since: float = 0.0
    took: float = 0.0
    idle_since: float = 0.0
    failures: int = 0
    stuck: bool = False
    trouble: str | None = None
    publishing: int | None = None
    publish_at: float = 0.0
    publish_failures: int = 0
    committed_at: float = 0.0
    seen_once: bool = False

    def but(self, changes: Mapping[str, Any]) -> "Replica":
        """The replica with these fields changed: `_replace`, at half its time."""
        fields = list(self)
        for name, value in changes.items():
            fields[_PLACES[name]] = value
        return Replica._make(fields)


_PLACES = {name: place for place, name in enumerate(Replica._fields)}


class SourceActivity(Enum):
    """What is under way at the source volume."""

    IDLE = auto()
    READING = auto()
    SNAPSHOTTING = auto()


class Source(NamedTuple):
    """The registry's primary volume.

    `snapshots` is None until read; `newest`: the latest of this log's, with the highest cover, of one cover the last.
    `numbered`: the highest number that one of them is known to have, or that this process has asked for.
    `known_before`: covers up to here were on the volume when it was first read, so a replica that hasn't been read yet
    may rest on one of them. `asked_at`: when this process last asked for a snapshot; `began_at` and `snapshot_at`: when
    the last one that it got was begun and finished. `look_at`: not before this is the source asked for anything
    (back-off). `read_at`: when to read it again. `deleting`: the uuid of the snapshot whose deletion is under way,
    whatever else is. `undeletable`: uuids that could not be deleted since the last reading. `snapshot_failed`: among
    the `failures` in a row is a refused snapshot. `clean`: uuids of snapshots that no fence touches (fences.py);
    `unsure`: a snapshot was asked for, and it isn't known whether it was taken.
    """

    snapshots: tuple[Snapshot, ...] | None = None
    newest: Snapshot | None = None
    numbered: int = 0
    activity: SourceActivity = SourceActivity.IDLE
    known_before: int = -1
    asked_at: float = 0.0
    began_at: float = -1.0
    snapshot_at: float | None = None
    look_at: float = 0.0
    read_at: float = 0.0
    deleting: str | None = None
    clean: frozenset[str] = frozenset()
    unsure: bool = False
    undeletable: frozenset[str] = frozenset()
    failures: int = 0
    snapshot_failed: bool = False
    trouble: str | None = None

    def with_snapshots(self, snapshots: tuple[Snapshot, ...]) -> "Source":
        """The volume with these snapshots."""
        own = [(snapshot.cover, snapshot.number, snapshot) for snapshot in snapshots if snapshot.cover is not None]
        numbered = max(self.numbered, *(number for _, number, _ in own)) if own else self.numbered
        return self._replace(snapshots=snapshots, newest=max(own)[2] if own else None, numbered=numbered)


class LogReading(NamedTuple):
    """The reading of fences. `checking`: the snapshots that were there when the reading under way was begun, None
    where none is. `look_at`: not before this is the log read again (back-off)."""

    checking: frozenset[str] | None = None
    look_at: float = 0.0
    failures: int = 0


class State(NamedTuple):
    """All that decisions rest on, for one registry volume.

    `owner`: what this process is known by in the names of its snapshots, another one at each beginning. `seen`: how far
    the log is known to reach; `settled`: how far it has settled; `marks`: what was seen and has not
    settled yet, oldest first. `waiting_since`: when the oldest event that no snapshot covers was seen.
    """

    log: Log
    owner: str
    rules: Rules
    seen: Extent
    settled: Extent
    marks: tuple[Mark, ...]
    waiting_since: float | None
    source: Source
    replicas: tuple[Replica, ...]
    fences: Fences = Fences()
    reading: LogReading = LogReading()

    @classmethod
    def begin(cls, log: Log, owner: str, rules: Rules, replicas: tuple[Replica, ...], head: int, now: float) -> "State":
        """The state of a process that has just started and knows nothing but the log's end.

        Whatever came before counts as this registry's until a snapshot is found that covers it.
        """
        extent = Extent(head, head)
        return cls(
            log=log,
            owner=owner,
            rules=rules,
            seen=extent,
            settled=Extent(),
            marks=(Mark(extent, now),),
            waiting_since=now if head else None,
            source=Source(),
            replicas=replicas,
            fences=Fences(read_to=head),
        )

    def replica(self, site: str) -> Replica:
        """The replica at `site`."""
        for replica in self.replicas:
            if replica.site == site:
                return replica
        raise KeyError(site)

    def newest(self) -> Snapshot | None:
        """The latest of this log's snapshots, as far as is known untouched by fences, that isn't being deleted."""
        latest = self.source.newest
        if latest is None or not self.fences.raised or self._may_be_clean(latest):
            return latest
        left = [s for s in self.source.snapshots or () if s.uuid != self.source.deleting]
        others = [(s.cover, s.number, s) for s in left if self._may_be_clean(s)]
        return max(others)[2] if others else None

    def _may_be_clean(self, snapshot: Snapshot) -> bool:
        return snapshot.cover is not None and (self.is_clean(snapshot) or not self.fences.touch(snapshot.cover))

    def is_clean(self, snapshot: Snapshot) -> bool:
        """Whether it is known that no fence touches the snapshot."""
        return snapshot.uuid in self.source.clean

    def holding(self, now: float) -> tuple[Raised, ...]:
        """The fences that hold."""
        if not self.fences.raised:
            return ()
        latest = self.source.newest
        return self.fences.holding(latest.cover or 0 if latest is not None else 0, now)

    def covered(self) -> int:
        """The cover of the newest snapshot; 0 where there is none."""
        newest = self.newest()
        return newest.cover or 0 if newest is not None else 0
