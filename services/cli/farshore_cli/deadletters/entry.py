"""One record of `farshore.deadletter` as an operator sees it: pure."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from farshore.oci import Digest, InvalidNameError, Repository, Tag, image_name
from farshore.records.arrivals import Arrival
from farshore.records.cloudevent import MalformedRecordError, RecordHeaders
from farshore.records.deadletters import DeadLetter, Redriven, parse_dead_letter

_NOTIFICATION = re.compile(r"POST /v1/notifications/(?P<registry>[a-z][a-z0-9-]{0,30})")
_ARRIVAL = re.compile(r"farshore\.arrivals/(?P<partition>[0-9]{1,9})@(?P<offset>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class FromReceiver:
    """A notification that the receiver gave up."""

    registry: str


@dataclass(frozen=True, slots=True)
class FromArrivals:
    """A record of `farshore.arrivals` that the verifier gave up; `arrival` is None where it can't be parsed."""

    partition: int
    offset: int
    arrival: Arrival | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a letter is about, as far as that can be told."""

    registry: str | None = None
    site: str | None = None
    image: str | None = None

    def __str__(self) -> str:
        place = "/".join(part for part in (self.registry, self.site) if part)
        return " ".join(part for part in (place, self.image) if part)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, where it came from (None: nowhere that is known) and what it is about."""

    offset: int
    key: bytes
    record: DeadLetter
    source: FromReceiver | FromArrivals | None
    subject: Subject


@dataclass(frozen=True, slots=True)
class Alien:
    """A record that is no dead letter; `at` is the time that Kafka has for it, `headers` are all that it has."""

    offset: int
    key: bytes
    problem: str
    at: datetime
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


Entry = Letter | Alien


def read_entry(
    offset: int, key: bytes | None, headers: RecordHeaders, value: bytes | None, at: datetime, where: str
) -> Entry | Redriven:
    """What the record at `offset` is; `at` is Kafka's time for it, `where` its `topic/partition@offset`."""
    headers = list(headers)
    try:
        record = parse_dead_letter(headers, value, where)
    except MalformedRecordError as error:
        whole = tuple((name, raw or b"") for name, raw in headers)
        return Alien(offset, key or b"", error.reason, at, whole, value or b"")
    if isinstance(record, Redriven):
        return record
    source = _source(record)
    return Letter(offset, key or b"", record, source, _subject(record, source))


def _source(record: DeadLetter) -> FromReceiver | FromArrivals | None:
    if match := _NOTIFICATION.fullmatch(record.source):
        return FromReceiver(match["registry"])
    if match := _ARRIVAL.fullmatch(record.source):
        try:
            arrival = Arrival.from_record(record.original_headers, record.value, record.source)
        except MalformedRecordError:
            arrival = None
        return FromArrivals(int(match["partition"]), int(match["offset"]), arrival)
    return None


def _subject(record: DeadLetter, source: FromReceiver | FromArrivals | None) -> Subject:
    match source:
        case FromReceiver():
            return Subject(source.registry, image=_announced_image(record.value))
        case FromArrivals(arrival=Arrival() as arrival):
            return Subject(arrival.event.registry, arrival.site, arrival.event.image)
        case FromArrivals():
            return _attributed(dict(record.original_headers))
        case None:
            return Subject()


def _attributed(headers: dict[str, bytes]) -> Subject:
    """What the attributes of a CloudEvent that isn't a right one say."""
    texts = {name: raw.decode(errors="replace") for name, raw in headers.items()}
    source = texts.get("ce_source", "")
    registry = source.removeprefix("/registries/") if source.startswith("/registries/") else None
    return Subject(registry or None, texts.get("ce_site") or None, texts.get("ce_subject") or None)


def _announced_image(body: bytes) -> str | None:
    """The image of a notification of CNCF distribution that has one event; only for people to see."""
    try:
        target: Any = json.loads(body)["events"]
        if len(target) != 1:
            return None
        target = target[0]["target"]
        digest, tag = target.get("digest"), target.get("tag")
        repository = Repository.parse(target["repository"])
        if not (digest or tag):
            return repository
        return image_name(repository, Digest.parse(digest) if digest else None, Tag.parse(tag) if tag else None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, InvalidNameError):
        return None
