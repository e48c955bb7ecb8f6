"""CloudEvents 1.0 in Kafka binary mode: attributes are `ce_*` headers, the data is the record's value.

Source: CloudEvents Kafka protocol binding 1.0.2, "Binary content mode". `traceparent` (W3C Trace Context) travels as a
header of its own name. The encoder is farshore's own because records pass at hundreds of thousands a second; a test
holds it against the `cloudevents` library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farshore.errors import FarshoreError

Headers = list[tuple[str, bytes]]
"""Record headers as farshore writes them."""

RecordHeaders = Iterable[tuple[str, bytes | None]]
"""Record headers as aiokafka gives them; Kafka allows a header without value."""

_LONGEST_REASON = 300
"""A reason quotes what was found; a record of a megabyte must not become an error of a megabyte."""

_REQUIRED = ("ce_id", "ce_source", "ce_type", "ce_specversion")


class MalformedRecordError(FarshoreError):
    """A record that is not the CloudEvent its topic promises."""

    def __init__(self, subject: str, reason: str) -> None:
        shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[:200]} … {reason[-90:]}"
        super().__init__("parse record", subject, shown, hint="only farshore's services should write to its topics")


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One CloudEvent; `extensions` are further attributes (names of lower-case letters and digits, text values)."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: bytes
    extensions: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None

    def headers(self) -> Headers:
        """The record's headers; the record's value is `data`."""
        headers: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_time", format_time(self.time).encode()),
            ("content-type", b"application/json"),
        ]
        headers += [(f"ce_{name}", value.encode()) for name, value in self.extensions.items()]
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        return headers

    @classmethod
    def from_record(cls, headers: RecordHeaders, value: bytes | None, where: str) -> "CloudEvent":
        """Parse a record's headers and value; `where` names the record in errors (`topic/partition@offset`)."""
        texts: dict[str, str] = {}
        for name, raw in headers:
            if not name.startswith("ce_") and name != "traceparent":
                continue  # of a newer version, or of whoever carries records on: it may be anything
            if raw is None:
                raise MalformedRecordError(where, f"header {name} has no value")
            try:
                texts[name] = raw.decode()
            except UnicodeDecodeError as error:
                raise MalformedRecordError(where, f"header {name} is not UTF-8") from error
        for name in _REQUIRED:
            if not texts.get(name):
                raise MalformedRecordError(where, f"header {name} is missing")
        if texts["ce_specversion"] != "1.0":
            raise MalformedRecordError(where, f"CloudEvents version {texts['ce_specversion']!r} is not 1.0")
        if value is None:
            raise MalformedRecordError(where, "it has no value")
        return cls(
            id=texts["ce_id"],
            source=texts["ce_source"],
            type=texts["ce_type"],
            subject=texts.get("ce_subject", ""),
            time=parse_time(texts.get("ce_time", ""), where),
            data=value,
            extensions={
                name[3:]: text
                for name, text in texts.items()
                if name.startswith("ce_") and name not in _REQUIRED and name not in ("ce_subject", "ce_time")
            },
            traceparent=texts.get("traceparent"),
        )


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str, where: str) -> datetime:
    """The aware UTC time that RFC 3339 `text` names, or MalformedRecordError."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise MalformedRecordError(where, f"{text!r} has no time zone")
        return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedRecordError(where, f"{text!r} is not an RFC 3339 time") from error
