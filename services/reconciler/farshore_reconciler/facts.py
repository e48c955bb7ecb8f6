"""What is known of a name, from three sides: the readiness topic, the log of events, and the registries. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from farshore.oci import Digest, Repository, Tag, image_name
from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState


class ImageName(NamedTuple):
    """What can be said to be ready; `reference` is a tag, or `@` and a digest for an image without tag."""

    repository: str
    reference: str

    @classmethod
    def of(cls, repository: Repository, digest: Digest | None, tag: Tag | None) -> "ImageName":
        """The name under which readiness speaks of an image."""
        return cls(repository, tag if tag is not None else f"@{digest}")

    @property
    def tag(self) -> Tag | None:
        """The tag, where it is a name by tag."""
        return None if self.reference.startswith("@") else Tag(self.reference)

    @property
    def digest(self) -> Digest | None:
        """The digest, where it is a name by digest."""
        return Digest(self.reference[1:]) if self.reference.startswith("@") else None

    @property
    def asked_as(self) -> str:
        """The reference as a registry takes it."""
        return self.reference.removeprefix("@")

    def __str__(self) -> str:
        return image_name(self.repository, self.digest, self.tag)


@dataclass(frozen=True, slots=True)
class Said:
    """The last readiness record of a name at a site; `offset` is its event's, -1 where that was in another topic."""

    site: str
    state: ReadinessState
    digest: str | None
    generation: str
    offset: int


@dataclass(frozen=True, slots=True)
class Announced:
    """The last event of a name that `farshore.events` still has."""

    offset: int
    kind: EventKind
    digest: str | None
    event_id: str


class Answer(StrEnum):
    """What a registry answered when it was asked for a name."""

    HAS = "has"
    ABSENT = "absent"
    """It said so: 404 for this very name."""
    UNKNOWN = "unknown"
    """Anything else: an error, silence, a wrong answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the registry at `site` answered; `digest` where it has the name."""

    site: str
    answer: Answer
    digest: str | None = None


Fact = Said | Announced | Seen


@dataclass(slots=True)
class Facts:
    """All that is known of one name."""

    name: ImageName
    said: dict[str, Said] = field(default_factory=dict)
    announced: Announced | None = None
    seen: dict[str, Seen] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        """Take one fact in."""
        match fact:
            case Said():
                self.said[fact.site] = fact
            case Announced():
                self.announced = fact
            case Seen():
                self.seen[fact.site] = fact


def by_name(*streams: Iterable[tuple[ImageName, Fact]]) -> Iterator[Facts]:
    """Each name once, in order, with its facts from all `streams`; each stream has to be sorted by name.

    Holds the facts of one name at a time, however many there are.
    """
    first: Callable[[tuple[ImageName, Fact]], ImageName] = lambda pair: pair[0]  # noqa: E731 - needs its type
    for name, pairs in groupby(merge(*streams, key=first), key=first):
        facts = Facts(name)
        for _, fact in pairs:
            facts.add(fact)
        yield facts
