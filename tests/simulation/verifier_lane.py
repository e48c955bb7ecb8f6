"""One owner of a site's lane: what lane.py, undecided.py, attempts.py and commit.py do, told by a virtual clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from verifier_history import SimulatedSite
from verifier_log import Kafka, Said

from farshore.records.arrivals import Arrival
from farshore.records.events import ANNOUNCED_KINDS
from farshore.records.readiness import ReadinessState
from farshore_verifier.course import Course
from farshore_verifier.docket import Begin, Docket, Overtaken
from farshore_verifier.outcome import Decided, Failed
from farshore_verifier.window import Window


class Clock(Protocol):
    """The schedule, as a process sees it."""

    now: float
    reached: set[str]
    """What was reached in this schedule, for the coverage report."""

    def after(self, seconds: float, what: Callable[[], None]) -> None: ...
    def chance(self) -> float: ...
    def ask_for_snapshot(self, arrival: Arrival) -> bool: ...
    def spoken(self) -> None: ...


@dataclass
class _Undecided:
    offset: int
    arrival: Arrival
    course: Course
    after: int | None
    late: bool
    looking: bool = False
    hurry: bool = False
    pause: int = 0
    """Counts pauses, so that one that was cut short isn't ended twice."""
    ended: bool = False


@dataclass(frozen=True)
class _Conclusion:
    offset: int
    final: bool
    said: Said | None
    letter: bool


@dataclass(frozen=True)
class LaneRules:
    """What the topology says, in seconds."""

    retry_for: float
    objective: float | None
    latency: float


