"""Runs one seeded schedule: the real decisions against the simulated world, with faults, then calm until all is there.

`run_schedule(seed)` raises InvariantError when a promise is broken. The same seed gives the same schedule.
"""

import gc
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from process import Process
from steps import Step
from world import FORMER_LOG, LOG, Destination, Faults, InvariantError, World

from farshore_coalescer.messages import HeadSeen, PositionRead
from farshore_coalescer.state import Extent, Replica, Rules, State

PATIENCE = 4000.0
"""Virtual seconds after the last event or fault within which everything must have arrived."""
LINGER = 700.0
"""How long some schedules go on after that: longer than things are left unread that nothing asks for."""
MOST_STEPS = 20_000


@dataclass(frozen=True)
class Outcome:
    """What a schedule did, for statistics and efficiency checks."""

    events: int
    snapshots: int
    starts: int
    needless_starts: int
    crashes: int
    fenced: int
    steps: int
    reached: frozenset[Step]


class Schedule:
    """One run; `faulty=False` is calm weather, in which efficiency is checked too."""

    def __init__(self, seed: int, *, faulty: bool) -> None:
        rng = random.Random(seed)
        self.rng = rng
        self.faulty = faulty
        self.world = World(rng, _draw_sites(rng), copies_all=rng.random() < 0.5, calm=not faulty)
        self.rules = Rules(
            settle=0.25,
            min_interval=rng.choice([0.0, 0.0, 1.0, 20.0]),
            max_wait=rng.choice([20.0, 60.0]),
            keep=rng.choice([0, 2]),
            watch=rng.choice([0.1, 1.0, *[10.0] * 6] if faulty else [0.1, *[1.0] * 7]),  # seldom: fewer dull steps
        )
        self.faults = self._draw_faults() if faulty else Faults()
        self.speed = {site: rng.choice([0.1, 1.0, 15.0]) for site in self.world.destinations}
        self.latency = rng.choice([0.002, 0.05, 0.05, 10.0]) if faulty else rng.choice([0.002, 0.05])
        self.hearing = rng.choice([min(self.latency, 0.05), 3.0]) if faulty else min(self.latency, 0.05)
        self.slots = rng.choice([1, 2, 10])
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.serial = itertools.count()
        self.crashes = 0
        self.fenced = 0
        self.steps = 0
        self.reached: set[Step] = set()
        self.last_told = 0.0
        self.zombies_live_on = rng.random() < 0.5
        if rng.random() < 0.3:
            self._leave_something()
        self.processes: list[Process] = []
        self.owner = self._start_process()

    def _draw_faults(self) -> Faults:
        rng = self.rng
        scale = rng.choice([0.02, 0.1, 0.3])
        refused, lost_request, lost_reply, transfer_fails = (rng.random() * scale for _ in range(4))
        return Faults(refused, lost_request, lost_reply, transfer_fails, rng.choice([0.0, 0.1]))

    def _leave_something(self) -> None:
        """Snapshots that were there before: of the topic's former incarnation, exported too, and of a person."""
        self.world.take_snapshot("farshore-keep-this")
        former = [self.world.take_snapshot(FORMER_LOG.snapshot_name(cover, cover, "f0f0f0f0")) for cover in (40, 90)]
        for destination in self.world.destinations.values():
            if destination.upstream is None and self.rng.random() < 0.7:
                destination.export(self.rng.choice(former))

    # --- time

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (time, next(self.serial), what))

    def run(self) -> Outcome:
        end_of_trouble = self._plan_events()
        if self.faulty:
            self._plan_trouble(end_of_trouble)
        self.at(end_of_trouble, self._calm_down)
        linger = self.rng.choice([0.0, 0.0, 0.0, LINGER])
        self.owner.decide()
        queue, world, calm = self.queue, self.world, end_of_trouble + linger
        while queue:
            time, _, what = heapq.heappop(queue)
            if time > end_of_trouble + PATIENCE:
                break
            world.now = time
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise InvariantError("the schedule doesn't come to rest")
            what()
            if time > calm and not world.behind:
                break
        self._check_end()
        destinations = self.world.destinations.values()
        return Outcome(
            events=self.world.end,
            snapshots=self.world.snapshots_taken,
            starts=sum(d.starts for d in destinations),
            needless_starts=sum(d.needless_starts for d in destinations),
            crashes=self.crashes,
            fenced=self.fenced,
            steps=self.steps,
            reached=frozenset(self.reached),
        )

    # --- what happens in the world

    def _plan_events(self) -> float:
        time = 0.5
        for _ in range(self.rng.randint(1, self.rng.choice([5, 15, 40]))):
            time += self.rng.choice([0.001, 0.02, 0.5, 5.0]) * self.rng.random()
            own = self.rng.random() < 0.8
            urgent = own and self.rng.random() < 0.1
            delay = self.rng.random() * 0.2
            self.at(time, lambda own=own, urgent=urgent, delay=delay: self._announce(own, urgent, delay))  # type: ignore[misc]
        return max(time + 1.0, self._plan_fences(time))

    def _plan_fences(self, until: float) -> float:
        """In some schedules: fences, some at the same time, some raised or lifted twice, some never lifted."""
        last = 0.0
        for number in range(self.rng.choice([0, 0, 1, 2])):
            name, limit = f"fence-{number}", self.rng.choice([2.0, 10.0, 30.0])
            raised = self.rng.random() * until
            lifted = raised + self.rng.random() * 1.5 * limit
            for _ in range(self.rng.choice([1, 1, 2])):
                self.at(raised, lambda name=name, limit=limit: self._change_fence(name, limit))  # type: ignore[misc]
            for _ in range(self.rng.choice([0, 1, 1, 2])):
                self.at(lifted, lambda name=name: self._change_fence(name, None))  # type: ignore[misc]
            last = max(last, lifted, raised + limit)
        return last + 1.0

    def _change_fence(self, name: str, limit: float | None) -> None:
        self.world.change_fence(name, limit)
        self._tell(HeadSeen(Extent(self.world.end, self.world.end if limit else 0), self.world.changes_from(-1)))

    def _announce(self, own: bool, urgent: bool, delay: float) -> None:
        self.world.announce(own, delay)
        end = self.world.end
        self._tell(HeadSeen(Extent(end, end if own else 0, end if urgent else 0)))

    def _tell(self, seen: HeadSeen) -> None:
        telling = self.world.now + self.rng.random() * self.hearing
        self.last_told = max(self.last_told, telling)  # a log is read in order
        for process in self.processes:
            if process.alive:
                self.at(self.last_told, lambda process=process: process.observe(seen))  # type: ignore[misc]

    def _plan_trouble(self, until: float) -> None:
        troubles: list[Callable[[], None]] = [
            self._crash,
            self._take_over,
            self._hand_over,
            self._freeze,
            self._move_twice_while_frozen,
            self._reboot,
            self._pause,
            self._unreachable,
            self._source_offline,
            self._operator_updates,
            self._operator_deletes,
            self._operator_sets_back,
        ]
        for _ in range(self.rng.randint(0, 8)):
            self.at(self.rng.random() * until, self.rng.choice(troubles))

    def _any_destination(self) -> Destination:
        return self.rng.choice(list(self.world.destinations.values()))

    def _crash(self) -> None:
        """The process dies at this very moment; requests that it sent may still be carried out."""
        self.crashes += 1
        self.owner.alive = False
        self._begin_owner()

    def _take_over(self) -> None:
        """Another process begins, and the one before doesn't know it yet: it goes on deciding and asking storage."""
        self._begin_owner()

    def _hand_over(self) -> None:
        """The group gives the lane to another instance: the owner ends it first, the other begins a little later."""
        self.owner.alive = False
        self.at(self.world.now + self.rng.random() * 3.0, self._begin_owner)

    def _freeze(self) -> None:
        """The owner stands still, for less or longer than the group's patience; what it sent is carried out."""
        until = self.world.now + self.rng.choice([1.0, 20.0])
        self.owner.frozen_until = max(self.owner.frozen_until, until)

    def _move_twice_while_frozen(self) -> None:
        """The owner wakes up after its lane went to a second and to a third instance."""
        self.owner.frozen_until = max(self.owner.frozen_until, self.world.now + 8.0)
        self.at(self.world.now + 1.0, self._take_over)
        self.at(self.world.now + 4.0, self.rng.choice([self._take_over, self._hand_over]))

    def start_lane_again(self, process: Process) -> None:
        """A commit's outcome is unknown: only Kafka knows the position now, so the same instance begins anew."""
        process.alive = False
        self.at(self.world.now + 1.0, self._begin_owner)

    def _begin_owner(self) -> None:
        self.owner = self._start_process()
        self.owner.decide()

    def _reboot(self) -> None:
        destination = self._any_destination()
        self.world.settle_transfer(destination)
        if destination.running is not None:
            destination.failed_transfers[destination.running.uuid] = "node rebooted"
            destination.running = None

    def _pause(self) -> None:
        self._any_destination().paused_until = self.world.now + 10.0

    def _unreachable(self) -> None:
        self._any_destination().unreachable_until = self.world.now + 10.0

    def _source_offline(self) -> None:
        self.world.source_offline_until = self.world.now + 10.0

    def _operator_updates(self) -> None:
        """Somebody runs plain updates by hand: a snapshot of another name becomes the exported one."""
        destination = self._any_destination()
        for pause in (0.0, 1.0, 3.0):
            fails = self.rng.random() < 0.3
            self.at(self.world.now + pause, lambda fails=fails: self.world.update_by_hand(destination, 0.5, fails))  # type: ignore[misc]

    def _operator_deletes(self) -> None:
        candidates = [s for s in self.world.source if not self.world.is_base(s) and s.reported.cover is not None]
        if candidates:
            self.world.delete_snapshot(self.rng.choice([candidates[-1], *candidates]).reported.uuid)

    def _operator_sets_back(self) -> None:
        self.world.resync_to_older(self._any_destination())

    def _calm_down(self) -> None:
        self.faults = Faults()
        self.latency = min(self.latency, 0.05)
        self.hearing = min(self.hearing, 0.05)
        for process in self.processes:
            process.alive &= process is self.owner or self.zombies_live_on
        self.world.source_offline_until = 0.0
        for destination in self.world.destinations.values():
            destination.paused_until = destination.unreachable_until = 0.0

    def _start_process(self) -> Process:
        """A process that knows nothing but the log's end and, a moment later, the positions in Kafka."""
        replicas = tuple(Replica(site, d.upstream) for site, d in self.world.destinations.items())
        owner = f"{len(self.processes):08x}"
        state = State.begin(LOG, owner, self.rules, replicas, self.world.end, self.world.now)
        process = Process(self, state)
        self.processes.append(process)
        for site in self.world.positions:
            self.at(self.world.now + 0.01, lambda site=site: self._tell_position(process, site))  # type: ignore[misc]
        return process

    def _tell_position(self, process: Process, site: str) -> None:
        """The position is read after the former owner is fenced, so it doesn't move any more by then."""
        if process is self.owner:
            process.observe(PositionRead(site, self.world.positions[site]))

    # --- the end

    def _check_end(self) -> None:
        own = [offset for offset, mine in enumerate(self.world.own) if mine]
        for site, arrived in self.world.arrived.items():
            if arrived != own:
                missing = sorted(set(own) - set(arrived))
                raise InvariantError(
                    f"{site}: {len(missing)} events never arrived ({missing[:5]}…), state {self.owner.state}"
                )
        if not self.faulty:
            self._check_efficiency()

    def _check_efficiency(self) -> None:
        destinations = self.world.destinations.values()
        # a transfer under way and one more for each site, all of them through one slot
        enough = 2.0 + self.rules.min_interval + sum(3.0 * speed + 2.0 for speed in self.speed.values())
        began = max([self.world.last_event, *self.world.fences.values()])
        if self.world.last_arrival > began + enough:
            raise InvariantError(f"the last arrival was {self.world.last_arrival - began:.1f} s late")
        if needless := sum(d.needless_starts for d in destinations):
            raise InvariantError(f"{needless} transfers brought nothing new")
        # what a policy of the latest snapshot alone keeps at an upstream can be gone by the time that it is asked for
        certain = [d for d in destinations if d.upstream is None or self.world.copies_all]
        if refused := sum(d.refused_starts for d in certain):
            raise InvariantError(f"{refused} transfers were asked for that could not start")
        if self.world.refused_deletes:
            raise InvariantError(f"{self.world.refused_deletes} snapshots were to be deleted that a replica rests on")
        ours = [s for s in self.world.source if s.reported.cover is not None]
        if len(ours) > self.rules.keep + 2 * len(self.world.destinations) + 2:
            raise InvariantError(f"{len(ours)} snapshots are left on the source")


