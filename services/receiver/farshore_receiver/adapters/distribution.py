"""Notifications of CNCF distribution 2.8 and 3.x: the same envelope under two content types.

Source: distribution's "Work with notifications", and what both versions were seen to send (tests/payloads): a
manifest's push names it by digest and, when pushed by tag, by tag; a tag's deletion (3.x, or the tags of a deleted
manifest) has a tag and no digest; a deletion by digest doesn't tell whether it was a manifest or a blob.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from farshore.oci import Digest, InvalidNameError, Repository, Tag
from farshore.records.events import EventKind
from farshore_receiver.adapters.parsed import Change, Dropped, Parsed, Rejected
from farshore_receiver.adapters.strict_json import NotJsonError, parse_json

CONTENT_TYPE_2_8 = "application/vnd.docker.distribution.events.v1+json"
CONTENT_TYPE_3 = "application/vnd.docker.distribution.events.v2+json"

_MANIFEST = re.compile(r"application/vnd\.(oci|docker)\.[a-z.]*(manifest|index)([.+].*)?")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+/;= -]{1,255}")
_WORD = re.compile(r"[\x21-\x7e]{1,255}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_SIZE = 2**63 - 1

N = TypeVar("N", Digest, Repository, Tag)


def parse(_headers: Mapping[bytes, bytes], body: bytes) -> Parsed:
    """What an envelope of events says. Any body gives a result; nothing is raised."""
    try:
        envelope = parse_json(body)
        events = _events_of(envelope)
    except NotJsonError as error:
        return Parsed(rejected=(Rejected("not-json", str(error)),))
    except _UnusableError as error:
        return Parsed(rejected=(Rejected(error.code, error.reason),))
    changes: list[Change] = []
    dropped: list[Dropped] = []
    rejected: list[Rejected] = []
    instances: list[str] = []
    for index, event in enumerate(events):
        try:
            found = _read_event(event, index, instances)
        except _UnusableError as error:
            rejected.append(Rejected(error.code, error.reason, index))
        else:
            if isinstance(found, Change):
                changes.append(found)
            else:
                dropped.append(found)
    return Parsed(tuple(changes), tuple(dropped), tuple(rejected), tuple(dict.fromkeys(instances)))


def single_out(body: bytes, indexes: Sequence[int]) -> list[bytes]:
    """The events at `indexes` of a body that `parse` understood, each as an envelope of its own."""
    events = parse_json(body)["events"]
    if len(events) == 1:
        return [body for _ in indexes]
    return [json.dumps({"events": [events[index]]}).encode() for index in indexes]


class _UnusableError(Exception):
    """An envelope or an event that can't be used."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def _events_of(envelope: Any) -> list[Any]:
    if not isinstance(envelope, dict) or "events" not in envelope:
        raise _UnusableError("not-an-envelope", "it is not an object with the key events")
    events = envelope["events"]
    if events is None:  # how Go writes an empty slice that was never made
        return []
    if not isinstance(events, list):
        raise _UnusableError("not-an-envelope", "events is not a list")
    return events


def _read_event(event: Any, index: int, instances: list[str]) -> Change | Dropped:
    if not isinstance(event, dict):
        raise _UnusableError("malformed-event", "it is not an object")
    source = _part(event, "source")
    instance = _word(source, "instanceID")
    if instance:
        instances.append(instance)
    action = event.get("action")
    if action == "pull":
        return Dropped.PULL
    target = _part(event, "target")
    media_type = _media_type(target)
    digest, tag = _name(target, "digest", Digest), _name(target, "tag", Tag)
    kind = _kind(action, media_type, digest, tag)
    if isinstance(kind, Dropped):
        return kind
    repository = _name(target, "repository", Repository)
    if repository is None:
        raise _UnusableError("malformed-event", "target.repository is missing")
    notification_id = _word(event, "id")
    if not notification_id:
        raise _UnusableError("malformed-event", "id is missing")
    return Change(
        notification_id=notification_id,
        place=index,
        kind=kind,
        repository=repository,
        digest=digest,
        tag=tag,
        media_type=media_type,
        size=_size(target),
        occurred_at=_time(event),
        registry_instance=instance,
    )


def _kind(action: Any, media_type: str | None, digest: Digest | None, tag: Tag | None) -> EventKind | Dropped:
    is_manifest = tag is not None or (media_type is not None and _MANIFEST.fullmatch(media_type) is not None)
    match action:
        case "delete" if digest is not None:
            return EventKind.MANIFEST_DELETED
        case "delete" if tag is not None:
            return EventKind.TAG_DELETED
        case "push" | "mount" if digest is None:
            raise _UnusableError("malformed-event", f"a {action} without a digest")
        case "push" if is_manifest:
            return EventKind.MANIFEST_PUSHED
        case "push" if media_type is not None:
            return EventKind.BLOB_PUSHED
        case "mount":
            return EventKind.BLOB_MOUNTED
        case "push":
            raise _UnusableError("malformed-event", "a push without a media type")
        case "delete":
            raise _UnusableError("malformed-event", "a delete without a digest and without a tag")
        case str() if media_type is not None and not is_manifest:
            return Dropped.UNKNOWN_BLOB_ACTION
        case str():
            raise _UnusableError("unknown-action", f"the action {action[:40]!r} is not known")
        case _:
            raise _UnusableError("malformed-event", "action is not text")


def _part(event: dict[str, Any], key: str) -> dict[str, Any]:
    value = event.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _UnusableError("malformed-event", f"{key} is not an object")
    return value


def _text(part: dict[str, Any], key: str) -> str | None:
    value = part.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _UnusableError("malformed-event", f"{key} is not text")
    return value


def _word(part: dict[str, Any], key: str) -> str | None:
    value = _text(part, key)
    if value is not None and not _WORD.fullmatch(value):
        raise _UnusableError("malformed-event", f"{key} is not a word of at most 255 printable ASCII characters")
    return value


def _media_type(target: dict[str, Any]) -> str | None:
    value = _text(target, "mediaType")
    if value is not None and not _MEDIA_TYPE.fullmatch(value):
        raise _UnusableError("malformed-event", "target.mediaType is not a media type")
    return value


def _name(target: dict[str, Any], key: str, kind: type[N]) -> N | None:
    value = _text(target, key)
    if value is None:
        return None
    try:
        return kind.parse(value)
    except InvalidNameError as error:
        raise _UnusableError("malformed-event", f"target.{key}: {error}") from error


def _size(target: dict[str, Any]) -> int | None:
    value = target.get("size")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_SIZE:
        raise _UnusableError("malformed-event", "target.size is not a number of bytes")
    return value


def _time(event: dict[str, Any]) -> datetime:
    """The event's time; fractions below a microsecond are cut. Go's zero time and other nonsense is refused."""
    value = _text(event, "timestamp")
    try:
        if value is not None and _RFC_3339.fullmatch(value):
            time = datetime.fromisoformat(value.upper()).astimezone(UTC)
            if time >= _EPOCH:
                return time
    except (ValueError, OverflowError):
        pass
    raise _UnusableError("malformed-event", "timestamp is not an RFC 3339 time since 1970")
