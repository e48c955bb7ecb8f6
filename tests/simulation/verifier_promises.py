"""What has to hold of all that the verifier said, told from the world and the log alone."""

from collections import Counter, defaultdict

from verifier_history import History, SimulatedSite
from verifier_log import EVERYWHERE_GROUP, Kafka, Said

from farshore.oci import Digest
from farshore.records.arrivals import Arrival
from farshore.records.events import ANNOUNCED_KINDS, Event, EventKind
from farshore.records.readiness import ReadinessState
from farshore_verifier import window as limits
from farshore_verifier.window import Standing, Window

READY, REVOKED, SUPERSEDED = ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.SUPERSEDED


class InvariantError(AssertionError):
    """A promise was broken."""


def check_restored(kafka: Kafka, site: str, window: Window) -> None:
    """A new owner knows of each arrival exactly what has been committed of it, and no more is undecided than may be."""
    if window.waiting > limits.MAX_WAITING:
        raise InvariantError(f"{site}: {window.waiting} arrivals are undecided")
    late = {said.arrival for said in kafka.readiness if said.site == site and said.state is ReadinessState.LATE}
    decided = kafka.groups[site].decided
    for offset, arrival in enumerate(kafka.arrivals):
        standing = window.standing(offset)
        if arrival.site != site or arrival.event.kind not in ANNOUNCED_KINDS or standing is Standing.NEW:
            if offset in decided:
                raise InvariantError(f"{site}: arrival {offset} is decided, the window says {standing.value}")
            continue
        waiting = Standing.WAITING_LATE if offset in late else Standing.WAITING
        expected = Standing.DECIDED if offset in decided else waiting
        if standing is not expected:
            raise InvariantError(f"{site}: arrival {offset} is {expected.value}, the window says {standing.value}")


