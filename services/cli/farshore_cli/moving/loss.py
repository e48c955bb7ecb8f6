"""What a forced move loses: the events after the cover, by image, against what the target really has. Pure.

The cover says what is certainly there. What was announced behind it may be there too, for a snapshot can hold more than
it announces; so each such image is asked for at the target's registry, and only what it contradicts is lost.

Each lost image is corrected by an event of its own, behind the others in the log: a deletion where the target has
nothing, a push of what it has instead. So the pipeline ends what it would look for in vain, and readiness is revoked
where it was given. The corrections carry the move's id: they tell a later run what was lost.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import ANNOUNCED_KINDS, Event, EventKind


@dataclass(frozen=True, slots=True)
class LostImage:
    """An image whose last event didn't come through."""

    repository: Repository
    tag: Tag | None
    image: str
    """`repository:tag`, or `repository@digest`."""
    events: int
    """How many of its events lie behind the cover."""
    kind: EventKind
    """Of the last one."""
    digest: Digest | None
    """What that one named; None for a tag's deletion."""
    there: Digest | None
    """What the target has under this name instead; None where it has nothing."""
    announced: bool
    """Whether the correction is in the log."""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "image": self.image,
            "events": self.events,
            "kind": str(self.kind),
            "digest": self.digest,
            "there": self.there,
        }

    @property
    def words(self) -> str:
        """The same for people."""
        what = f"its push of {self.digest}" if self.kind is EventKind.MANIFEST_PUSHED else "its deletion"
        return f"{self.image}: {what} is lost; the target has {self.there or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Loss:
    """What the log announced in [cover, end), and the target doesn't have."""

    cover: int
    end: int
    events: int
    """How many events of the registry lie there, those that came through all the same included."""
    images: tuple[LostImage, ...]
    complete: bool = True
    """False where Kafka has deleted events behind the cover already."""

    @property
    def unannounced(self) -> list[LostImage]:
        """Those whose correction is still to be written."""
        return [image for image in self.images if not image.announced]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "cover": self.cover,
            "end": self.end,
            "events": self.events,
            "complete": self.complete,
            "images": [image.as_json() for image in self.images],
        }


@dataclass(slots=True)
class Behind:
    """The events of one image behind the cover."""

    last: Event
    events: int = 1
    correction: Event | None = None


@dataclass(slots=True)
class Window:
    """All that was announced behind the cover, by image."""

    move: str
    """Events of this move are its corrections."""
    images: dict[str, Behind] = field(default_factory=dict)
    events: int = 0

    def take(self, events: Iterable[Event]) -> None:
        """Take in the next events, in the log's order."""
        for event in events:
            if event.kind not in ANNOUNCED_KINDS:
                continue
            behind = self.images.get(event.image)
            if self.move and event.id.startswith(f"{self.move}/"):
                if behind is not None:
                    behind.correction = event
                continue
            self.events += 1
            if behind is None:
                self.images[event.image] = Behind(event)
            else:
                behind.last, behind.events = event, behind.events + 1

    @property
    def to_ask(self) -> list[Event]:
        """The last event of each image that has no correction yet."""
        return [behind.last for behind in self.images.values() if behind.correction is None]

    def lost(self, there: Mapping[str, Digest | None]) -> tuple[LostImage, ...]:
        """The images that are corrected, and of those that the target was asked for (`there`, by image) the ones that
        it contradicts."""
        return tuple(
            image
            for name, behind in self.images.items()
            if (image := _lost(behind, there.get(name), asked=name in there)) is not None
        )


def _lost(behind: Behind, there: Digest | None, *, asked: bool) -> LostImage | None:
    last, correction = behind.last, behind.correction
    if correction is not None:
        there = correction.digest if correction.kind is EventKind.MANIFEST_PUSHED else None
    elif not asked or _came_through(last, there):
        return None
    digest = last.digest if last.kind is not EventKind.TAG_DELETED else None
    announced = correction is not None
    return LostImage(last.repository, last.tag, last.image, behind.events, last.kind, digest, there, announced)


def _came_through(event: Event, there: Digest | None) -> bool:
    return there == event.digest if event.kind is EventKind.MANIFEST_PUSHED else there is None


def correction(move: str, registry: str, lost: LostImage, now: datetime) -> Event:
    """The event that makes the log say what the target has; the same for the same loss."""
    kind, digest = EventKind.MANIFEST_PUSHED, lost.there
    if lost.there is None:
        kind = EventKind.TAG_DELETED if lost.tag is not None else EventKind.MANIFEST_DELETED
        digest = lost.digest if lost.tag is None else None
    return Event(
        id=f"{move}/{hashlib.sha256(lost.image.encode()).hexdigest()[:32]}",
        kind=kind,
        registry=registry,
        repository=lost.repository,
        digest=digest,
        tag=lost.tag,
        occurred_at=now,
        accepted_at=now,
    )
