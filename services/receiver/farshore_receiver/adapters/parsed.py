"""What an adapter finds in a notification. Adapters know a format; they don't know farshore's registries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import EventKind


class Dropped(StrEnum):
    """Why something that was understood is left out."""

    PULL = "pull"
    BLOB_PUSH = "blob-push"
    """The registry doesn't ask for `head_start`."""
    UNKNOWN_BLOB_ACTION = "unknown-blob-action"
    """An action that isn't known, on something that is no manifest."""
    NO_CHANGE = "no-change"
    """It speaks of no change of content, such as a scan's result."""


class Change(NamedTuple):
    """One change of a registry's content, as its notification tells it.

    `place` is where it stands in the envelope, from 0. `occurred_at` is the registry's clock in UTC, `size` in bytes.
    """

    notification_id: str
    place: int
    kind: EventKind
    repository: Repository
    digest: Digest | None
    tag: Tag | None
    media_type: str | None
    size: int | None
    occurred_at: datetime
    registry_instance: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """What can't be handled: the event at `index`, or the whole body when that is None.

    `code` is a stable word for machines, `reason` one line for a person.
    """

    code: str
    reason: str
    index: int | None = None


class Parsed(NamedTuple):
    """All that was in one notification; `instances` are the registry processes that it came from."""

    changes: tuple[Change, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    instances: tuple[str, ...] = ()