class Promises:
    """Checked at the end of a schedule; the schedule tells what excuses what."""

    def __init__(self, kafka: Kafka, history: History, sites: list[SimulatedSite]) -> None:
        self._kafka, self._history = kafka, history
        self._sites = {site.name: site for site in sites}
        self.troubled: set[str] = set()
        """Sites that failed for a while."""
        self.damaged: set[tuple[str, Digest]] = set()
        self.forgets = False
        """The table of all sites is so small that it forgets: what has passed by the time it looks again isn't said."""
        self._again: set[tuple[str, int]] = set()
        self._out_of_order: set[tuple[str, int]] = set()
        self._sent_back: set[tuple[str, int]] = set()
        self._repeated: set[tuple[str, int]] = set()

    def again(self, arrival: Arrival) -> None:
        """An operator asks for it to be said once more."""
        self._again.add((arrival.site, arrival.generation.offset))

    def sent_back(self, arrival: Arrival) -> None:
        """It comes from the dead letters. That it came before is known as long as the lane's owner lives."""
        self._out_of_order.add((arrival.site, arrival.generation.offset))
        self._sent_back.add((arrival.site, arrival.generation.offset))

    def repeated(self, arrival: Arrival) -> None:
        """It stands in the topic twice."""
        self._out_of_order.add((arrival.site, arrival.generation.offset))
        self._repeated.add((arrival.site, arrival.generation.offset))

    def check(self) -> None:
        """Raise InvariantError where a promise was broken."""
        by_arrival: defaultdict[int, list[Said]] = defaultdict(list)
        for said in self._kafka.readiness:
            if said.site != "*":
                self._check_true(said)
                by_arrival[said.arrival].append(said)
        for offset, arrival in enumerate(self._kafka.arrivals):
            if arrival.event.kind in ANNOUNCED_KINDS:
                self._check_once(offset, arrival, by_arrival[offset])
        self._check_each_generation()
        self._check_last_words()
        self._check_everywhere()

    def _forgotten(self, site: str) -> bool:
        """Whether the lane has had another owner, who doesn't know what came out of order."""
        return self._kafka.groups[site].owner > 1

    def _excused(self, site: str, generation: int) -> bool:
        place = (site, generation)
        return place in self._again or (place in self._out_of_order and self._forgotten(site))

    def _check_true(self, said: Said) -> None:
        site, event = self._sites[said.site], self._history.events[said.generation]
        what = f"{said.image} (event {said.generation}) at {said.site} is {said.state.value}"
        match said.state:
            case ReadinessState.READY:
                wrong = said.event not in site.proved
            case ReadinessState.REVOKED:
                wrong = said.event not in site.gone
            case ReadinessState.SUPERSEDED:
                wrong = not self._newer(said, event)
            case ReadinessState.LATE:
                wrong = False
            case ReadinessState.CORRUPT:
                wrong = (said.site, event.digest) not in self.damaged
            case _:
                # a site that was in trouble may have used up the patience that its lag needed afterwards
                wrong = said.site not in self.troubled and not self._excused(said.site, said.generation)
        if wrong:
            raise InvariantError(f"{what}, and it wasn't so")

    def _newer(self, said: Said, event: Event) -> bool:
        """Whether a newer event that makes it moot has arrived at the site."""
        opposed = {EventKind.MANIFEST_PUSHED, EventKind.MANIFEST_DELETED}
        for arrival in self._kafka.arrivals:
            other = arrival.event
            if arrival.site == said.site and arrival.generation.offset > said.generation:
                if other.kind in ANNOUNCED_KINDS and other.image == event.image:
                    return True
                if {other.kind, event.kind} == opposed and other.digest == event.digest:
                    return True
        return False

    def _check_once(self, offset: int, arrival: Arrival, said: list[Said]) -> None:
        """Each arrival ends once, is said to be late at most once and before; none but a moot one ends in silence."""
        ends = [one for one in said if one.state is not ReadinessState.LATE]
        late = [one for one in said if one.state is ReadinessState.LATE]
        if len(ends) > 1 or len(late) > 1:
            raise InvariantError(f"arrival {offset}: {[one.state.value for one in said]}")
        place = (arrival.site, arrival.generation.offset)
        if not ends and not self._may_be_silent(place, arrival):
            raise InvariantError(f"arrival {offset} has no end")
        if said and said[-1] in late:
            raise InvariantError(f"arrival {offset} is late after its end")
        failed = bool(ends) and ends[0].state not in (READY, REVOKED, SUPERSEDED)
        if self._kafka.dead_letters.count(offset) != failed:
            raise InvariantError(f"arrival {offset}: {self._kafka.dead_letters.count(offset)} dead letters")

    def _may_be_silent(self, place: tuple[str, int], arrival: Arrival) -> bool:
        """Whether others may have said it all: a newer event of the image, or the very same one that came twice."""
        if place in self._repeated or (place in self._again and place in self._sent_back):
            return True
        if place not in self._again and place not in self._sent_back:
            return False
        image = arrival.event.image
        return any(
            other.site == arrival.site and other.event.image == image and other.generation > arrival.generation
            for other in self._kafka.arrivals
            if other.event.kind in ANNOUNCED_KINDS
        )

    def _check_each_generation(self) -> None:
        """Ready or revoked once for each image, site and generation."""
        counts = Counter((one.site, one.generation) for one in self._kafka.readiness if one.state in (READY, REVOKED))
        for (site, generation), count in counts.items():
            if site != "*" and count > 1 and not self._excused(site, generation):
                raise InvariantError(f"event {generation} has been good at {site} {count} times")

    def _check_last_words(self) -> None:
        """The last word on an image is about its last event, and it is what the world allows it to be."""
        last = {(said.site, said.image): said for said in self._kafka.readiness}
        newest = {event.image: number for number, event in enumerate(self._history.events) if _announced(event)}
        unsure = {(site, self._history.events[number].image) for site, number in self._out_of_order}
        for site in self._sites.values():
            for image, number in newest.items():
                if (site.name, image) in unsure and self._forgotten(site.name):
                    continue
                said, event = last.get((site.name, image)), self._history.events[number]
                if said is None or said.generation != number:
                    raise InvariantError(f"{site.name}: the last word on {image} is {said}, its last event {number}")
                good = READY if event.kind is EventKind.MANIFEST_PUSHED else REVOKED
                excused = site.name in self.troubled or (site.name, event.digest) in self.damaged
                if said.state not in (good, SUPERSEDED) and not excused:
                    raise InvariantError(f"{site.name}: {image} ended {said.state.value} in fair weather")

    def _check_everywhere(self) -> None:
        """It is said of every site exactly when each one's last word is the same good one, and once each time."""
        words: defaultdict[str, dict[str, tuple[str, ReadinessState]]] = defaultdict(dict)
        expected: Counter[tuple[str, ReadinessState]] = Counter()
        announced: Counter[tuple[str, ReadinessState]] = Counter()
        for said in self._kafka.readiness:
            if said.site == "*":
                state = READY if said.state is ReadinessState.READY_EVERYWHERE else REVOKED
                announced[said.event, state] += 1
                if announced[said.event, state] > expected[said.event, state]:
                    raise InvariantError(f"{said.event} is {state.value} everywhere too early, or twice")
                continue
            here = words[said.image]
            here.pop(said.site, None)
            if said.state in (READY, REVOKED):
                here[said.site] = (said.event, said.state)
            if len(here) == len(self._sites) and len(set(here.values())) == 1:
                expected[said.event, said.state] += 1
                here.clear()
        for (event, state), missing in (expected - announced).items():
            number = int(event.removeprefix("e"))
            image = self._image(number)
            again = any(number == generation for _, generation in self._again)
            # a new owner takes what stands before the statement for said, also what was said once more meanwhile
            said_once = again and announced[event, state] > 0 and self._forgotten(EVERYWHERE_GROUP)
            passed = (
                again
                or any(one.generation > number for one in self._kafka.readiness if one.image == image)
                or any(self._image(generation) == image for _, generation in self._out_of_order)
            )
            if missing and not said_once and not (self.forgets and passed):
                raise InvariantError(f"{event} is {state.value} everywhere, and that isn't said")

    def _image(self, number: int) -> str:
        return self._history.events[number].image


def _announced(event: Event) -> bool:
    return event.kind in ANNOUNCED_KINDS
