"""ONTAP's query language: fields, filters, order, pages. Pure.

Source: "Queries" and "Records and pagination" in the ONTAP REST API overview, and the netapp-ontap library's notes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from farshore_ontap_simulator.errors import OntapError, invalid_value

_RESERVED = frozenset(
    {
        "fields",
        "order_by",
        "max_records",
        "return_records",
        "return_timeout",
        "query",
        "query_fields",
        "start",
        "ignore_warnings",
        "privilege_level",
        "return_unmatched_nested_array_objects",
    }
)
MAX_RECORDS = 10_000
_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_UNIT_SECONDS = (31_536_000, 2_592_000, 604_800, 86_400, 3_600, 60, 1)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks of a collection. `filters` are (dotted field, expression)."""

    fields: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    order_by: tuple[tuple[str, bool], ...] = ()
    max_records: int = MAX_RECORDS
    start: str | None = None
    return_records: bool = True
    return_timeout: int | None = None


def _flag(name: str, value: str) -> bool:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise invalid_value(name, value)


def _number(name: str, value: str, low: int, high: int) -> int:
    if not value.isdigit() or not low <= int(value) <= high:
        raise invalid_value(name, value)
    return int(value)


def parse(parameters: Iterable[tuple[str, str]], flags: frozenset[str] = frozenset()) -> Query:
    """Query parameters as a Query; `flags` are parameters of the call that are no filters. Raises OntapError."""
    given = list(parameters)
    values = dict(given)
    order: list[tuple[str, bool]] = []
    for part in filter(None, values.get("order_by", "").split(",")):
        name, _, direction = part.strip().partition(" ")
        if direction not in ("", "asc", "desc"):
            raise invalid_value("order_by", part)
        order.append((name, direction == "desc"))
    return Query(
        fields=tuple(filter(None, (field.strip() for field in values.get("fields", "").split(",")))),
        filters=tuple((name, value) for name, value in given if name not in _RESERVED and name not in flags),
        order_by=tuple(order),
        max_records=_number("max_records", values.get("max_records", str(MAX_RECORDS)), 1, MAX_RECORDS),
        start=values.get("start"),
        return_records=_flag("return_records", values.get("return_records", "true")),
        return_timeout=_number("return_timeout", values["return_timeout"], 0, 120)
        if "return_timeout" in values
        else None,
    )


def lookup(record: Mapping[str, Any], dotted: str) -> list[Any]:
    """All values at a dotted field; lists on the way spread out."""
    found: list[Any] = [record]
    for part in dotted.split("."):
        following: list[Any] = []
        for value in found:
            if isinstance(value, Mapping) and part in value:
                child = value[part]
                following += child if isinstance(child, list) else [child]
        found = following
    return found


def duration_seconds(text: str) -> float | None:
    """An ISO 8601 duration in seconds, None if it is none."""
    match = _DURATION.fullmatch(text)
    if match is None or len(text) < 2:
        return None
    return sum(float(value) * unit for value, unit in zip(match.groups(), _UNIT_SECONDS, strict=True) if value)


def _comparable(value: Any) -> float | str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return float(value)
    text = str(value)
    try:
        return float(text)
    except ValueError:
        pass
    seconds = duration_seconds(text)
    if seconds is not None:
        return seconds
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return text


def _ordered(value: Any, bound: str) -> int | None:
    left, right = _comparable(value), _comparable(bound)
    if isinstance(left, float) and isinstance(right, float):
        return (left > right) - (left < right)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    return None


def _matches_one(value: Any, expression: str) -> bool:
    for operator in (">=", "<=", ">", "<"):
        if expression.startswith(operator):
            order = _ordered(value, expression[len(operator) :])
            if order is None:
                return False
            return {">": order > 0, "<": order < 0, ">=": order >= 0, "<=": order <= 0}[operator]
    low, separator, high = expression.partition("..")
    if separator and low and high:
        above, below = _ordered(value, low), _ordered(value, high)
        return above is not None and below is not None and above >= 0 and below <= 0
    text = str(value).lower() if isinstance(value, bool) else str(value)
    wanted = expression.strip('"')
    if "*" in wanted:
        # ONTAP's only wildcard is the asterisk.
        return fnmatch.fnmatchcase(text, re.sub(r"([\[?])", r"[\1]", wanted))
    return text == wanted or _ordered(value, wanted) == 0


