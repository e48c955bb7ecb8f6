"""`farshore.arrivals`: an event whose covering snapshot is the one that a site exports.

Key: the repository. Value: the event's own JSON, byte for byte; where and how it arrived is in the CloudEvent's
extension attributes. So a million events are copied without being parsed.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from farshore.records.cloudevent import CloudEvent, Headers, MalformedRecordError, RecordHeaders, format_time
from farshore.records.events import Event

ARRIVAL_TYPE = "io.farshore.arrived.v1"

_GENERATION = re.compile(r"(?P<incarnation>[^-]+)-(?P<partition>[0-9]{1,10})-(?P<offset>[0-9]{1,19})")


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """An event's place in `farshore.events`: monotone per registry within one incarnation of the topic."""

    incarnation: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str, where: str) -> "Generation":
        """Parse `incarnation-partition-offset`, or raise MalformedRecordError."""
        match = _GENERATION.fullmatch(text)
        if match is None:
            raise MalformedRecordError(where, f"{text!r} is not a generation")
        return cls(match["incarnation"], int(match["partition"]), int(match["offset"]))


@dataclass(frozen=True, slots=True)
class Passage:
    """How a batch of events came to a site: the same for every arrival of one publication.

    `snapshot` and `snapshot_version` are the name and `version_uuid` of the exported snapshot, `transfer` the uuid of
    the transfer that brought it where that is known. `batch_trace` is the `traceparent` of the span that published it
    together with others; the arrival's own `traceparent` is of its event's trace.
    """

    site: str
    snapshot: str
    snapshot_version: str
    transfer: str | None
    arrived_at: datetime
    batch_trace: str | None = None

    def extensions(self) -> dict[str, str]:
        """The CloudEvents extension attributes of this passage."""
        attributes = {"site": self.site, "snapshot": self.snapshot, "snapshotversion": self.snapshot_version}
        if self.transfer:
            attributes["transfer"] = self.transfer
        if self.batch_trace:
            attributes["batchtrace"] = self.batch_trace
        return attributes


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event at one site."""

    event: Event
    generation: Generation
    passage: Passage
    traceparent: str | None = None

    @property
    def site(self) -> str:
        """The site that now exports a snapshot with this event's content."""
        return self.passage.site

    @classmethod
    def from_record(cls, headers: RecordHeaders, value: bytes | None, where: str) -> "Arrival":
        """Parse a record of `farshore.arrivals`, or raise MalformedRecordError."""
        envelope = CloudEvent.from_record(headers, value, where)
        if envelope.type != ARRIVAL_TYPE:
            raise MalformedRecordError(where, f"type {envelope.type!r} is not {ARRIVAL_TYPE!r}")
        attributes = envelope.extensions
        for name in ("site", "snapshot", "snapshotversion", "generation"):
            if not attributes.get(name):
                raise MalformedRecordError(where, f"attribute {name} is missing")
        return cls(
            event=Event.from_json(envelope.data, where),
            generation=Generation.parse(attributes["generation"], where),
            passage=Passage(
                site=attributes["site"],
                snapshot=attributes["snapshot"],
                snapshot_version=attributes["snapshotversion"],
                transfer=attributes.get("transfer"),
                arrived_at=envelope.time,
                batch_trace=attributes.get("batchtrace"),
            ),
            traceparent=envelope.traceparent,
        )


class ArrivalHeaders:
    """Makes the headers of many arrivals of one passage; what they share is encoded once."""

    def __init__(self, passage: Passage, incarnation: str, partition: int) -> None:
        self._suffix = f"/{passage.site}".encode()
        self._generation = f"{incarnation}-{partition}-".encode()
        self._shared: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_type", ARRIVAL_TYPE.encode()),
            ("ce_time", format_time(passage.arrived_at).encode()),
            ("content-type", b"application/json"),
            *((f"ce_{name}", text.encode()) for name, text in passage.extensions().items()),
        ]

    def of(self, event_id: bytes, source: bytes, repository: bytes, offset: int, traceparent: bytes | None) -> Headers:
        """The headers of the arrival of the event at `offset`, whose CloudEvent has these attributes."""
        headers = [
            *self._shared,
            ("ce_id", event_id + self._suffix),
            ("ce_source", source),
            ("ce_subject", repository),
            ("ce_generation", self._generation + str(offset).encode()),
        ]
        if traceparent:
            headers.append(("traceparent", traceparent))
        return headers
