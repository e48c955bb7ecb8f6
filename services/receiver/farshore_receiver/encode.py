"""An event as the bytes of its record: what `Event.to_cloudevent` makes, with all that repeats itself made once.

A test holds the two against each other.
"""

from datetime import UTC
from functools import cache

from farshore.records.cloudevent import Headers, format_time
from farshore.records.events import Event, EventKind

_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")


def encode(event: Event, traceparent: str | None) -> tuple[bytes, Headers]:
    """Value and headers of the record on `farshore.events`."""
    headers: Headers = [
        _VERSION,
        ("ce_id", event.id.encode()),
        _source(event.registry),
        _type(event.kind),
        ("ce_subject", event.repository.encode()),
        ("ce_time", _time(event).encode()),
        _CONTENT_TYPE,
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return event.model_dump_json(exclude_none=True).encode(), headers


@cache
def _source(registry: str) -> tuple[str, bytes]:
    return "ce_source", f"/registries/{registry}".encode()


@cache
def _type(kind: EventKind) -> tuple[str, bytes]:
    return "ce_type", f"io.farshore.{kind}.v1".encode()


def _time(event: Event) -> str:
    time = event.occurred_at
    if time.tzinfo is not UTC:
        return format_time(time)
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
