"""Transfers that the decisions start, against the fewest that would do: on patterns of arrivals, at the same lag.

The patterns (bench/patterns) are recorded: record_pattern.py had skopeo push to a real registry as a CI system would,
and kept when each notification came, on a machine that was busy with other things. Those in `held-out` were recorded
with another seed: rules and constants are chosen by the others, and have to hold there too.

The model. Events arrive at known times, each with bytes; an event can be in a snapshot once it has settled. A replica's
transfer takes `fixed` seconds and the bytes of the events that it brings over `bandwidth`; a replica makes one transfer
at a time. A transfer brings everything that has settled when it begins and was not brought before. The lag of a run is
the sum, over events and replicas, of the end of the bringing transfer minus the event's time.

- `decided` runs the real `decide`, `apply` and `next_wake` under a virtual clock in which requests take no time.
- `fewest` knows the future. For each replica it computes by dynamic programming the fewest transfers whose lag is no
  greater than the lag that `decided` had at this replica. It tries every choice that can be of use: a transfer begins
  when an event settles or when the one before ends, whichever is later, and brings everything that has settled by
  then; to begin later with the same events only adds lag. For each number of events brought it keeps all partial plans
  that no other beats in the time that it is free again, transfers and lag together. Times are whole milliseconds.

The ratio is `fewest` over `decided`, of the transfers of all replicas. 1.0 would need to know the future, and when a
transfer ends before it is looked at. What can be had without is told by `--waits`: the same for other longest waits for
the rest of a burst. Exit code 1 below `--least`.

    uv run --all-packages python bench/optimum.py [--waits] [PATTERN …]
"""

