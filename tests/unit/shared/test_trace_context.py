"""W3C trace context in and out of record headers: what is malformed is nobody's parent, and links are bounded."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from farshore.telemetry import current_traceparent, extract_context, next_traceparent
from farshore.telemetry.traces import links_to

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
MALFORMED = [
    "",
    "garbage",
    TRACEPARENT[:-1],
    TRACEPARENT.upper(),
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    f"ff-{TRACEPARENT[3:]}",
]


def test_outside_of_a_span_there_is_no_traceparent() -> None:
    assert current_traceparent() is None


def test_a_span_goes_out_and_comes_in_as_the_same_context() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        carried = current_traceparent()
    context = trace.get_current_span(extract_context(carried)).get_span_context()
    assert (context.trace_id, context.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert context.is_remote


def test_a_span_with_a_parent_from_a_record_is_in_its_trace() -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("work", context=extract_context(TRACEPARENT)):
        carried = current_traceparent()
    assert carried is not None
    assert carried.split("-")[1] == TRACEPARENT.split("-")[1]
    assert carried.split("-")[2] != TRACEPARENT.split("-")[2]


def test_the_next_traceparent_stays_in_the_trace_with_a_span_of_its_own() -> None:
    _, trace_id, span_id, flags = TRACEPARENT.split("-")
    found = next_traceparent(TRACEPARENT)
    assert FORM.fullmatch(found)
    assert found.split("-")[1] == trace_id
    assert found.split("-")[2] != span_id
    assert found.split("-")[3] == flags


@pytest.mark.parametrize("text", [None, *MALFORMED])
def test_what_is_malformed_begins_a_new_trace(text: str | None) -> None:
    first, second = next_traceparent(text), next_traceparent(text)
    assert FORM.fullmatch(first)
    assert first.split("-")[1] != second.split("-")[1]
    assert links_to([text]) == []


@given(st.text(max_size=80))
def test_any_text_is_a_parent_or_ignored(text: str) -> None:
    assert FORM.fullmatch(next_traceparent(text))
    assert len(links_to([text])) <= 1


def test_links_are_at_most_as_many_as_wanted_and_the_rest_isnt_looked_at() -> None:
    def parents() -> list[str]:
        return [f"00-0af7651916cd43dd8448eb211c80319c-{number:016x}-01" for number in range(1, 1000)]

    assert len(links_to(parents())) == 32
    links = links_to([None, "garbage", *parents()], most=3)
    assert [link.context.span_id for link in links] == [1, 2, 3]
    endless = iter(parents())
    links_to(endless, most=5)
    assert len(list(endless)) >= 999 - 6
