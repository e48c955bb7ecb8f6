"""Runs one seeded schedule of the verifier's decisions: pushes, sites that lag and fail, owners that come and go.

`run_schedule(seed)` raises InvariantError when a promise is broken. The same seed gives the same schedule.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from verifier_all_sites import AllSites
from verifier_history import TROUBLES, History, SimulatedSite, arrival_of
from verifier_lane import Lane, LaneRules
from verifier_log import EVERYWHERE_GROUP, Kafka, Partition
from verifier_promises import InvariantError, Promises, check_restored

from farshore.errors import FarshoreError
from farshore.records.arrivals import Arrival
from farshore.records.events import EventKind
from farshore_verifier import window
from farshore_verifier.outcome import Explained, Failed

PATIENCE = 3000.0
"""Virtual seconds after the last event or trouble within which everything must have been decided."""
IMPATIENT = 5.0
"""Seconds of patience that are fewer than a transfer may take: a site's lag alone can make it give up."""
MOST_STEPS = 50_000
SMALL_WINDOWS = (1, 3)
"""How many arrivals lanes may keep undecided in some schedules."""


@dataclass(frozen=True)
class Outcome:
    """What a schedule did."""

    arrivals: int
    said: int
    owners: int
    fenced: int
    steps: int
    reached: frozenset[str]


