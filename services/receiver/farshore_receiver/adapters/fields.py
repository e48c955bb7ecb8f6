"""The fields of a notification as typed values: what every adapter needs. What is wrong in one is UnusableError."""

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

from farshore.oci import Digest, InvalidNameError, Repository, Tag

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+/;= -]{1,255}")
_WORD = re.compile(r"[\x21-\x7e]{1,255}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

N = TypeVar("N", Digest, Repository, Tag)


class UnusableError(Exception):
    """A notification, or one event of it, that can't be used; `code` and `reason` are those of `Rejected`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def part(event: dict[str, Any], key: str) -> dict[str, Any]:
    """The object at `key`; an empty one where there is none."""
    value = event.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnusableError("malformed-event", f"{key} is not an object")
    return value


def text(fields: dict[str, Any], key: str) -> str | None:
    """The text at `key`; None where there is none, or an empty one."""
    value = fields.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnusableError("malformed-event", f"{key} is not text")
    return value


def word(fields: dict[str, Any], key: str) -> str | None:
    """The text at `key`, which has to be short and printable."""
    value = text(fields, key)
    if value is not None and not _WORD.fullmatch(value):
        raise UnusableError("malformed-event", f"{key} is not a word of at most 255 printable ASCII characters")
    return value


def media_type(fields: dict[str, Any], *, within: str = "") -> str | None:
    """`mediaType`; `within` names the object of the fields in complaints, here and below."""
    value = text(fields, "mediaType")
    if value is not None and not _MEDIA_TYPE.fullmatch(value):
        raise UnusableError("malformed-event", f"{within}mediaType is not a media type")
    return value


def name(fields: dict[str, Any], key: str, kind: type[N], *, within: str = "") -> N | None:
    """The digest, repository or tag at `key`."""
    value = text(fields, key)
    if value is None:
        return None
    try:
        return kind.parse(value)
    except InvalidNameError as error:
        raise UnusableError("malformed-event", f"{within}{key}: {error}") from error


def time(fields: dict[str, Any], key: str) -> datetime:
    """The time at `key`; fractions below a microsecond are cut. Go's zero time and other nonsense is refused."""
    value = text(fields, key)
    try:
        if value is not None and _RFC_3339.fullmatch(value):
            found = datetime.fromisoformat(value.upper()).astimezone(UTC)
            if found >= _EPOCH:
                return found
    except (ValueError, OverflowError):
        pass
    raise UnusableError("malformed-event", f"{key} is not an RFC 3339 time since 1970")
