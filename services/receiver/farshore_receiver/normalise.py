"""Step 4: from what a format says to farshore's events: ids, ownership of the repository, what counts."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from farshore.records.events import Event, EventKind
from farshore.topology import Registry
from farshore_receiver.adapters import Change, Dropped, Parsed, Rejected

MOST_SINGLED_OUT = 100
"""Events of one body that become a dead letter each."""


class Notification(NamedTuple):
    """What becomes of one request's body."""

    events: tuple[Event, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    instances: tuple[str, ...] = ()


class Normaliser:
    """The rules of one registry; pure."""

    def __init__(self, registry: str, registries: Mapping[str, Registry]) -> None:
        self._registry = registry
        self._head_start = registries[registry].notifications.head_start
        self._owners = sorted(
            ((entry.prefix, name) for name, entry in registries.items()), key=lambda pair: len(pair[0]), reverse=True
        )

    def normalise(self, parsed: Parsed, accepted_at: datetime) -> Notification:
        """The events in their order; those that another registry owns are rejected, hints nobody asked for dropped."""
        events: list[Event] = []
        dropped = list(parsed.dropped)
        rejected = list(parsed.rejected)
        for change in parsed.changes:
            owner = self._owner(change.repository)
            if owner != self._registry:
                belongs = f"belongs to the registry {owner}" if owner else "has the prefix of no registry"
                reason = f"{change.repository} {belongs}, and {self._registry} announced it"
                rejected.append(Rejected("wrong-registry", reason, change.place))
            elif change.kind is EventKind.BLOB_PUSHED and not self._head_start:
                dropped.append(Dropped.BLOB_PUSH)
            else:
                events.append(self._event(change, accepted_at))
        return Notification(tuple(events), tuple(dropped), _few(rejected), parsed.instances)

    def _owner(self, repository: str) -> str | None:
        """The registry with the longest prefix that the repository has."""
        for prefix, name in self._owners:
            if repository.startswith(prefix):
                return name
        return None

    def _event(self, change: Change, accepted_at: datetime) -> Event:
        return Event(
            id=event_id(self._registry, change.notification_id, change.place),
            kind=change.kind,
            registry=self._registry,
            repository=change.repository,
            digest=change.digest,
            tag=change.tag,
            media_type=change.media_type,
            size=change.size,
            occurred_at=change.occurred_at,
            accepted_at=accepted_at,
            registry_instance=change.registry_instance,
        )


def _few(rejected: list[Rejected]) -> tuple[Rejected, ...]:
    """Each for itself, or where there are many the whole body once: its sender waits while they are written."""
    if len(rejected) <= MOST_SINGLED_OUT:
        return tuple(rejected)
    first = rejected[0]
    return (Rejected(first.code, f"{len(rejected)} of its events can't be used, the first: {first.reason}"),)


def event_id(registry: str, notification_id: str, index: int) -> str:
    """The same for the same notification, however often it is sent: 32 hex digits of a SHA-256, in UUID's form.

    It isn't a UUID of RFC 9562's version 5, which is SHA-1. No part can hold the separator.
    """
    text = hashlib.sha256(f"{registry}\0{notification_id}\0{index}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
