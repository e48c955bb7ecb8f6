"""ONTAP's query language, without HTTP."""

from typing import Any

import pytest

from farshore_ontap_simulator.errors import OntapError
from farshore_ontap_simulator.rest import query

RECORDS: list[dict[str, Any]] = [
    {"uuid": "1", "name": "alpha", "size": 5, "svm": {"name": "x", "uuid": "u"}, "lag_time": "PT8H35M42S", "ok": True},
    {
        "uuid": "2",
        "name": "beta",
        "size": 50,
        "svm": {"name": "y"},
        "lag_time": "P2D",
        "tags": [{"n": "p"}, {"n": "q"}],
    },
    {"uuid": "3", "name": "gamma", "size": 500, "svm": {"name": "x"}, "create_time": "2026-11-24T10:00:00+00:00"},
]


def found(**filters: str) -> list[str]:
    """The uuids that filters leave."""
    body = query.run(RECORDS, query.parse(filters.items()), ("uuid",), "/api/x", "uuid")
    return [record["uuid"] for record in body["records"]]


@pytest.mark.parametrize(
    ("field", "expression", "expected"),
    [
        ("name", "alpha", ["1"]),
        ("name", "*a", ["1", "2", "3"]),
        ("name", "*[a]", []),
        ("name", "alpha|g*", ["1", "3"]),
        ("name", "!alpha", ["2", "3"]),
        ("name", "!alpha|beta", ["3"]),
        ("size", ">5", ["2", "3"]),
        ("size", ">=5", ["1", "2", "3"]),
        ("size", "<50", ["1"]),
        ("size", "5..50", ["1", "2"]),
        ("size", "50.0", ["2"]),
        ("svm.name", "x", ["1", "3"]),
        ("lag_time", ">PT10H", ["2"]),
        ("lag_time", "<P1D", ["1"]),
        ("create_time", ">2026-11-24T11:00:00+02:00", ["3"]),
        ("tags.n", "q", ["2"]),
        ("tags.n", "!q", ["1", "3"]),
        ("lag_time", "null", ["3"]),
        ("lag_time", "!null", ["1", "2"]),
        ("ok", "true", ["1"]),
        ("absent", "x", []),
    ],
)
def test_filters_mean_what_ontap_means(field: str, expression: str, expected: list[str]) -> None:
    assert found(**{field: expression}) == expected


def test_order_is_by_number_where_values_are_numbers() -> None:
    assert found(order_by="size desc") == ["3", "2", "1"]
    assert found(order_by="svm.name,name desc") == ["3", "1", "2"]


def test_pages_follow_one_another_without_gaps() -> None:
    first = query.run(RECORDS, query.parse([("max_records", "2"), ("name", "*")]), ("uuid",), "/api/x", "uuid")
    assert first["num_records"] == 2
    assert first["_links"]["next"]["href"] == "/api/x?name=%2A&max_records=2&start=2"
    second = query.run(RECORDS, query.parse([("max_records", "2"), ("start", "2")]), ("uuid",), "/api/x", "uuid")
    assert [record["uuid"] for record in second["records"]] == ["3"]
    assert "next" not in second["_links"]


def test_a_page_that_starts_nowhere_is_refused() -> None:
    with pytest.raises(OntapError):
        query.run(RECORDS, query.parse([("start", "9")]), ("uuid",), "/api/x", "uuid")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", {"uuid": "1"}),
        ("svm", {"uuid": "1", "svm": {"name": "x", "uuid": "u"}}),
        ("svm.name", {"uuid": "1", "svm": {"name": "x"}}),
        ("svm.*,size", {"uuid": "1", "svm": {"name": "x", "uuid": "u"}, "size": 5}),
        ("absent.deep", {"uuid": "1"}),
        ("*", RECORDS[0]),
        ("**", RECORDS[0]),
    ],
)
def test_fields_choose_what_is_shown(fields: str, expected: dict[str, Any]) -> None:
    assert query.select(RECORDS[0], query.parse([("fields", fields)]), ("uuid",)) == expected


def test_one_object_shows_all_unless_fields_choose() -> None:
    assert query.select(RECORDS[0], query.parse([]), ("uuid",), instance=True) == RECORDS[0]
    chosen = query.select(RECORDS[0], query.parse([("fields", "size")]), ("uuid",), instance=True)
    assert chosen == {"uuid": "1", "size": 5}


def test_fields_reach_into_lists() -> None:
    assert query.project(RECORDS[1], ["tags.n"]) == {"tags": [{"n": "p"}, {"n": "q"}]}


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT8H35M42S", 30942.0), ("P1DT1S", 86401.0), ("PT0.5S", 0.5), ("P", None), ("8H", None)]
)
def test_durations_are_iso_8601(text: str, seconds: float | None) -> None:
    assert query.duration_seconds(text) == seconds


def test_parameters_of_a_call_are_no_filters() -> None:
    parsed = query.parse([("force", "true"), ("name", "x"), ("return_timeout", "15")], frozenset({"force"}))
    assert parsed.filters == (("name", "x"),)
    assert parsed.return_timeout == 15
