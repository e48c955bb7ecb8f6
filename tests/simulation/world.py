"""A simulated world for the coalescer's decisions: a log, an ONTAP source with replicas, and Kafka's positions.

Everything happens at a virtual time. The world holds the truth; the decisions see only what is reported to them, late,
sometimes not at all. `World.commit` holds each publication against the truth.
"""

import random
from dataclasses import dataclass, field

from farshore_coalescer.fences import Change, Lifted, Raised
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Snapshot, SnapshotId

LOG = Log("0a1b2c3d", 0)
FORMER_LOG = Log("ffffffff", 0)
"""A former incarnation of the topic: what it left on the volumes means nothing any more."""


class InvariantError(AssertionError):
    """A promise was broken; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class TrueSnapshot:
    """A snapshot as it really is: `taken` is the virtual time whose content it holds; `reported` what an API shows."""

    name: str
    taken: float
    serial: int
    reported: Snapshot
    fenced: bool = False
    """Taken while a fence was up."""


@dataclass(slots=True)
class Running:
    """A transfer under way at a destination."""

    uuid: str
    snapshot: TrueSnapshot
    ends_at: float
    fails: bool


@dataclass(slots=True)
class Destination:
    """One replica's volume and relationship."""

    site: str
    upstream: str | None = None
    exported: TrueSnapshot | None = None
    held: list[TrueSnapshot] = field(default_factory=list)
    running: Running | None = None
    failed_transfers: dict[str, str] = field(default_factory=dict)
    paused_until: float = 0.0
    unreachable_until: float = 0.0
    starts: int = 0
    needless_starts: int = 0
    refused_starts: int = 0
    reached: float = -1.0
    """The newest content that was ever exported here: a person can set a replica back behind what was announced."""

    def export(self, snapshot: TrueSnapshot) -> None:
        """Switch the view."""
        if snapshot.fenced and snapshot.reported.cover is not None:
            raise InvariantError(f"{self.site}: {snapshot.name} is exported, which was taken inside a fence")
        self.exported = snapshot
        self.reached = max(self.reached, snapshot.taken)
        if snapshot not in self.held:
            self.held.append(snapshot)


@dataclass(slots=True)
class Faults:
    """How often things go wrong, as probabilities per request; all zero in calm weather."""

    refused: float = 0.0
    lost_request: float = 0.0
    lost_reply: float = 0.0
    transfer_fails: float = 0.0
    unknown_commit: float = 0.0