class Schedule:
    """One run; `faulty=False` is calm weather: no trouble at sites, one owner, nothing out of order.

    `small_window`: lanes are full now and then.
    """

    def __init__(self, seed: int, *, faulty: bool, small_window: bool) -> None:
        self.rng = rng = random.Random(seed)
        self.faulty = faulty
        self.now = 0.0
        self.reached: set[str] = set()
        self.history = History()
        self.kafka = Kafka()
        self.sites = [SimulatedSite(f"s{number}", self.history) for number in range(rng.randint(1, 3))]
        self.kafka.groups = {name: Partition() for name in [*(site.name for site in self.sites), EVERYWHERE_GROUP]}
        patience = rng.choice([IMPATIENT, 90.0, 900.0]) if faulty else 900.0
        self.rules = LaneRules(
            retry_for=min(patience, 90.0) if small_window else patience,  # one after the other, if it must be
            objective=rng.choice([None, 2.0, 60.0]),
            latency=rng.choice([0.002, 0.05, 0.05, 2.0]),
        )
        self.most_images = rng.choice([1, 2, 100])
        self.promises = Promises(self.kafka, self.history, self.sites)
        if self.rules.retry_for == IMPATIENT or small_window:  # a full lane doesn't read what makes a failure moot
            self.promises.troubled.update(site.name for site in self.sites)
        self.promises.forgets = self.most_images < 100
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._owners = 0
        self._calm = not faulty
        self._published = {site.name: 0 for site in self.sites}
        self._passage = 1
        self._sent_back: set[int] = set()
        self.lanes: dict[str, Lane] = {}
        for site in self.sites:
            self._own(site)
        self._own_everywhere()

    # --- the clock that processes see

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._serial), what))

    def chance(self) -> float:
        return self.rng.random()

    def ask_for_snapshot(self, arrival: Arrival) -> bool:
        event = arrival.event
        site = next(site for site in self.sites if site.name == arrival.site)
        found = site.look(event, self.now)
        if not isinstance(found, Failed) or found.explained is not Explained.BY_LAG:
            raise InvariantError(f"a snapshot is asked for although nothing lags: {found}")
        if not self._calm and self.rng.random() < 0.3:
            return False  # Kafka refuses
        self.history.happen(EventKind.VOLUME_DIRTY, event.digest, event.tag, self.now)
        self._transfer_soon()
        return True

    # --- the run

    def run(self) -> Outcome:
        end = self._plan()
        steps = 0
        while self._queue:
            at, _, what = heapq.heappop(self._queue)
            if at > end + PATIENCE:
                break
            self.now = at
            steps += 1
            if steps > MOST_STEPS:
                raise InvariantError("the schedule doesn't come to rest")
            what()
            if at > end and self._at_rest():
                break
        if not self._at_rest():
            raise InvariantError(f"not all is decided {PATIENCE:g} s after the last trouble")
        self.promises.check()
        return Outcome(
            arrivals=len(self.kafka.arrivals),
            said=len(self.kafka.readiness),
            owners=self._owners,
            fenced=self.kafka.fenced,
            steps=steps,
            reached=frozenset(self.reached),
        )

    def _plan(self) -> float:
        rng, at = self.rng, 0.5
        for _ in range(rng.randint(1, 12)):
            at += rng.choice([0.001, 0.05, 0.5, 5.0, 40.0]) * rng.random()
            self.after(at, self._happen)
        end = at + 1.0
        if self.faulty:
            troubles: list[Callable[[], None]] = [
                self._crash,
                self._crash,
                self._take_over,
                self._trouble,
                self._damage,
                self._send_back,
                self._send_back,
                self._repeat,
                self._publish_again,
                self._crash_everywhere,
            ]
            for _ in range(rng.randint(0, 8)):
                late = rng.choice([1.0, 1.0, 3.0])  # some come when all seemed to be over
                self.after(rng.random() * end * late, rng.choice(troubles))
            end *= 3
        self.after(end, self._calm_down)
        return end

    def _happen(self) -> None:
        self.history.next_event(self.rng, self.now)
        self._transfer_soon()

    def _transfer_soon(self) -> None:
        for site in self.sites:
            self.after(self.rng.choice([0.01, 1.0, 20.0]) * self.rng.random(), lambda site=site: self._transfer(site))  # type: ignore[misc]

    def _transfer(self, site: SimulatedSite) -> None:
        """The site exports what there is by now; a snapshot may have missed the last event's tag."""
        end = len(self.history.events)
        if end == site.cover:
            return
        last = self.history.events[-1]
        site.lacks_a_tag = last.tag is not None and last.kind is not EventKind.VOLUME_DIRTY and self.rng.random() < 0.35
        site.cover = end
        self.after(self.rng.random() * 0.1, lambda: self._publish(site, end))

    def _publish(self, site: SimulatedSite, end: int) -> None:
        begin = self._published[site.name]
        for generation in range(begin, end):
            self._arrive(arrival_of(self.history, generation, site.name, 0))
        self._published[site.name] = max(begin, end)

    def _arrive(self, arrival: Arrival) -> None:
        self.kafka.arrivals.append(arrival)
        for lane in self.lanes.values():
            self.after(self.rules.latency * self.rng.random(), lane.read)

    # --- trouble

    def _any_site(self) -> SimulatedSite:
        return self.rng.choice(self.sites)

    def _crash(self) -> None:
        """The owner dies; a transaction that it has sent may still be carried out, until the next one fences it."""
        site = self._any_site()
        self.lanes[site.name].alive = False
        self.after(self.rng.random() * self.rng.choice([0.01, 1.0, 10.0]), lambda: self._own(site))

    def _take_over(self) -> None:
        """The next owner begins while the former one goes on: it hasn't noticed."""
        self._own(self._any_site())

    def _own(self, site: SimulatedSite) -> None:
        self._owners += 1
        lane = Lane(self, self.kafka, site, self.rules)
        check_restored(self.kafka, site.name, lane.docket.window)
        self.lanes[site.name] = lane
        self.after(self.rules.latency * self.rng.random(), lane.read)

    def _crash_everywhere(self) -> None:
        if self.rng.random() < 0.5:
            self.everywhere.alive = False
        self._own_everywhere()

    def _own_everywhere(self) -> None:
        names = frozenset(site.name for site in self.sites)
        self.everywhere = AllSites(self, self.kafka, names, self.most_images, self.rules.latency)
        self.spoken()

    def spoken(self) -> None:
        """Something may stand in readiness that isn't read yet."""
        self.after(self.rules.latency * self.rng.random(), self.everywhere.read)

    def _trouble(self) -> None:
        site = self._any_site()
        site.trouble = self.rng.choice(TROUBLES)
        site.trouble_until = self.now + self.rng.choice([0.1, 5.0, 60.0, 2000.0]) * self.rng.random()
        self.promises.troubled.add(site.name)

    def _damage(self) -> None:
        """A blob rots for good, or until it is mended."""
        site, event = self._any_site(), self.rng.choice(self.history.events or [None])
        if event is not None and event.digest is not None:
            digest = event.digest
            site.damaged.add(digest)
            self.promises.damaged.add((site.name, digest))
            if self.rng.random() < 0.7:
                self.after(self.rng.random() * 100, lambda: site.damaged.discard(digest))

    def _send_back(self) -> None:
        """`farshore deadletter redrive`: each letter once."""
        for letter in self.kafka.dead_letters:
            if letter not in self._sent_back and self.rng.random() < 0.7:
                self._sent_back.add(letter)
                self.promises.sent_back(self.kafka.arrivals[letter])
                self._arrive(self.kafka.arrivals[letter])
                return

    def _repeat(self) -> None:
        """The very same arrival stands in the topic once more."""
        if self.kafka.arrivals:
            arrival = self.rng.choice(self.kafka.arrivals)
            self.promises.repeated(arrival)
            self._arrive(arrival)

    def _publish_again(self) -> None:
        """An operator sets the position of a site back."""
        site = self._any_site()
        end = self._published[site.name]
        for generation in range(self.rng.randint(0, end), end):
            arrival = arrival_of(self.history, generation, site.name, self._passage)
            self.promises.again(arrival)
            self._arrive(arrival)
        self._passage += 1

    def _calm_down(self) -> None:
        self._calm = True
        for site in self.sites:
            site.trouble_until = min(site.trouble_until, self.now)
            if not self.lanes[site.name].alive:
                self._own(site)
            self._transfer_soon()
        if not self.everywhere.alive:
            self._own_everywhere()

    def _at_rest(self) -> bool:
        there = all(site.cover == len(self.history.events) == self._published[site.name] for site in self.sites)
        return there and all(lane.idle for lane in self.lanes.values()) and self.everywhere.idle