def _draw_sites(rng: random.Random) -> dict[str, str | None]:
    """Each site with its upstream: one to three right behind the primary, and in some schedules a cascade behind the
    first of them, of up to three hops, some of which fan out."""
    shape = rng.random()
    sites: dict[str, str | None] = {f"s{i}": None for i in range(rng.randint(1, 3 if shape > 0.12 else 1))}
    if shape < 0.3:
        sites["far"] = "s0"
    if shape < 0.12:
        sites["farther"] = "far"
    if shape < 0.04:
        sites["beside"] = "s0"
    return sites


def run_schedule(seed: int, *, faulty: bool = True) -> Outcome:
    """Run the schedule that `seed` stands for."""
    return Schedule(seed, faulty=faulty).run()


class Range(NamedTuple):
    """What a range of schedules came to: the first broken promise, if any, and how many schedules reached each step."""

    failure: str | None
    reached: Counter[Step]


def run_range(seeds: tuple[int, int]) -> Range:
    """Run the schedules of `[first, last)`, every fourth in calm weather, until a promise is broken."""
    gc.set_threshold(50_000, 20, 100)  # what a schedule makes goes with it: looking for cycles more often finds nothing
    reached: Counter[Step] = Counter()
    for seed in range(*seeds):
        faulty = seed % 4 != 0
        try:
            reached.update(run_schedule(seed, faulty=faulty).reached)
        except (InvariantError, LookupError, TypeError, ValueError) as error:
            failure = (
                f"seed {seed} ({'faulty' if faulty else 'calm'}): {type(error).__name__}: {error}\n"
                f"run it again: python tests/simulation/campaign.py --first {seed} --schedules 1"
            )
            return Range(failure, reached)
    return Range(None, reached)