class Lane:
    """Takes over when it is made: fences the former owner first, then reads what that has committed."""

    def __init__(self, clock: Clock, kafka: Kafka, site: SimulatedSite, rules: LaneRules) -> None:
        self.clock, self.kafka, self.site, self.rules = clock, kafka, site, rules
        self.alive = True
        place = kafka.groups[site.name]
        self.owner = place.take_over()
        self.docket = Docket(Window.restore(place.mark))
        self.next = place.mark.offset
        self._undecided: dict[int, _Undecided] = {}
        self._pending: list[_Conclusion] = []
        self._full = False
        self._committing = False
        self._committed = place.mark

    @property
    def idle(self) -> bool:
        """Nothing is left to do."""
        return (
            self.next == len(self.kafka.arrivals)
            and not self._undecided
            and not self._pending
            and not self._committing
            and self.docket.window.mark() == self._committed
        )

    def read(self) -> None:
        """Take what has come, some at a time, as long as there is room."""
        if not self.alive:
            return
        room = self.docket.window.room()
        self._full = room == 0 and self.next < len(self.kafka.arrivals)
        if self._full:
            self.clock.reached.add("lane is full")
        end = min(len(self.kafka.arrivals), self.next + min(room, 1 + int(self.clock.chance() * 8)))
        for offset in range(self.next, end):
            if self.kafka.arrivals[offset].site == self.site.name:
                self._take(offset, self.kafka.arrivals[offset])
        self.next = end
        self.docket.window.read_to(end)
        if self.next < len(self.kafka.arrivals) and not self._full:
            self.clock.after(self.rules.latency * self.clock.chance(), self.read)
        self._commit()

    def _take(self, offset: int, arrival: Arrival) -> None:
        standing = self.docket.window.standing(offset)
        reading = self.docket.read(offset, arrival)
        if arrival.event.kind in ANNOUNCED_KINDS:
            self.clock.reached.add(f"read {standing.value}: {type(reading.role).__name__}")
        for earlier, reach in reading.touched:
            self.clock.reached.add(f"touched by {reach.value}")
            self._undecided[earlier].course.touch(reach)
            self._hurry(self._undecided[earlier])
        for earlier in reading.moved:
            self.clock.reached.add("moved on")
            self._hurry(self._undecided[earlier])
        match reading.role:
            case Begin() as begin:
                self._begin(offset, arrival, begin)
            case Overtaken(spoken=spoken):
                self.clock.reached.add(f"overtaken, {'silent' if spoken else 'superseded'}")
                said = None if spoken else self._statement(offset, arrival, ReadinessState.SUPERSEDED)
                self._conclude(_Conclusion(offset, final=True, said=said, letter=False))

    def _begin(self, offset: int, arrival: Arrival, begin: Begin) -> None:
        course = Course(self.rules.retry_for, self.clock.chance)
        if begin.touched is not None:
            self.clock.reached.add(f"begins touched by {begin.touched.value}")
            course.touch(begin.touched)
        one = _Undecided(offset, arrival, course, begin.after, begin.late)
        self._undecided[offset] = one
        if self.rules.objective is not None and not begin.late:
            self.clock.after(self.rules.objective, lambda: self._say_late(one))
        if begin.after is None:
            self._first_look(one)
        else:
            self.clock.reached.add("waits for its image's earlier one")

    def _first_look(self, one: _Undecided) -> None:
        one.course.begin(self.clock.now)
        self._look(one)

    def _look(self, one: _Undecided) -> None:
        one.hurry, one.looking = False, True
        self.clock.after(self.rules.latency * self.clock.chance(), lambda: self._seen(one))

    def _seen(self, one: _Undecided) -> None:
        if not self.alive:
            return
        one.looking = False
        finding = self.site.look(one.arrival.event, self.clock.now)
        seen = f"{finding.state.value}, explained {finding.explained.name}" if isinstance(finding, Failed) else "good"
        step = one.course.see(finding, self.clock.now)
        if isinstance(step, Decided):
            self.clock.reached.add(f"saw {seen}: {step.state.value}")
            self._decided(one, step)
            return
        self.clock.reached.add(f"saw {seen}: looks again{' and asks' if step.ask_for_snapshot else ''}")
        if step.ask_for_snapshot and self.clock.ask_for_snapshot(one.arrival):
            one.course.asked()
        if one.hurry:
            self._cut_short(one)
            return
        one.pause += 1
        pause = one.pause
        self.clock.after(step.seconds, lambda: self._look_again(one, pause))

    def _look_again(self, one: _Undecided, pause: int) -> None:
        if self.alive and one.pause == pause and not one.looking and not one.ended:
            self._look(one)

    def _hurry(self, one: _Undecided) -> None:
        one.hurry = True
        if one.pause and not one.looking:
            self._cut_short(one)

    def _cut_short(self, one: _Undecided) -> None:
        one.pause += 1
        one.course.hurried()
        self._look(one)

    def _say_late(self, one: _Undecided) -> None:
        if self.alive and not one.ended:
            self.clock.reached.add("late")
            said = self._statement(one.offset, one.arrival, ReadinessState.LATE)
            self._conclude(_Conclusion(one.offset, final=False, said=said, letter=False))

    def _decided(self, one: _Undecided, decided: Decided) -> None:
        one.ended = True
        said = self._statement(one.offset, one.arrival, decided.state)
        self._conclude(_Conclusion(one.offset, final=True, said=said, letter=decided.given_up))
        event = one.arrival.event
        self.docket.end(one.offset, (event.registry, event.image), decided.state)
        del self._undecided[one.offset]
        for waiting in [other for other in self._undecided.values() if other.after == one.offset]:
            self._first_look(waiting)

    def _statement(self, offset: int, arrival: Arrival, state: ReadinessState) -> Said:
        return Said(self.site.name, arrival.event.image, arrival.event.id, arrival.generation.offset, state, offset)

    def _conclude(self, conclusion: _Conclusion) -> None:
        self._pending.append(conclusion)
        self._commit()

    def _commit(self) -> None:
        if self._committing or not self.alive:
            return
        if not self._pending and self.docket.window.mark() == self._committed:
            return
        self._committing = True
        taken, self._pending = self._pending, []
        mark = self.docket.window.conclude((one.offset, one.final) for one in taken)
        said = [one.said for one in taken if one.said is not None]
        letters = [one.offset for one in taken if one.letter]
        ends = [one.offset for one in taken if one.final]
        if self._full and self.docket.window.room():
            self._full = False
            self.clock.after(self.rules.latency * self.clock.chance(), self.read)

        def land() -> None:
            self._committing = False
            if not self.kafka.commit(self.site.name, self.owner, said, letters, mark, ends):
                self.clock.reached.add("fenced")
                self.alive = False
                return
            self._committed = mark
            self.clock.spoken()
            self._commit()

        self.clock.after(self.rules.latency * self.clock.chance(), land)
