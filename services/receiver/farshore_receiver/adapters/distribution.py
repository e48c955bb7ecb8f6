"""Notifications of CNCF distribution 2.8 and 3.x: the same envelope under two content types.

Source: distribution's "Work with notifications", and what both versions were seen to send (tests/payloads): a
manifest's push names it by digest and, when pushed by tag, by tag; a tag's deletion (3.x, or the tags of a deleted
manifest) has a tag and no digest; a deletion by digest doesn't tell whether it was a manifest or a blob.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import EventKind
from farshore_receiver.adapters import fields
from farshore_receiver.adapters.fields import UnusableError
from farshore_receiver.adapters.parsed import Change, Dropped, Parsed, Rejected
from farshore_receiver.adapters.strict_json import NotJsonError, parse_json

CONTENT_TYPE_2_8 = "application/vnd.docker.distribution.events.v1+json"
CONTENT_TYPE_3 = "application/vnd.docker.distribution.events.v2+json"

_MANIFEST = re.compile(r"application/vnd\.(oci|docker)\.[a-z.]*(manifest|index)([.+].*)?")
_LARGEST_SIZE = 2**63 - 1
_TARGET = "target."


def parse(_headers: Mapping[bytes, bytes], body: bytes) -> Parsed:
    """What an envelope of events says. Any body gives a result; nothing is raised."""
    try:
        envelope = parse_json(body)
        events = _events_of(envelope)
    except NotJsonError as error:
        return Parsed(rejected=(Rejected("not-json", str(error)),))
    except UnusableError as error:
        return Parsed(rejected=(Rejected(error.code, error.reason),))
    changes: list[Change] = []
    dropped: list[Dropped] = []
    rejected: list[Rejected] = []
    instances: list[str] = []
    for index, event in enumerate(events):
        try:
            found = _read_event(event, index, instances)
        except UnusableError as error:
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


def _events_of(envelope: Any) -> list[Any]:
    if not isinstance(envelope, dict) or "events" not in envelope:
        raise UnusableError("not-an-envelope", "it is not an object with the key events")
    events = envelope["events"]
    if events is None:  # how Go writes an empty slice that was never made
        return []
    if not isinstance(events, list):
        raise UnusableError("not-an-envelope", "events is not a list")
    return events


def _read_event(event: Any, index: int, instances: list[str]) -> Change | Dropped:
    if not isinstance(event, dict):
        raise UnusableError("malformed-event", "it is not an object")
    source = fields.part(event, "source")
    instance = fields.word(source, "instanceID")
    if instance:
        instances.append(instance)
    action = event.get("action")
    if action == "pull":
        return Dropped.PULL
    target = fields.part(event, "target")
    media_type = fields.media_type(target, within=_TARGET)
    digest, tag = fields.name(target, "digest", Digest, within=_TARGET), fields.name(target, "tag", Tag, within=_TARGET)
    kind = _kind(action, media_type, digest, tag)
    if isinstance(kind, Dropped):
        return kind
    repository = fields.name(target, "repository", Repository, within=_TARGET)
    if repository is None:
        raise UnusableError("malformed-event", "target.repository is missing")
    notification_id = fields.word(event, "id")
    if not notification_id:
        raise UnusableError("malformed-event", "id is missing")
    return Change(
        notification_id=notification_id,
        place=index,
        kind=kind,
        repository=repository,
        digest=digest,
        tag=tag,
        media_type=media_type,
        size=_size(target),
        occurred_at=fields.time(event, "timestamp"),
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
            raise UnusableError("malformed-event", f"a {action} without a digest")
        case "push" if is_manifest:
            return EventKind.MANIFEST_PUSHED
        case "push" if media_type is not None:
            return EventKind.BLOB_PUSHED
        case "mount":
            return EventKind.BLOB_MOUNTED
        case "push":
            raise UnusableError("malformed-event", "a push without a media type")
        case "delete":
            raise UnusableError("malformed-event", "a delete without a digest and without a tag")
        case str() if media_type is not None and not is_manifest:
            return Dropped.UNKNOWN_BLOB_ACTION
        case str():
            raise UnusableError("unknown-action", f"the action {action[:40]!r} is not known")
        case _:
            raise UnusableError("malformed-event", "action is not text")


def _size(target: dict[str, Any]) -> int | None:
    value = target.get("size")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_SIZE:
        raise UnusableError("malformed-event", "target.size is not a number of bytes")
    return value
