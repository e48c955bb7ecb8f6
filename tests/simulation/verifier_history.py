"""What was pushed and deleted, and what a site shows of it: the world that the verifier looks at."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival, Generation, Passage
from farshore.records.events import Event, EventKind
from farshore.records.readiness import ReadinessState
from farshore_verifier.outcome import Explained, Failed, FailureState, Finding, Gone, Proven

REGISTRY = "main"
APP = Repository("app")
DIGESTS = [Digest.of(bytes([number])) for number in range(4)]
TAGS = [Tag("v1"), Tag("v2")]
START = datetime(2026, 1, 1, tzinfo=UTC)
TROUBLES: tuple[FailureState, ...] = (
    ReadinessState.UNREACHABLE,
    ReadinessState.TIMED_OUT,
    ReadinessState.REGISTRY_ERROR,
)


@dataclass(frozen=True)
class Content:
    """What a registry serves at one moment."""

    manifests: frozenset[Digest] = frozenset()
    tags: tuple[tuple[Tag, Digest], ...] = ()

    def tag(self, tag: Tag) -> Digest | None:
        return dict(self.tags).get(tag)

    def after(self, event: Event) -> "Content":
        """The content once `event` has happened."""
        tags = dict(self.tags)
        digest = event.digest
        if event.kind is EventKind.MANIFEST_PUSHED and digest is not None:
            if event.tag is not None:
                tags[event.tag] = digest
            return Content(self.manifests | {digest}, tuple(tags.items()))
        if event.kind is EventKind.MANIFEST_DELETED and digest is not None:
            left = tuple((tag, to) for tag, to in tags.items() if to != digest)
            return Content(self.manifests - {digest}, left)
        if event.kind is EventKind.TAG_DELETED and event.tag is not None:
            tags.pop(event.tag, None)
        return Content(self.manifests, tuple(tags.items()))


class History:
    """The registry's events in order; `contents[n]` is what the first n of them have led to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.contents = [Content()]

    def happen(self, kind: EventKind, digest: Digest | None, tag: Tag | None, now: float) -> Event:
        event = Event(
            id=f"e{len(self.events)}",
            kind=kind,
            registry=REGISTRY,
            repository=APP,
            digest=digest,
            tag=tag,
            occurred_at=START + timedelta(seconds=now),
            accepted_at=START + timedelta(seconds=now),
        )
        self.events.append(event)
        self.contents.append(self.contents[-1].after(event))
        return event

    def next_event(self, rng: random.Random, now: float) -> None:
        """Something happens; a manifest's deletion is followed by one of each tag, as distribution says it."""
        content = self.contents[-1]
        chance = rng.random()
        if chance < 0.15 and content.manifests:
            digest = rng.choice(sorted(content.manifests))
            tags = [tag for tag, to in content.tags if to == digest]
            self.happen(EventKind.MANIFEST_DELETED, digest, None, now)
            for tag in tags:
                self.happen(EventKind.TAG_DELETED, None, tag, now)
        elif chance < 0.25 and content.tags:
            self.happen(EventKind.TAG_DELETED, None, rng.choice(sorted(content.tags))[0], now)
        else:
            self.happen(EventKind.MANIFEST_PUSHED, rng.choice(DIGESTS), rng.choice([None, *TAGS, *TAGS]), now)


@dataclass
class SimulatedSite:
    """One replica: what it exports, what ails it, and what was truly there when it was looked at."""

    name: str
    history: History
    cover: int = 0
    """Of the exported snapshot."""
    lacks_a_tag: bool = False
    """The snapshot was taken before the registry wrote the last event's tag."""
    trouble_until: float = 0.0
    trouble: FailureState = ReadinessState.UNREACHABLE
    damaged: set[Digest] = field(default_factory=set)
    proved: set[str] = field(default_factory=set)
    """Events whose content a look has truly found here."""
    gone: set[str] = field(default_factory=set)

    @property
    def content(self) -> Content:
        shown = self.history.contents[self.cover]
        if not self.lacks_a_tag:
            return shown
        return Content(shown.manifests, self.history.contents[self.cover - 1].tags)

    def look(self, event: Event, now: float) -> Finding:
        """What the real look finds: the tag first, then content."""
        if now < self.trouble_until:
            return Failed(self.trouble, "trouble")
        content = self.content
        if event.kind is not EventKind.MANIFEST_PUSHED:
            served = content.tag(event.tag) is not None if event.tag else event.digest in content.manifests
            if served:
                return Failed(ReadinessState.REGISTRY_ERROR, "still served", Explained.BY_LAG)
            self.gone.add(event.id)
            return Gone()
        if event.tag is not None and content.tag(event.tag) != event.digest:
            return Failed(ReadinessState.NOT_FOUND, "another tag", Explained.BY_LAG)
        if event.digest not in content.manifests:
            return Failed(ReadinessState.NOT_FOUND, "no manifest", Explained.BY_LAG)
        if event.digest in self.damaged:
            return Failed(ReadinessState.CORRUPT, "damaged")
        self.proved.add(event.id)
        return Proven("content", (), 1, "receipt")


def arrival_of(history: History, generation: int, site: str, published: int) -> Arrival:
    """`published` counts how often it was published: each time is another passage."""
    passage = Passage(site, f"s{generation}", "v", None, START + timedelta(hours=published))
    return Arrival(history.events[generation], Generation("0a", 0, generation), passage)