import argparse
import json
import sys
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from farshore_coalescer import decide as decisions
from farshore_coalescer.apply import apply
from farshore_coalescer.decide import decide, next_wake
from farshore_coalescer.messages import (
    Action,
    Began,
    DeleteSnapshot,
    HeadSeen,
    LogRead,
    Observation,
    PositionRead,
    Publish,
    Published,
    ReadLog,
    ReadReplica,
    ReadSource,
    ReplicaRead,
    RunningTransfer,
    SnapshotDeleted,
    SnapshotTaken,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Extent, Replica, Rules, Snapshot, SnapshotId, State

PATTERNS = Path(__file__).parent / "patterns"
HELD_OUT = PATTERNS / "held-out"
LOG = Log("0a1b2c3d", 0)
BEGIN = 10_000
"""Milliseconds at which the first event may arrive: everything has been read by then."""


class Event(NamedTuple):
    """One push: when, in milliseconds from the pattern's beginning, and how many bytes it adds to the volume."""

    at: int
    size: int


class Link(NamedTuple):
    """What a transfer to one replica takes: milliseconds whatever it brings, and bytes per second."""

    fixed: int
    bandwidth: float

    def takes(self, size: int) -> int:
        """Milliseconds for so many bytes."""
        return self.fixed + round(1000 * size / self.bandwidth)


class Outcome(NamedTuple):
    """Of one replica: transfers started, and the sum of its events' lags in milliseconds."""

    transfers: int
    lag: int


# --- what the decisions do ------------------------------------------------------------------------------------------


class _Destination:
    def __init__(self, link: Link) -> None:
        self.link = link
        self.exported: Snapshot | None = None
        self.running: tuple[Snapshot, int] | None = None
        self.transfers = 0
        self.lag = 0


class _Run:
    """The real decisions under a virtual clock, in milliseconds; requests take no time."""

    def __init__(self, events: Sequence[Event], links: Sequence[Link], rules: Rules) -> None:
        self.now = 0
        self.events = events
        self.sizes = [0, *accumulate(event.size for event in events)]
        self.destinations = {f"site-{number}": _Destination(link) for number, link in enumerate(links)}
        self.source: list[Snapshot] = []
        replicas = tuple(Replica(site) for site in self.destinations)
        self.state = State.begin(LOG, "0f1e2d3c", rules, replicas, 0, 0.0)

    def run(self) -> list[Outcome]:
        """Until every event is everywhere."""
        agenda = [BEGIN + event.at for event in self.events]
        seen = 0
        for site in self.destinations:
            self.observe(PositionRead(site, 0))
        while True:
            self.act()
            if all(d.exported is not None and d.exported.cover == len(self.events) for d in self.destinations.values()):
                return [Outcome(d.transfers, d.lag) for d in self.destinations.values()]
            wake = next_wake(self.state, self.now / 1000)
            times = [] if wake is None else [max(self.now + 1, -int(-wake * 1000 // 1))]  # a float may round to now
            if seen < len(agenda):
                times.append(agenda[seen])
            self.now = max(self.now, min(times))
            while seen < len(agenda) and agenda[seen] <= self.now:
                seen += 1
                self.observe(HeadSeen(Extent(seen, seen)))

    def observe(self, observation: Observation) -> None:
        self.state = apply(self.state, observation, self.now / 1000)

    def act(self) -> None:
        while actions := decide(self.state, self.now / 1000):
            for action in actions:
                self.observe(Began(action))
            for action in actions:
                self.observe(self.answer(action))

    def answer(self, action: Action) -> Observation:
        match action:
            case ReadSource():
                return SourceRead(tuple(self.source))
            case TakeSnapshot(name, _):
                snapshot = Snapshot.seen(SnapshotId(name, name), name, LOG)
                self.source.append(snapshot)
                return SnapshotTaken(snapshot)
            case DeleteSnapshot(snapshot):
                self.source.remove(snapshot)
                return SnapshotDeleted(snapshot.uuid)
            case ReadReplica(site):
                return self.read(site, self.destinations[site])
            case StartTransfer(site, name):
                self.start(self.destinations[site], next(one for one in self.source if one.id.name == name))
                return TransferStarted(site, name)
            case Publish(site, _, end):
                return Published(site, end)
            case ReadLog(start):
                return LogRead(start, self.state.seen.end, ())

    def start(self, destination: _Destination, snapshot: Snapshot) -> None:
        begin = destination.exported.cover or 0 if destination.exported is not None else 0
        end = snapshot.cover or 0
        ends_at = self.now + destination.link.takes(self.sizes[end] - self.sizes[begin])
        destination.running = (snapshot, ends_at)
        destination.transfers += 1
        destination.lag += sum(ends_at - BEGIN - event.at for event in self.events[begin:end])

    def read(self, site: str, destination: _Destination) -> ReplicaRead:
        if destination.running is not None and destination.running[1] <= self.now:
            destination.exported, destination.running = destination.running[0], None
        exported = destination.exported.id if destination.exported is not None else None
        running = destination.running[0].id.name if destination.running is not None else None
        return ReplicaRead(site, exported, RunningTransfer(running, running) if running is not None else None)


def decided(events: Sequence[Event], links: Sequence[Link], rules: Rules) -> list[Outcome]:
    """What the decisions do with these events, for each link."""
    return _Run(events, links, rules).run()


# --- the fewest that would do ---------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """A partial plan: when its next transfer can begin at the earliest, and the lag of what its transfers brought."""

    free: int
    lag: int


def fewest(events: Sequence[Event], link: Link, settle: int, most_lag: int) -> int:
    """The fewest transfers that bring all events with at most `most_lag` milliseconds of lag in all."""
    count = len(events)
    sizes = [0, *accumulate(event.size for event in events)]
    times = [0, *accumulate(event.at for event in events)]
    ready = [event.at + settle for event in events]
    least = [settle + link.takes(event.size) for event in events]
    to_come = [*reversed([*accumulate(reversed(least))]), 0]  # the lag that what is left has at the very least
    unbeaten: list[list[_Plan]] = [[] for _ in range(count + 1)]  # by events brought, whatever the transfers so far
    plans = {0: [_Plan(0, 0)]}
    transfers = 0
    while count not in plans:
        transfers += 1
        longer: dict[int, list[_Plan]] = {}
        for first, several in plans.items():
            for plan in several:
                for last in range(first + 1, count + 1):
                    begin = max(plan.free, ready[last - 1])
                    if last < count and ready[last] <= begin:
                        continue  # that one has settled too: the snapshot holds it
                    end = begin + link.takes(sizes[last] - sizes[first])
                    lag = plan.lag + (last - first) * end - (times[last] - times[first])
                    if lag + to_come[last] > most_lag:
                        break
                    free = end
                    if last < count:
                        # to end before anything is left to bring is as good as to end just then
                        free = max(end, ready[last])
                        due = bisect_right(ready, free)  # what has settled by then goes together, then at the soonest
                        soonest = free + link.takes(sizes[due] - sizes[last])
                        if lag + (due - last) * soonest - (times[due] - times[last]) + to_come[due] > most_lag:
                            continue
                    longer.setdefault(last, []).append(_Plan(free, lag))
        plans = {last: kept for last, several in longer.items() if (kept := _add_unbeaten(unbeaten[last], several))}
        if not plans:
            raise ValueError(f"no plan has so little lag: {most_lag} ms")
    return transfers


def _add_unbeaten(unbeaten: list[_Plan], several: list[_Plan]) -> list[_Plan]:
    """Those of `several` that are free sooner or lag less than every other one; they join `unbeaten`, in that order."""
    fresh = set(several) - set(unbeaten)
    front: list[_Plan] = []
    for plan in sorted([*unbeaten, *fresh]):
        if not front or plan.lag < front[-1].lag:
            front.append(plan)
    unbeaten[:] = front
    return [plan for plan in front if plan in fresh]


# --- the benchmark --------------------------------------------------------------------------------------------------

LINKS = {
    "near": [Link(300, 100e6)],
    "far": [Link(1500, 20e6)],
}


def pattern(path: Path) -> list[Event]:
    """A pattern: `[milliseconds, bytes]` for each push."""
    return [Event(at, size) for at, size in json.loads(path.read_text())["pushes"]]


def compare(events: Sequence[Event], links: Sequence[Link], rules: Rules) -> tuple[int, int, float]:
    """Transfers started, the fewest at the same lag, and the mean lag in seconds."""
    outcomes = decided(events, links, rules)
    settle = round(rules.settle * 1000)
    best = sum(fewest(events, link, settle, one.lag) for link, one in zip(links, outcomes, strict=True))
    mean = sum(one.lag for one in outcomes) / len(events) / len(links) / 1000
    return sum(one.transfers for one in outcomes), best, mean


class Total(NamedTuple):
    """Of several patterns: transfers started, the fewest, and the mean of the mean lags in seconds."""

    started: int
    fewest: int
    lag: float


def measure(patterns: Sequence[Path], rows: list[dict[str, Any]]) -> Total:
    """Compare on every pattern and link; each comparison is added to `rows`."""
    total = Total(0, 0, 0.0)
    for path in patterns:
        for name, links in LINKS.items():
            started, best, lag = compare(pattern(path), links, Rules())
            row = {"pattern": path.stem, "held_out": path.parent == HELD_OUT, "sites": name}
            rows.append(row | {"started": started, "fewest": best, "ratio": best / started, "lag": lag})
            share = lag / len(patterns) / len(LINKS)
            total = Total(total.started + started, total.fewest + best, total.lag + share)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description="transfers started against the fewest that would do")
    parser.add_argument("patterns", type=Path, nargs="*", help="files; without any: those of bench/patterns")
    parser.add_argument("--least", type=float, default=0.0)
    parser.add_argument("--waits", action="store_true", help="what other waits for the rest of a burst come to")
    options = parser.parse_args()
    patterns = options.patterns or sorted([*PATTERNS.glob("*.json"), *HELD_OUT.glob("*.json")])
    rows: list[dict[str, Any]] = []
    total = measure(patterns, rows)
    for row in rows:
        where = f"{row['pattern']}{' (held out)' if row['held_out'] else ''}"
        figures = f"{row['started']:>4} {row['fewest']:>4} {row['ratio']:>6.3f} {row['lag']:>7.3f} s"
        print(f"{where:<26} {row['sites']:<5} {figures}", file=sys.stderr)
    result = {
        "name": "optimum",
        "ratio": total.fewest / total.started,
        "reference": "fewest transfers at the same lag, by a planner that knows the future",
        "patterns": rows,
    }
    if options.waits:
        result["waits"] = waits(patterns)
    print(json.dumps(result))
    return 0 if total.fewest / total.started >= options.least else 1


def waits(patterns: Sequence[Path]) -> list[dict[str, float]]:
    """The figures of other waits: so many times a transfer's duration, and so many seconds at most."""
    found = []
    for transfers, seconds in (
        (0.0, 0.0),
        (1.0, 1.5),
        (1.0, 3.0),
        (2.0, 1.5),
        (2.0, 3.0),
        (2.0, 6.0),
        (4.0, 3.0),
        (4.0, 6.0),
    ):
        decisions.BURST_TRANSFERS, decisions.BURST_SECONDS = transfers, seconds
        total = measure(patterns, [])
        ratio = total.fewest / total.started
        found.append(
            {"transfers": transfers, "seconds": seconds, "started": total.started, "ratio": ratio, "lag": total.lag}
        )
        words = f"{total.started:>4} started, {ratio:.3f}, {total.lag:.3f} s"
        print(f"at most {transfers:g} transfers and {seconds:g} s: {words}", file=sys.stderr)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
