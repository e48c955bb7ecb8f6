"""What a lane knows of its arrivals, and what is to be done with the next one: pure.

Arrivals come in the order of their events, but for those that are sent back from the dead letters, or published again.
The last word on an image has to be the one of its last event, so an arrival whose image has a newer event already says
nothing any more once that one has spoken.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from farshore.records.arrivals import Arrival
from farshore.records.events import ANNOUNCED_KINDS
from farshore.records.readiness import ReadinessState
from farshore_verifier.supersede import Place, Places, Reach, Waiting
from farshore_verifier.window import Standing, Window

MAX_REMEMBERED = 20_000
"""Images whose newest event a lane remembers after it was decided, about 400 bytes each."""
_ENDED_WELL = frozenset({ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Begin:
    """The arrival is to be looked at, once the one at offset `after` is concluded; a newer event may bear on it."""

    after: int | None
    touched: Reach | None
    late: bool
    """LATE has been published for it."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The arrival ends without a look: its image has `newest` already. `spoken`: nothing may be said any more."""

    newest: Place
    spoken: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What follows from reading an arrival. `touched` and `moved` are earlier ones that it bears on, or whose volume
    it says has moved on: they are to be looked at again at once. `role` is its own; None where it has none.
    """

    touched: tuple[tuple[int, Reach], ...] = ()
    moved: tuple[int, ...] = ()
    role: Begin | Overtaken | None = None


@dataclass(slots=True)
class _Newest:
    """The newest event of an image; `ended` is the state in which its arrival ended, if that is known."""

    place: Place
    offset: int
    arrived_at: datetime
    ended: ReadinessState | None = None


class Docket:
    """The arrivals of one lane. `window` is what of it is committed."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._places = Places()
        self._waiting = Waiting()
        self._newest: OrderedDict[tuple[str, str], _Newest] = OrderedDict()

    def read(self, offset: int, arrival: Arrival) -> Reading:
        """Take the next arrival, which concerns this lane."""
        event, place = arrival.event, self._places.of(arrival.generation)
        if event.kind not in ANNOUNCED_KINDS:
            return Reading(moved=tuple(self._waiting.of_image(event)))
        touched = tuple(
            (earlier, bearing) for earlier, bearing in self._waiting.touched_by(event, place) if earlier < offset
        )
        standing = self.window.standing(offset)
        role = None if standing is Standing.DECIDED else self._role(offset, arrival, place, standing)
        if isinstance(role, Begin):
            self._waiting.add(offset, event, place)
        if not isinstance(role, Overtaken):
            self._remember(offset, arrival, place, undecided=role is not None)
        if role is not None:
            self.window.wait_for(offset)
        return Reading(touched=touched, role=role)

    def refuse(self, offset: int) -> None:
        """The record at `offset` is nothing that can be looked at; its end is to be committed like any other."""
        self.window.wait_for(offset)

    def end(self, offset: int, image: tuple[str, str], state: ReadinessState) -> None:
        """The arrival at `offset`, of `image` (registry and name), has been decided; its records are on their way."""
        self._waiting.remove(offset)
        newest = self._newest.get(image)
        if newest is not None and newest.offset == offset:
            newest.ended = state

    def _role(self, offset: int, arrival: Arrival, place: Place, standing: Standing) -> Begin | Overtaken:
        event = arrival.event
        newest = self._newest.get((event.registry, event.image))
        if newest is not None and newest.offset != offset:
            undecided = newest.offset in self._waiting
            again = newest.place == place and newest.arrived_at >= arrival.passage.arrived_at
            if again and (undecided or newest.ended in _ENDED_WELL):
                return Overtaken(newest.place, spoken=True)
            if newest.place > place:
                return Overtaken(newest.place, spoken=not undecided)
        before = [earlier for earlier in self._waiting.of_image(event) if earlier < offset]
        return Begin(
            after=before[-1] if before else None,
            touched=self._waiting.bears_on(event, place),
            late=standing is Standing.WAITING_LATE,
        )

    def _remember(self, offset: int, arrival: Arrival, place: Place, *, undecided: bool) -> None:
        image = (arrival.event.registry, arrival.event.image)
        newest = self._newest.get(image)
        if newest is None or newest.place < place or (newest.place == place and undecided):
            self._newest[image] = _Newest(place, offset, arrival.passage.arrived_at)
        self._newest.move_to_end(image)
        if len(self._newest) > MAX_REMEMBERED:
            self._newest.popitem(last=False)
