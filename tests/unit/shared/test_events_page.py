"""docs/events.md says what the records are: topics, headers, fields and examples are held against the code."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from record_examples import ARRIVED, EVENTS, READINESS, TRACEPARENT, TRANSFER, arrival_record

from farshore.bus.topics import ALL_TOPICS, DAY_MS
from farshore.records.deadletters import DeadLetter, Redriven
from farshore.records.events import Event, EventKind
from farshore.records.fences import FenceLifted, FenceRaised, FenceStatus
from farshore.records.readiness import Readiness, ReadinessState
from farshore.records.reconciles import ReconcileRequested
from farshore.records.transfers import TransferRecord

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text(encoding="utf-8")
MODELS: dict[str, tuple[type[BaseModel], Callable[[bytes, str], BaseModel]]] = {
    "farshore.events": (Event, Event.from_json),
    "farshore.transfers": (TransferRecord, TransferRecord.from_json),
    "farshore.readiness": (Readiness, Readiness.from_json),
}


def section(topic: str) -> str:
    found = re.search(rf"^## {re.escape(topic)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"no section of {topic}"
    return found[1]


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column is called `heading`."""
    found = re.search(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table of {heading}"
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in found[1].splitlines()]


def names(text: str, heading: str) -> list[str]:
    return [row[0].strip("`") for row in rows(text, heading)]


def kind_of(field: dict[str, Any]) -> str:
    branch = next((part for part in field.get("anyOf", [field]) if part.get("type") != "null"), field)
    if "$ref" in branch or branch.get("enum"):
        return "text"
    if branch["type"] == "array":
        return f"list of {kind_of(branch['items'])}"
    if branch.get("format") == "date-time":
        return "time"
    return {"string": "text", "integer": "whole number"}[branch["type"]]


def fields_of(model: type[BaseModel]) -> list[list[str]]:
    schema = model.model_json_schema()
    required = set(schema["required"])
    return [
        [f"`{name}`", kind_of(field), "required" if name in required else "optional"]
        for name, field in schema["properties"].items()
    ]


@pytest.mark.parametrize("topic", MODELS)
def test_the_fields_are_the_models(topic: str) -> None:
    assert [row[:3] for row in rows(section(topic), "field")] == fields_of(MODELS[topic][0])
    assert all(row[3] for row in rows(section(topic), "field"))


def test_the_fields_of_a_request_are_the_models() -> None:
    assert fields_of(ReconcileRequested) == [
        row[:3] for row in rows(section("farshore.events"), "request's field") if row[3]
    ]


def test_the_fields_of_a_fence_are_the_models() -> None:
    described = [row[:3] for row in rows(section("farshore.events"), "fence's field") if row[3]]
    assert fields_of(FenceRaised) == described
    assert set(FenceLifted.model_fields) == {"fence", "registry", "at"}
    assert set(FenceStatus.model_fields) == {"fence", "registry", "phase", "at"}


@pytest.mark.parametrize("topic", MODELS)
def test_the_example_is_a_record_as_it_is_written(topic: str) -> None:
    found = re.search(r"```json\n(.*?)```", section(topic), re.DOTALL)
    assert found
    parsed = MODELS[topic][1](found[1].encode(), topic)
    assert json.loads(found[1]) == json.loads(parsed.model_dump_json(exclude_none=True))


def test_every_topic_is_there_with_its_retention() -> None:
    table = {row[0].split("`")[1]: row[3] for row in rows(PAGE, "topic")}
    assert list(table) == [topic.name for topic in ALL_TOPICS]
    for topic in ALL_TOPICS:
        if "retention.ms" in topic.config:
            assert table[topic.name] == f"{int(topic.config['retention.ms']) // DAY_MS} days"
        else:
            assert table[topic.name].startswith("compacted")
        section(topic.name)
    assert {topic.partitions for topic in ALL_TOPICS if topic.name != "farshore.deadletter"} == {4}


def common() -> set[str]:
    return set(names(PAGE, "header"))


def written(headers: Iterable[tuple[str, bytes]]) -> set[str]:
    return {name for name, _ in headers}


def test_the_common_headers_are_what_every_record_has() -> None:
    assert written(EVENTS[0].to_cloudevent(traceparent=TRACEPARENT).headers()) == common()
    assert written(TRANSFER.to_cloudevent(traceparent=TRACEPARENT).headers()) == common()


def test_the_headers_of_an_arrival_are_there() -> None:
    own = set(names(section("farshore.arrivals"), "header"))
    assert written(arrival_record()[0]) == common() | own


def test_the_headers_of_readiness_are_there() -> None:
    own = set(re.findall(r"`(ce_\w+)`", section("farshore.readiness").partition("Headers beside")[2].partition("|")[0]))
    assert written(READINESS.to_cloudevent(traceparent=TRACEPARENT).headers()) == common() | own


def test_the_headers_of_a_dead_letter_are_there() -> None:
    letter = DeadLetter("s", "x", "c", "r", ARRIVED, b"", (("NAME", b""),), is_cut=True)
    mark = Redriven(1, "x", ARRIVED)
    of_letters, _, of_marks = section("farshore.deadletter").partition("`farshore_redriven`")
    assert written(letter.headers()) == set(names(of_letters, "header"))
    assert written(mark.headers()) == set(names(of_marks, "header"))


def test_every_kind_state_and_phase_is_named() -> None:
    assert names(section("farshore.readiness"), "state") == [state.value for state in ReadinessState]
    for kind in EventKind:
        assert f"`{kind}`" in section("farshore.events").partition("|")[0]
    for phase in ("started", "progressed", "finished", "failed"):
        assert f"`{phase}`" in section("farshore.transfers").partition("|")[0]


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", PAGE))
def test_links_within_the_page_lead_somewhere(anchor: str) -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