def matches(values: Sequence[Any], expression: str) -> bool:
    """Whether a field with these values (none if it is absent) satisfies `a|b`, `!a`, `>5`, `1..5`, `x*`, `null`."""
    if expression.startswith("!"):
        return not matches(values, expression[1:])
    if expression == "null":
        return not values
    return any(_matches_one(value, part) for value in values for part in expression.split("|"))


def project(record: Json, wanted: Iterable[str]) -> Json:
    """Only the wanted dotted fields of a record; a field stands for all below it."""
    result: Json = {}
    for dotted in wanted:
        _copy(record, result, dotted.removesuffix(".*").split("."))
    return result


def _copy(source: Json, target: Json, parts: list[str]) -> None:
    name, rest = parts[0], parts[1:]
    if name not in source:
        return
    value = source[name]
    if not rest:
        target[name] = value
    elif isinstance(value, dict):
        child = target.setdefault(name, {})
        if isinstance(child, dict):
            _copy(value, child, rest)
            if not child:
                del target[name]
    elif isinstance(value, list):
        children = target.setdefault(name, [{} for _ in value])
        for item, child in zip(value, children, strict=True):
            if isinstance(item, dict) and isinstance(child, dict):
                _copy(item, child, rest)


def select(record: Json, query: Query, keys: Sequence[str], *, instance: bool = False) -> Json:
    """The fields of a record that the request is due: all of one object without `fields`, else keys and those named."""
    if any(field in ("*", "**") for field in query.fields) or (instance and not query.fields):
        return record
    wanted = [*keys, "_links", *query.fields, *(name for name, _ in query.filters), *(n for n, _ in query.order_by)]
    return project(record, wanted)


def _sort_key(record: Json, dotted: str) -> tuple[int, float, str]:
    values = lookup(record, dotted)
    if not values:
        return (0, 0.0, "")
    value = _comparable(values[0])
    return (1, value, "") if isinstance(value, float) else (2, 0.0, value)


def run(records: Sequence[Json], query: Query, keys: Sequence[str], path: str, identity: str) -> Json:
    """The body of a collection's GET: filtered, ordered, one page, with links. `identity`: the key that marks pages."""
    found = [
        record
        for record in records
        if all(matches(lookup(record, name), expression) for name, expression in query.filters)
    ]
    for name, descending in reversed(query.order_by):
        found.sort(key=lambda record: _sort_key(record, name), reverse=descending)
    if query.start is not None:
        names = [str(record[identity]) for record in found]
        if query.start not in names:
            raise OntapError(262245, "The start of the page is no longer there.")
        found = found[names.index(query.start) + 1 :]
    page = found[: query.max_records]
    body: Json = {}
    if query.return_records:
        body["records"] = [select(record, query, keys) for record in page]
    body["num_records"] = len(page)
    links = {"self": {"href": path + _parameters(query, None)}}
    if len(found) > len(page):
        links["next"] = {"href": path + _parameters(query, str(page[-1][identity]))}
    body["_links"] = links
    return body


def _parameters(query: Query, start: str | None) -> str:
    parameters: list[tuple[str, str]] = list(query.filters)
    if query.fields:
        parameters.append(("fields", ",".join(query.fields)))
    if query.order_by:
        parameters.append(("order_by", ",".join(f"{name} desc" if down else name for name, down in query.order_by)))
    if query.max_records != MAX_RECORDS:
        parameters.append(("max_records", str(query.max_records)))
    if start is not None:
        parameters.append(("start", start))
    return "?" + urlencode(parameters) if parameters else ""
