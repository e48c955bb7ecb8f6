"""Events of zot: a CloudEvent 1.0 each, over HTTP in binary mode, so its attributes are headers and the body its data.

Source: zot's code of August 2026 (commit 6d19b44: pkg/extensions/events, pkg/storage/imagestore). An event is made when
`index.json` is written, so a tag is there already; a push that changes nothing makes none. `reference` is the tag, or
the digest where content was pushed or deleted by that. zot sends each event once and doesn't wait for the answer: what
isn't taken is lost, and two may overtake one another.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from farshore.oci import Digest, InvalidNameError, Repository, Tag
from farshore.records.events import EventKind
from farshore_receiver.adapters import fields
from farshore_receiver.adapters.fields import UnusableError
from farshore_receiver.adapters.parsed import Change, Dropped, Parsed, Rejected
from farshore_receiver.adapters.strict_json import NotJsonError, parse_json

CONTENT_TYPE = "application/json"
TYPES = "zotregistry."
"""How the types of zot's events begin."""

_UPDATED = "zotregistry.image.updated"
_DELETED = "zotregistry.image.deleted"
_NO_CHANGE = {"zotregistry.repository.created", "zotregistry.image.lint_failed", "zotregistry.image.scanned"}


def parse(headers: Mapping[bytes, bytes], body: bytes) -> Parsed:
    """What an event says. Anything gives a result; nothing is raised."""
    attributes = {key: headers.get(f"ce-{key}".encode(), b"").decode("latin-1") for key in ("type", "id", "time")}
    kind = attributes["type"]
    if kind in _NO_CHANGE:
        return Parsed(dropped=(Dropped.NO_CHANGE,))
    try:
        if kind not in {_UPDATED, _DELETED}:
            raise UnusableError("unknown-action", f"the type {kind[:60]!r} is not known")
        return Parsed(changes=(_change(attributes, parse_json(body)),))
    except NotJsonError as error:
        return Parsed(rejected=(Rejected("not-json", str(error)),))
    except UnusableError as error:
        return Parsed(rejected=(Rejected(error.code, error.reason),))


def single_out(body: bytes, indexes: Sequence[int]) -> list[bytes]:
    """A body is one event."""
    return [body for _ in indexes]


def _change(attributes: dict[str, Any], data: Any) -> Change:
    if not isinstance(data, dict):
        raise UnusableError("malformed-event", "its data is not an object")
    repository, digest = fields.name(data, "name", Repository), fields.name(data, "digest", Digest)
    notification_id, reference = fields.word(attributes, "id"), fields.word(data, "reference")
    if repository is None or digest is None or reference is None or notification_id is None:
        raise UnusableError("malformed-event", "name, digest, reference or the attribute id is missing")
    tag = None if _is_digest(reference) else fields.name(data, "reference", Tag)
    if attributes["type"] == _UPDATED:
        kind = EventKind.MANIFEST_PUSHED
    else:
        kind = EventKind.TAG_DELETED if tag else EventKind.MANIFEST_DELETED
    return Change(
        notification_id=notification_id,
        place=0,
        kind=kind,
        repository=repository,
        digest=digest,
        tag=tag,
        media_type=fields.media_type(data),
        size=None,
        occurred_at=fields.time(attributes, "time"),
        registry_instance=None,
    )


def _is_digest(reference: str) -> bool:
    try:
        Digest.parse(reference)
    except InvalidNameError:
        return False
    return True
