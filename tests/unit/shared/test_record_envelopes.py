"""farshore's CloudEvents, held against the `cloudevents` library; and every malformed record is one kind of error."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent as LibraryEvent
from hypothesis import given
from hypothesis import strategies as st
from record_examples import ARRIVAL, EVENTS, READINESS, TRACEPARENT, TRANSFER, arrival_record

from farshore.records.arrivals import Arrival, ArrivalHeaders, Generation, Passage
from farshore.records.cloudevent import CloudEvent, Headers, MalformedRecordError, format_time, parse_time
from farshore.records.events import Event
from farshore.records.readiness import Readiness
from farshore.records.transfers import TransferRecord

WHERE = "farshore.events/3@712"
RECORDS: dict[str, tuple[Headers, bytes]] = {
    **{
        f"event-{event.kind}": (envelope.headers(), envelope.data)
        for event in EVENTS
        for envelope in [event.to_cloudevent(traceparent=TRACEPARENT)]
    },
    "transfer": (TRANSFER.to_cloudevent().headers(), TRANSFER.to_cloudevent().data),
    "readiness": (READINESS.to_cloudevent().headers(), READINESS.to_cloudevent().data),
    "arrival": arrival_record(),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_library_reads_what_farshore_writes(name: str) -> None:
    headers, value = RECORDS[name]
    read = from_binary_event(KafkaMessage(headers=dict(headers), key=None, value=value))
    ours = CloudEvent.from_record(headers, value, WHERE)
    assert (read.get_id(), read.get_source(), read.get_type()) == (ours.id, ours.source, ours.type)
    assert (read.get_subject(), read.get_time()) == (ours.subject, ours.time)
    assert (read.get_specversion(), read.get_datacontenttype()) == ("1.0", "application/json")
    assert {name: read.get_extension(name) for name in ours.extensions} == dict(ours.extensions)
    assert read.get_data() == json.loads(value)


@pytest.mark.parametrize("name", RECORDS)
def test_farshore_reads_what_the_library_writes(name: str) -> None:
    headers, value = RECORDS[name]
    written = to_binary_event(from_binary_event(KafkaMessage(headers=dict(headers), key=None, value=value)))
    traceparent = [(key, raw) for key, raw in headers if key == "traceparent"]
    again = CloudEvent.from_record([*written.headers.items(), *traceparent], written.value, WHERE)
    ours = CloudEvent.from_record(headers, value, WHERE)
    assert json.loads(again.data) == json.loads(ours.data)
    for part in ("id", "source", "type", "subject", "time", "extensions", "traceparent"):
        assert getattr(again, part) == getattr(ours, part)


@pytest.mark.parametrize("name", RECORDS)
def test_attributes_are_headers_of_the_binary_mode_and_none_is_there_twice(name: str) -> None:
    names = [key for key, _ in RECORDS[name][0]]
    assert len(names) == len(set(names))
    assert {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"} <= set(names)
    assert all(key in ("content-type", "traceparent") or key.startswith("ce_") for key in names)
    assert all(key[3:].isalnum() and key[3:].islower() for key in names if key.startswith("ce_"))


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
times = st.datetimes(timezones=st.just(UTC))


@given(texts, texts, texts, texts, times, st.binary(max_size=30), st.none() | st.just(TRACEPARENT))
def test_an_envelope_survives_its_headers(
    id_: str, source: str, type_: str, subject: str, at: datetime, data: bytes, traceparent: str | None
) -> None:
    event = CloudEvent(id_, source, type_, subject, at, data, {"site": subject}, traceparent)
    assert CloudEvent.from_record(event.headers(), data, WHERE) == event


@given(texts, texts, times)
def test_the_library_and_farshore_write_the_same_headers(id_: str, source: str, at: datetime) -> None:
    attributes = {"id": id_, "source": source, "type": "t", "specversion": "1.0", "subject": "s", "time": at}
    theirs = to_binary_event(LibraryEvent({**attributes, "datacontenttype": "application/json"}, {"a": 1}))
    ours = dict(CloudEvent(id_, source, "t", "s", at, b'{"a":1}').headers())
    assert parse_time(ours.pop("ce_time").decode(), WHERE) == parse_time(theirs.headers.pop("ce_time").decode(), WHERE)
    assert ours == theirs.headers


@given(st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(hours=-12)))))
def test_a_time_is_written_in_utc_and_read_back(at: datetime) -> None:
    if 1 < at.year < 9999:
        text = format_time(at)
        assert text.endswith("Z")
        assert len(text) == len("2026-11-24T21:02:37.000001Z")
        assert parse_time(text, WHERE) == at.astimezone(UTC)


@pytest.mark.parametrize(
    "text", ["2026-11-24T21:02:37.123456789Z", "2026-11-24T21:02:37.1Z", "2026-11-24T23:02:37+02:00"]
)
def test_times_of_other_clocks_precision_and_zone_are_read(text: str) -> None:
    assert parse_time(text, WHERE).replace(microsecond=0) == datetime(2026, 11, 24, 21, 2, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-24T21:02:37", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01"]
)
def test_other_times_are_malformed(text: str) -> None:
    with pytest.raises(MalformedRecordError, match=re.escape(WHERE)):
        parse_time(text, WHERE)


def without(headers: Headers, name: str) -> Headers:
    return [(key, raw) for key, raw in headers if key != name]


def replaced(headers: Headers, name: str, raw: bytes | None) -> list[tuple[str, bytes | None]]:
    return [*without(headers, name), (name, raw)]


REQUIRED = ["ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time"]


@pytest.mark.parametrize("name", REQUIRED)
def test_an_envelope_without_a_required_attribute_is_malformed(name: str) -> None:
    headers, value = RECORDS["readiness"]
    for broken in (without(headers, name), replaced(headers, name, b""), replaced(headers, name, None)):
        with pytest.raises(MalformedRecordError):
            CloudEvent.from_record(broken, value, WHERE)


@pytest.mark.parametrize("name", ["ce_site", "ce_snapshot", "ce_snapshotversion", "ce_generation"])
def test_an_arrival_without_its_passage_is_malformed(name: str) -> None:
    headers, value = arrival_record()
    with pytest.raises(MalformedRecordError, match=name[3:]):
        Arrival.from_record(without(headers, name), value, WHERE)


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("ce_specversion", b"0.3", "is not 1.0"),
        ("ce_type", b"io.farshore.manifest.pushed.v1", "io.farshore.arrived.v1"),
        ("ce_id", b"\xff", "header ce_id is not UTF-8"),
        ("ce_time", b"yesterday", "is not an RFC 3339 time"),
        ("ce_time", b"2026-11-24T21:02:37", "has no time zone"),
        ("ce_generation", b"1-2", "is not a generation"),
        ("ce_generation", b"aa-1-" + b"9" * 5000, "is not a generation"),
        ("ce_generation", "aa-1-٣".encode(), "is not a generation"),
    ],
)
def test_an_arrival_with_a_wrong_header_is_malformed(name: str, raw: bytes, says: str) -> None:
    headers, value = arrival_record()
    with pytest.raises(MalformedRecordError, match=says) as caught:
        Arrival.from_record(replaced(headers, name, raw), value, WHERE)
    assert str(caught.value).startswith(f"parse record {WHERE}: ")
    assert len(str(caught.value)) < 500


def test_a_tombstone_is_no_event() -> None:
    headers, _ = arrival_record()
    with pytest.raises(MalformedRecordError, match="no value"):
        Arrival.from_record(headers, None, WHERE)


def test_an_arrival_says_which_event_came_where_with_what() -> None:
    headers, value = arrival_record()
    assert Arrival.from_record(headers, value, WHERE) == ARRIVAL
    assert Arrival.from_record(headers, value, WHERE).site == "fra"


generations = st.builds(
    Generation, st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(0, 10**9), st.integers(0, 2**63 - 1)
)


@given(generations)
def test_a_generation_survives_its_text(generation: Generation) -> None:
    assert Generation.parse(str(generation), WHERE) == generation


@given(generations, texts, texts, st.none() | texts, times, st.none() | st.just(TRACEPARENT))
def test_every_arrival_survives_the_headers_that_are_made_in_bulk(
    generation: Generation,
    snapshot: str,
    version: str,
    transfer: str | None,
    at: datetime,
    traceparent: str | None,
) -> None:
    event = EVENTS[0]
    passage = Passage("fra", snapshot, version, transfer, at)
    maker = ArrivalHeaders(passage, generation.incarnation, generation.partition)
    headers = maker.of(
        event.id.encode(),
        f"/registries/{event.registry}".encode(),
        event.repository.encode(),
        generation.offset,
        traceparent.encode() if traceparent else None,
    )
    arrival = Arrival.from_record(headers, event.to_cloudevent().data, WHERE)
    assert arrival == Arrival(event, generation, passage, traceparent)


HEADER_NAMES = st.sampled_from([*(name for name, _ in arrival_record()[0]), "traceparent", "other"]) | texts
header_lists = st.lists(st.tuples(HEADER_NAMES, st.none() | st.binary(max_size=20)), max_size=12)


@given(header_lists, st.none() | st.binary(max_size=40))
def test_any_headers_and_bytes_are_a_record_or_malformed(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    with pytest.raises(MalformedRecordError, match=re.escape(WHERE)):
        Arrival.from_record(headers, value, WHERE)


@given(st.integers(0, 20), st.none() | st.binary(max_size=40))
def test_a_good_record_with_one_wrong_header_is_never_another_error(place: int, raw: bytes | None) -> None:
    headers, value = arrival_record()
    name = headers[place % len(headers)][0]
    try:
        Arrival.from_record(replaced(headers, name, raw), value, WHERE)
    except MalformedRecordError as error:
        assert error.subject == WHERE  # noqa: PT017 - either outcome is right


PARSERS: dict[str, tuple[Callable[[bytes, str], object], bytes]] = {
    "event": (Event.from_json, EVENTS[0].to_cloudevent().data),
    "readiness": (Readiness.from_json, READINESS.to_cloudevent().data),
    "transfer": (TransferRecord.from_json, TRANSFER.to_cloudevent().data),
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", PARSERS)
@given(raw=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_no_value_of_a_record(kind: str, raw: bytes) -> None:
    with pytest.raises(MalformedRecordError, match=re.escape(WHERE)):
        PARSERS[kind][0](raw, WHERE)


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_a_good_value_with_one_wrong_field_is_never_another_error(kind: str, data: st.DataObject) -> None:
    parse, good = PARSERS[kind]
    fields = json.loads(good)
    name = data.draw(st.sampled_from(sorted(fields)))
    times = st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-24T21:02:37"])
    fields[name] = data.draw(json_values | times)
    try:
        parse(json.dumps(fields).encode(), WHERE)
    except MalformedRecordError as error:
        assert error.subject == WHERE  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("raw", [b"[" * 100_000, b"9" * 100_000, b'{"id": "\\ud800"}', b"\xff\xfe", b"", b"null"])
def test_hostile_json_is_malformed(kind: str, raw: bytes) -> None:
    with pytest.raises(MalformedRecordError) as caught:
        PARSERS[kind][0](raw, WHERE)
    assert len(str(caught.value)) < 500
