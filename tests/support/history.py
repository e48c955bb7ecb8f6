"""What the topics would hold after a day on which all went well: for tests of the auditor, to be spoilt by hand."""

from datetime import UTC, datetime, timedelta

from evidence import Commit, Evidence, Logged

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival, Generation, Passage
from farshore.records.deadletters import DeadLetter, Redriven
from farshore.records.events import Event, EventKind
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState

SITES = ("fra", "syd")
INCARNATION = "1f3a9c04"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class History:
    """Writes records in the order in which it is told; one partition of each topic."""

    def __init__(self) -> None:
        self.evidence = Evidence()

    def event(
        self, tag: str | None, *, kind: EventKind = EventKind.MANIFEST_PUSHED, content: str = "", event_id: str = ""
    ) -> Logged[Event]:
        """Accept an event about `team/app`; `content` tells digests apart, the tag does where it isn't given."""
        offset = len(self.evidence.events)
        event = Event(
            id=event_id or f"event-{offset}",
            kind=kind,
            registry="main",
            repository=Repository("team/app"),
            digest=Digest.of((content or tag or "").encode()),
            tag=Tag(tag) if tag else None,
            occurred_at=NOON + timedelta(seconds=offset),
            accepted_at=NOON + timedelta(seconds=offset),
        )
        entry = Logged(0, offset, event)
        self.evidence.events.append(entry)
        return entry

    def arrive(
        self, entry: Logged[Event], site: str, *, cover: int | str | None = None, log: str = f"{INCARNATION}-0"
    ) -> Logged[Arrival]:
        """Let it arrive by the snapshot that covers it, or by that of `cover` (or cover and number), maybe of another
        `log`."""
        place = f"{entry.offset + 1}-1" if cover is None else f"{cover}-1" if isinstance(cover, int) else cover
        snapshot = f"farshore-{log}-{place}-5e1f0c4a"
        arrival = Arrival(
            entry.what, Generation(INCARNATION, 0, entry.offset), Passage(site, snapshot, "v-1", "t-1", NOON)
        )
        one = Logged(0, len(self.evidence.arrivals), arrival)
        self.evidence.arrivals.append(one)
        return one

    def say(self, one: Logged[Arrival], state: ReadinessState, *, site: str | None = None) -> None:
        """Say how the arrival ended at its site, or at `site`."""
        arrival, event = one.what, one.what.event
        statement = Readiness(
            state=state,
            event_id=event.id,
            registry=event.registry,
            site=site or arrival.site,
            repository=event.repository,
            digest=event.digest,
            tag=event.tag,
            generation=str(arrival.generation),
            snapshot=None if site == EVERYWHERE else arrival.passage.snapshot,
            snapshot_version=None if site == EVERYWHERE else arrival.passage.snapshot_version,
            pushed_at=event.occurred_at,
            accepted_at=event.accepted_at,
            ready_at=NOON,
        )
        self.evidence.statements.append(Logged(0, len(self.evidence.statements), statement))

    def give_up(self, one: Logged[Arrival], state: ReadinessState) -> int:
        """Say that it failed, and put it to the dead letters; returns the letter's offset."""
        self.say(one, state)
        letter = DeadLetter("farshore-verifier", f"farshore.arrivals/0@{one.offset}", state, "why", NOON, b"{}")
        offset = len(self.evidence.letters) + len(self.evidence.marks)
        self.evidence.letters.append(Logged(0, offset, letter))
        return offset

    def send_back(self, one: Logged[Arrival], letter: int) -> Logged[Arrival]:
        """What redrive does: the arrival's copy, and the letter's mark."""
        copy = Logged(0, len(self.evidence.arrivals), one.what)
        self.evidence.arrivals.append(copy)
        offset = len(self.evidence.letters) + len(self.evidence.marks)
        self.evidence.marks.append(Logged(0, offset, Redriven(letter, "farshore.arrivals", NOON)))
        return copy

    def commit(self, group: str, offset: int | None) -> None:
        """Commit the position of `group` on the events."""
        self.evidence.commits.append(Commit(group, "farshore.events", 0, offset))

    def well(self, entry: Logged[Event], state: ReadinessState = ReadinessState.READY) -> list[Logged[Arrival]]:
        """Let it arrive and be decided everywhere, as it should be; returns its arrivals."""
        arrivals = [self.arrive(entry, site) for site in SITES]
        for one in arrivals:
            self.say(one, state)
        self.say_everywhere(arrivals[-1], state)
        return arrivals

    def say_everywhere(self, one: Logged[Arrival], state: ReadinessState) -> None:
        """Say of all sites what each of them says."""
        if state is ReadinessState.READY:
            self.say(one, ReadinessState.READY_EVERYWHERE, site=EVERYWHERE)
        elif state is ReadinessState.REVOKED:
            self.say(one, ReadinessState.REVOKED, site=EVERYWHERE)