class World:
    """The truth of one schedule."""

    def __init__(
        self, rng: random.Random, sites: dict[str, str | None], *, copies_all: bool, calm: bool = False
    ) -> None:
        self.rng = rng
        self.calm = calm
        self.now = 0.0
        self.copies_all = copies_all
        self.own: list[bool] = []  # per offset: is it an event of our registry?
        self.changes: list[Change | None] = []  # per offset: what it says of a fence
        self.fences: dict[str, float] = {}  # until when each is up, at least
        self.written_at: list[float] = []
        self.source: list[TrueSnapshot] = []
        self.destinations = {site: Destination(site, upstream) for site, upstream in sites.items()}
        self.positions = dict.fromkeys(sites, 0)
        self.arrived: dict[str, list[int]] = {site: [] for site in sites}
        self.behind = False
        self.snapshots_taken = 0
        self.refused_deletes = 0
        self.last_event = 0.0
        self.last_arrival = 0.0
        self.source_offline_until = 0.0
        self._serial = 0
        self._names: set[str] = set()

    # --- the registry and the log

    def announce(self, own: bool, write_delay: float) -> None:
        """A notification is accepted; its content is on the volume `write_delay` later."""
        self.own.append(own)
        self.last_event = self.now if own else self.last_event
        self.changes.append(None)
        self.written_at.append(self.now + write_delay)
        self.behind = True

    def change_fence(self, fence: str, limit: float | None) -> None:
        """A fence is raised for `limit` seconds, or lifted: a record of the log that announces no content."""
        self.announce(own=False, write_delay=0.0)
        if limit is None:
            self.fences[fence] = min(self.fences.get(fence, 0.0), self.now)
            self.changes[-1] = Lifted(self.end - 1, fence)
        else:
            self.fences[fence] = max(self.fences.get(fence, 0.0), self.now + limit)
            self.changes[-1] = Raised(self.end - 1, fence, limit)

    def changes_from(self, start: int) -> tuple[Change, ...]:
        """What the log says of fences from `start` on."""
        return tuple(change for change in self.changes[start:] if change is not None)

    @property
    def end(self) -> int:
        """The end of the log."""
        return len(self.own)

    # --- the source

    def take_snapshot(self, name: str) -> TrueSnapshot:
        """What the source does for a POST of a snapshot; a name that exists gives the existing one."""
        for existing in self.source:
            if existing.name == name:
                return existing
        if name in self._names:
            raise InvariantError(f"{name} is taken twice: a request for the former one would find this one")
        self._names.add(name)
        self._serial += 1
        serial = self._serial
        reported = Snapshot.seen(SnapshotId(name, f"v{serial}"), f"u{serial}", LOG)
        fenced = any(until > self.now for until in self.fences.values())
        snapshot = TrueSnapshot(name, self.now, serial, reported, fenced)
        self.source.append(snapshot)
        self.snapshots_taken += 1
        return snapshot

    def is_base(self, snapshot: TrueSnapshot) -> bool:
        """Whether a relationship of the source owns the snapshot, so that ONTAP refuses to delete it there."""
        return self._rests_on(None, snapshot)

    def _rests_on(self, upstream: str | None, snapshot: TrueSnapshot) -> bool:
        """Whether a destination right behind `upstream` (the source, where None) exports or is getting the snapshot."""
        return any(
            d.exported is snapshot or (d.running is not None and d.running.snapshot is snapshot)
            for d in self._behind(upstream)
        )

    def _behind(self, upstream: str | None) -> list[Destination]:
        return [d for d in self.destinations.values() if d.upstream == upstream]

    def delete_snapshot(self, uuid: str) -> bool:
        """Delete if it isn't busy; gone counts as deleted."""
        for snapshot in self.source:
            if snapshot.reported.uuid == uuid:
                if self.is_base(snapshot):
                    self.refused_deletes += 1
                    return False
                if not snapshot.name.startswith("farshore-") or snapshot.name == "farshore-keep-this":
                    raise InvariantError(f"{snapshot.name} was deleted, which somebody else took")
                if self.calm and any(d.exported is snapshot for d in self.destinations.values()):
                    raise InvariantError(f"{snapshot.name} was deleted, which the end of a cascade rests on")
                self.source.remove(snapshot)
                break
        return True

    # --- the destinations

    def settle_transfer(self, destination: Destination) -> None:
        """Let a transfer end whose time has come."""
        running = destination.running
        if running is None or running.ends_at > self.now:
            return
        destination.running = None
        if running.fails:
            destination.failed_transfers[running.uuid] = "aborted"
        else:
            destination.export(running.snapshot)
            self._retire(destination)

    def _retire(self, destination: Destination) -> None:
        """What the policy gives up after an update: what the source of the relationship no longer has, or all but the
        newest. The base of a cascade from here stays, whatever became of it upstream."""
        upstream = self.source
        if destination.upstream is not None:
            upstream = self.destinations[destination.upstream].held
        destination.held = [
            s
            for s in destination.held
            if s is destination.exported or (self.copies_all and s in upstream) or self._rests_on(destination.site, s)
        ]

    def start_transfer(self, destination: Destination, name: str, duration: float, fails: bool) -> str | None:
        """Start a transfer; returns its uuid, or None where ONTAP refuses."""
        self.settle_transfer(destination)
        snapshot = self._offered(destination, name)
        if snapshot is None or destination.running is not None or destination.paused_until > self.now:
            destination.refused_starts += 1
            return None
        destination.starts += 1
        if destination.exported is not None and not self._announces_more(snapshot, destination.exported):
            destination.needless_starts += 1
        return self._begin_transfer(destination, snapshot, duration, fails)

    def _offered(self, destination: Destination, name: str) -> TrueSnapshot | None:
        """The snapshot of that name, unless it is older than what source and destination have in common, or there is
        nothing in common, or the destination has another one of that name: a volume has each name once."""
        source = self.source
        if destination.upstream is not None:
            upstream = self.destinations[destination.upstream]
            if upstream.unreachable_until > self.now:
                return None
            self.settle_transfer(upstream)
            exported = upstream.exported
            source = [s for s in upstream.held if exported is not None and s.serial <= exported.serial]
        common = max((s.serial for s in destination.held if s in source), default=0)
        if destination.exported is not None and not common:
            return None
        offered = next((s for s in source if s.name == name and s.serial >= common), None)
        return None if any(s.name == name and s is not offered for s in destination.held) else offered

    def update_by_hand(self, destination: Destination, duration: float, fails: bool) -> None:
        """A plain update: it takes a snapshot of its own.

        Under a policy that copies all it brings those before it first; they stay, not exported, also when it fails.
        One of a cascade takes what its upstream exports.
        """
        self.settle_transfer(destination)
        if destination.upstream is not None:
            exported = self.destinations[destination.upstream].exported
            idle = destination.running is None and destination.paused_until <= self.now
            if exported is not None and idle and self._offered(destination, exported.name) is exported:
                self._begin_transfer(destination, exported, duration, fails)
            return
        snapshot = self.take_snapshot(f"snapmirror.{self._serial}")
        if destination.running is None and destination.paused_until <= self.now:
            if self.copies_all and destination.exported is not None:  # a baseline that fails leaves nothing behind
                base = destination.exported.serial
                destination.held += [
                    s for s in self.source if base < s.serial < snapshot.serial and s not in destination.held
                ]
            self._begin_transfer(destination, snapshot, duration, fails)

    def resync_to_older(self, destination: Destination) -> None:
        """A person sets a replica back to an older snapshot that both sides have.

        Not behind what a cascade from here rests on: its end would have to be set back first.
        """
        self.settle_transfer(destination)
        exported = destination.exported
        if exported is None:
            return
        source = self.source
        if destination.upstream is not None:
            source = self.destinations[destination.upstream].held
        rests = max((s.serial for s in destination.held if self._rests_on(destination.site, s)), default=0)
        older = [s for s in destination.held if rests <= s.serial < exported.serial and s in source]
        if older and destination.running is None:
            destination.exported = self.rng.choice(older)
            destination.held = [s for s in destination.held if s.serial <= destination.exported.serial]

    def _begin_transfer(self, destination: Destination, snapshot: TrueSnapshot, duration: float, fails: bool) -> str:
        self._serial += 1
        uuid = f"t{self._serial}"
        destination.running = Running(uuid, snapshot, self.now + duration, fails)
        return uuid

    def _announces_more(self, snapshot: TrueSnapshot, than: TrueSnapshot) -> bool:
        """Whether `snapshot` covers own events or fences that `than` doesn't, as far as their names say."""
        first, end = than.reported.cover or 0, snapshot.reported.cover or 0
        return any(self.own[first:end]) or any(self.changes[first:end])

    # --- Kafka

    def commit(self, site: str, start: int, end: int) -> None:
        """One transaction of arrivals; checks every promise that a publication makes."""
        if start != self.positions[site]:
            raise InvariantError(f"{site}: publication from {start}, but the position is {self.positions[site]}")
        if end < start or end > self.end:
            raise InvariantError(f"{site}: publication up to {end} of a log of {self.end}")
        destination = self.destinations[site]
        self.settle_transfer(destination)
        for offset in range(start, end):
            if not self.own[offset]:
                continue
            if self.written_at[offset] > destination.reached:
                raise InvariantError(f"{site}: event {offset} was announced before its content was there")
            self.arrived[site].append(offset)
            self.last_arrival = self.now
        self.positions[site] = end
        self.behind = any(position != self.end for position in self.positions.values())