def run_schedule(seed: int, *, faulty: bool = True) -> Outcome:
    """Run the schedule that `seed` stands for."""
    rng = random.Random(f"window {seed}")
    if not faulty or rng.random() < 0.6:
        return Schedule(seed, faulty=faulty, small_window=False).run()
    limits = window.MAX_WAITING, window.MIN_ROOM
    window.MAX_WAITING, window.MIN_ROOM = rng.choice(SMALL_WINDOWS), 1
    try:
        return Schedule(seed, faulty=faulty, small_window=True).run()
    finally:
        window.MAX_WAITING, window.MIN_ROOM = limits


def run_range(seeds: tuple[int, int]) -> tuple[str | None, Counter[str]]:
    """Run the schedules of `[first, last)`, every fourth in calm weather, until one breaks.

    Returns what broke and how to see it again, and how many schedules reached what.
    """
    reached: Counter[str] = Counter()
    for seed in range(*seeds):
        faulty = seed % 4 != 0
        try:
            reached.update(run_schedule(seed, faulty=faulty).reached)
        except (InvariantError, FarshoreError, LookupError, TypeError, ValueError) as error:
            failure = (
                f"seed {seed} ({'faulty' if faulty else 'calm'}): {type(error).__name__}: {error}\n"
                f"run it again: python tests/simulation/verifier_campaign.py --first {seed} --schedules 1"
            )
            return failure, reached
    return None, reached


def first_failure(seeds: tuple[int, int]) -> str | None:
    """What breaks first in `[first, last)`."""
    return run_range(seeds)[0]
