"""The event that stands for a notification that was lost. Pure."""

import hashlib
from datetime import datetime

from farshore.oci import Digest, Repository
from farshore.records.events import Event
from farshore_reconciler.judge import Missing


def missing_event(registry: str, missing: Missing, now: datetime) -> Event:
    """The event; `now` stands for its times, since nobody knows when the registry did it."""
    return Event(
        id=event_id(registry, missing),
        kind=missing.kind,
        registry=registry,
        repository=Repository(missing.name.repository),
        digest=Digest(missing.digest) if missing.digest else None,
        tag=missing.name.tag,
        occurred_at=now,
        accepted_at=now,
    )


def event_id(registry: str, missing: Missing) -> str:
    """The same wherever the same is found missing, so that two runs announce one thing; no part holds the separator."""
    parts = (registry, *missing.name, missing.kind.value, missing.digest or "", missing.epoch)
    return f"reconcile-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"
