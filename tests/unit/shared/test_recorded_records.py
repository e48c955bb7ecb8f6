"""What earlier versions wrote is read, and what a later one adds is passed over: during an upgrade both are at work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from record_examples import arrival_record

from farshore.records.arrivals import Arrival
from farshore.records.cloudevent import CloudEvent, MalformedRecordError, RecordHeaders
from farshore.records.deadletters import parse_dead_letter
from farshore.records.events import Event
from farshore.records.fences import FenceLifted, FenceRaised, FenceStatus
from farshore.records.moves import MoveMarked
from farshore.records.readiness import Readiness
from farshore.records.reconciles import ReconcileRequested
from farshore.records.transfers import TransferRecord
from farshore_coalescer.snapshot_names import Log
from farshore_verifier.window import Mark, Standing, Window

VERSIONS = sorted((Path(__file__).parents[2] / "records").glob("*.json"))
LATER_HEADERS = [("ce_later", b"x"), ("later", b"\xff\xfe"), ("empty", None)]

BY_VALUE: dict[str, Callable[[bytes, str], Any]] = {
    "event": Event.from_json,
    "transfer": TransferRecord.from_json,
    "readiness": Readiness.from_json,
    "request": ReconcileRequested.from_json,
    "raised": FenceRaised.from_json,
    "lifted": FenceLifted.from_json,
    "status": FenceStatus.from_json,
    "moved": MoveMarked.from_json,
}
WHOLE: dict[str, Callable[[RecordHeaders, bytes, str], Any]] = {
    "arrival": Arrival.from_record,
    "letter": parse_dead_letter,
    "mark": parse_dead_letter,
}


def recorded() -> list[Any]:
    return [
        pytest.param(name.split()[0], record["headers"], record["value"], id=f"{version.stem} {name}")
        for version in VERSIONS
        for name, record in json.loads(version.read_text())["records"].items()
    ]


def as_bytes(headers: list[list[str]]) -> list[tuple[str, bytes | None]]:
    return [(name, text.encode()) for name, text in headers]


def document(version: Path, part: str) -> Any:
    return json.loads(version.read_text())[part]


@pytest.mark.parametrize(("kind", "headers", "value"), recorded())
def test_every_field_of_an_earlier_versions_record_is_read(kind: str, headers: list[list[str]], value: str) -> None:
    if kind in BY_VALUE:
        found = BY_VALUE[kind](value.encode(), "here").model_dump(mode="json")
        assert {name: found[name] for name in json.loads(value)} == json.loads(value)
    else:
        written = {name.removeprefix("farshore_") for name, _ in headers if name.startswith("farshore_")}
        found = WHOLE[kind](as_bytes(headers), value.encode(), "here")
        assert written - {"redriven"} <= {name for name in dir(found) if not name.startswith("_")}
    if kind not in ("letter", "mark"):
        envelope = CloudEvent.from_record(as_bytes(headers), value.encode(), "here")
        assert set(envelope.headers()) == set(as_bytes(headers))


@pytest.mark.parametrize(("kind", "headers", "value"), recorded())
def test_what_a_later_version_adds_changes_nothing(kind: str, headers: list[list[str]], value: str) -> None:
    if kind in BY_VALUE:
        later = json.dumps(json.loads(value) | {"later": {"of": ["next"], "at": None}}).encode()
        assert BY_VALUE[kind](later, "here") == BY_VALUE[kind](value.encode(), "here")
    else:
        parse = WHOLE[kind]
        plain = as_bytes(headers)
        assert parse([*plain, *LATER_HEADERS], value.encode(), "here") == parse(plain, value.encode(), "here")


@pytest.mark.parametrize("later", [("ce_later", None), ("ce_later", b"\xff"), ("traceparent", b"\xff")])
def test_an_attribute_has_to_be_text_all_the_same(later: tuple[str, bytes | None]) -> None:
    headers, value = arrival_record()
    with pytest.raises(MalformedRecordError):
        Arrival.from_record([*headers, later], value, "here")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.stem)
def test_an_earlier_versions_committed_offset_is_gone_on_from(version: Path) -> None:
    mark = document(version, "standings")
    window = Window.restore(Mark(mark["offset"], mark["metadata"]))
    assert [window.standing(offset) for offset in range(5, 10)] == [
        Standing.WAITING,
        Standing.DECIDED,
        Standing.DECIDED,
        Standing.WAITING_LATE,
        Standing.NEW,
    ]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.stem)
def test_an_earlier_versions_snapshot_says_what_it_covers(version: Path) -> None:
    names = document(version, "snapshots")
    assert {name: list(Log("1f3a9c04", 2).place_of(name) or ()) for name in names} == names


def test_there_is_a_version_to_read() -> None:
    assert VERSIONS
