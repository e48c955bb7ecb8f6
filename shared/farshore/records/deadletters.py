"""`farshore.deadletter`: what could not be handled, with the reason and the original bytes and headers.

Key and value are the source's, byte for byte. Headers `farshore_*` say why and where from; the source's own headers
follow under `original_<name>`, so that the record can be sent back as it was.

That a letter was sent back is a record of the same topic, behind it: its *mark*. So retention never takes the mark
before the letter, and one reading of the topic tells what is left to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from farshore.records.cloudevent import Headers, MalformedRecordError, RecordHeaders, format_time, parse_time

_ORIGINAL = "original_"
_MARK = "farshore_redriven"
_LARGEST_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One thing that could not be handled.

    `source` says where it came from: `POST /v1/notifications/main`, or `farshore.arrivals/3@712`. `service` gave it up.
    `reason` is one line for a person, `code` a stable word for a machine. `is_cut`: only the beginning of the original
    is kept, so it can't be sent back.
    """

    service: str
    source: str
    code: str
    reason: str
    at: datetime
    value: bytes
    original_headers: tuple[tuple[str, bytes], ...] = ()
    is_cut: bool = False

    def headers(self) -> Headers:
        """The record's headers."""
        return [
            ("farshore_service", self.service.encode()),
            ("farshore_source", self.source.encode()),
            ("farshore_code", self.code.encode()),
            ("farshore_reason", self.reason.encode()),
            ("farshore_at", format_time(self.at).encode()),
            *([("farshore_cut", b"true")] if self.is_cut else []),
            *((f"{_ORIGINAL}{name}", raw) for name, raw in self.original_headers),
        ]


@dataclass(frozen=True, slots=True)
class Redriven:
    """The mark of a letter that was sent back: `offset` is the letter's, `to` where it went."""

    offset: int
    to: str
    at: datetime

    def headers(self) -> Headers:
        """The record's headers; its value is empty."""
        return [
            (_MARK, str(self.offset).encode()),
            ("farshore_to", self.to.encode()),
            ("farshore_at", format_time(self.at).encode()),
        ]


def parse_dead_letter(headers: RecordHeaders, value: bytes | None, where: str) -> DeadLetter | Redriven:
    """What a record of `farshore.deadletter` is, or MalformedRecordError; `where` is its `topic/partition@offset`.

    Headers of farshore's own are text, each there once. The original ones may be anything; one without a value, which
    Kafka allows, is taken as an empty one.
    """
    own: dict[str, str] = {}
    original: list[tuple[str, bytes]] = []
    for name, raw in headers:
        if name.startswith(_ORIGINAL):
            original.append((name.removeprefix(_ORIGINAL), raw or b""))
        elif name.startswith("farshore_"):
            if name in own:
                raise MalformedRecordError(where, f"header {name} is there twice")
            own[name] = _text(name, raw, where)
    if _MARK in own:
        return Redriven(_offset(own[_MARK], where), _required(own, "farshore_to", where), _at(own, where))
    if value is None:
        raise MalformedRecordError(where, "it has no value")
    return DeadLetter(
        service=_required(own, "farshore_service", where),
        source=_required(own, "farshore_source", where),
        code=_required(own, "farshore_code", where),
        reason=own.get("farshore_reason", ""),
        at=_at(own, where),
        value=value,
        original_headers=tuple(original),
        is_cut="farshore_cut" in own,
    )


def _text(name: str, raw: bytes | None, where: str) -> str:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError as error:
        raise MalformedRecordError(where, f"header {name} is not UTF-8") from error


def _required(own: dict[str, str], name: str, where: str) -> str:
    if not own.get(name):
        raise MalformedRecordError(where, f"header {name} is missing")
    return own[name]


def _at(own: dict[str, str], where: str) -> datetime:
    return parse_time(_required(own, "farshore_at", where), where)


def _offset(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _LARGEST_OFFSET):
        raise MalformedRecordError(where, f"{text!r} is not an offset")
    return int(text)


_SECRET_WORDS = ("auth", "cookie", "credential", "key", "password", "secret", "token")


def may_be_secret(name: str) -> bool:
    """Whether a header's name hints at a credential."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def without_secrets(headers: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """HTTP headers as they may be kept: those whose name hints at a credential are left out."""
    return tuple((name, raw) for name, raw in headers if not may_be_secret(name))
