"""The coalescer's decisions, driven by hand: a test answers everything that is asked for."""

from farshore_coalescer.apply import apply
from farshore_coalescer.decide import decide, log_to_read
from farshore_coalescer.fences import Change, Lifted, Raised
from farshore_coalescer.messages import (
    Action,
    Began,
    HeadSeen,
    LogRead,
    Observation,
    PositionRead,
    ReadLog,
    ReplicaRead,
    SourceRead,
)
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Extent, Replica, Rules, Snapshot, SnapshotId, State

LOG = Log("0a1b2c3d", 2)
OWNER = "5e1f0c4a"
NOW = 1000.0


def name_of(cover: int, number: int = 1) -> str:
    return LOG.snapshot_name(cover, number, OWNER)


def snapshot(cover: int, number: int = 1) -> Snapshot:
    return named(name_of(cover, number))


def named(name: str) -> Snapshot:
    return Snapshot.seen(SnapshotId(name, f"version-{name}"), f"uuid-{name}", LOG)


class Machine:
    """Drives the decisions by hand; everything that is asked for is answered by the test, but for the log's fences:
    those are read at once, up to where the log is known to reach."""

    def __init__(self, *sites: str, rules: Rules | None = None, head: int = 0, upstream: dict[str, str] | None = None):
        replicas = tuple(Replica(site, (upstream or {}).get(site)) for site in sites)
        self.now = NOW
        self.log: list[Change] = []
        self.state = State.begin(LOG, OWNER, rules or Rules(), replicas, head, self.now)

    def see(self, observation: Observation) -> None:
        self.state = apply(self.state, observation, self.now)
        if (start := log_to_read(self.state, self.now)) is not None:
            self.state = apply(self.state, Began(ReadLog(start)), self.now)
            mine = tuple(change for change in self.log if change.offset >= start)
            self.state = apply(self.state, LogRead(start, self.state.seen.end, mine), self.now)

    def decide(self) -> list[Action]:
        actions = decide(self.state, self.now)
        for action in actions:
            self.see(Began(action))
        return actions

    def later(self, seconds: float) -> None:
        self.now += seconds

    def idle(self, *held: Snapshot, source: tuple[Snapshot, ...] | None = None) -> "Machine":
        """Everything is read; each replica exports the last of `held`, which the source has too."""
        self.decide()
        self.see(SourceRead(source if source is not None else held))
        for replica in self.state.replicas:
            self.see(PositionRead(replica.site, held[-1].cover or 0 if held else 0))
            self.see(ReplicaRead(replica.site, held[-1].id if held else None))
        return self

    def push(self, end: int, *, urgent: bool = False) -> None:
        self.see(HeadSeen(Extent(end, end, end if urgent else 0)))

    def raise_fence(self, end: int, fence: str = "gc", limit: float = 60.0) -> None:
        """The log's last record, before `end`, raises a fence."""
        self.log.append(Raised(end - 1, fence, limit))
        self.see(HeadSeen(Extent(end, end), (self.log[-1],)))

    def lift_fence(self, end: int, fence: str = "gc") -> None:
        self.log.append(Lifted(end - 1, fence))
        self.see(HeadSeen(Extent(end), (self.log[-1],)))

    def push_and_settle(self, end: int, *, urgent: bool = False) -> None:
        self.push(end, urgent=urgent)
        self.later(self.state.rules.settle)
