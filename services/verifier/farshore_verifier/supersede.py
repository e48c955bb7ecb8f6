"""Which newer event makes an older one moot: pure.

"Newer" is by generation, the events' own order; the order in which arrivals are read is not enough, since one that was
sent back from the dead letters is read long after those that came after it.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from farshore.oci import image_name
from farshore.records.arrivals import Generation
from farshore.records.events import ANNOUNCED_KINDS, Event, EventKind


class Reach(Enum):
    """How far a newer event makes an older one moot."""

    NAME = "the same name"
    """Whatever keeps the older one from being proved: its name now means the newer one."""
    CONTENT = "the same content"
    """Only where the newer one explains the failure: a delete explains absence, a push explains presence."""


_OPPOSED = {
    EventKind.MANIFEST_PUSHED: EventKind.MANIFEST_DELETED,
    EventKind.MANIFEST_DELETED: EventKind.MANIFEST_PUSHED,
}
_Subject = tuple[str, str, EventKind | None]
"""What an event is about: registry and image by name, or registry, image by digest, and what happened to that."""


def reach(newer: Event, older: Event) -> Reach | None:
    """How `newer` bears on `older`, both of one registry; None where it doesn't."""
    if newer.repository != older.repository or newer.kind not in ANNOUNCED_KINDS:
        return None
    if newer.image == older.image:
        return Reach.NAME
    opposed = _OPPOSED.get(newer.kind) is older.kind
    return Reach.CONTENT if opposed and newer.digest == older.digest else None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands among all of its registry: by incarnation of the log, then by offset."""

    log: int
    offset: int


class Places:
    """Puts generations in order. Of two incarnations of the log, the one that is seen first is the older one."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, int], int] = {}

    def of(self, generation: Generation) -> Place:
        """The place of `generation`."""
        log = self._logs.setdefault((generation.incarnation, generation.partition), len(self._logs))
        return Place(log, generation.offset)


class Waiting:
    """The undecided arrivals of a lane by what they are about, so that a newer one finds those that it touches."""

    def __init__(self) -> None:
        self._events: dict[int, tuple[Event, Place]] = {}
        self._about: defaultdict[_Subject, set[int]] = defaultdict(set)

    def __contains__(self, offset: int) -> bool:
        return offset in self._events

    def add(self, offset: int, event: Event, place: Place) -> None:
        """The arrival at `offset` is to be decided."""
        self._events[offset] = event, place
        for subject in _subjects(event, event.kind):
            self._about[subject].add(offset)

    def remove(self, offset: int) -> None:
        """The arrival at `offset` has been decided."""
        event, _ = self._events.pop(offset)
        for subject in _subjects(event, event.kind):
            self._about[subject].discard(offset)
            if not self._about[subject]:
                del self._about[subject]

    def touched_by(self, newer: Event, place: Place) -> Iterator[tuple[int, Reach]]:
        """The undecided arrivals of events before `place` that `newer`, which stands there, makes moot, and how far."""
        for offset in self._concerned(newer):
            event, own = self._events[offset]
            bearing = reach(newer, event) if own < place else None
            if bearing is not None:
                yield offset, bearing

    def bears_on(self, older: Event, place: Place) -> Reach | None:
        """How the undecided arrivals of events after `place` bear on `older`, which stands there."""
        found = set()
        for offset in self._concerned(older):
            event, own = self._events[offset]
            if own > place:
                found.add(reach(event, older))
        return next((bearing for bearing in Reach if bearing in found), None)

    def of_image(self, event: Event) -> list[int]:
        """The undecided arrivals of the event's image by name, in the order in which they were read."""
        return sorted(self._about.get((event.registry, event.image, None), ()))

    def _concerned(self, event: Event) -> list[int]:
        """Those that `event` may bear on, or be touched by: not the many that have the same digest by other names."""
        subjects = _subjects(event, _OPPOSED.get(event.kind))
        return sorted({offset for subject in subjects for offset in self._about.get(subject, ())})


def _subjects(event: Event, kind: EventKind | None) -> list[_Subject]:
    """The event's image by name, and by digest where it has one and something of `kind` happens to that."""
    named: list[_Subject] = [(event.registry, event.image, None)]
    if event.digest is None or kind is None:
        return named
    return [*named, (event.registry, image_name(event.repository, event.digest, None), kind)]
