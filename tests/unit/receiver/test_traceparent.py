"""The trace context that travels on without a span."""

import pytest

from farshore.telemetry import next_traceparent

GIVEN = "00-0123456789abcdef0123456789abcdef-00000000000000aa-00"


def test_the_trace_and_its_flags_go_on_under_a_new_span() -> None:
    version, trace, span, flags = next_traceparent(GIVEN).split("-")
    assert (version, trace, flags) == ("00", "0123456789abcdef0123456789abcdef", "00")
    assert span != "00000000000000aa"
    assert len(span) == 16


@pytest.mark.parametrize(
    "given", [None, "", "nonsense", GIVEN.upper(), GIVEN.replace("00000000000000aa", "0" * 16), GIVEN + "-more"]
)
def test_what_is_no_traceparent_begins_a_trace(given: str | None) -> None:
    first, second = next_traceparent(given), next_traceparent(given)
    assert first.split("-")[1] != second.split("-")[1]
    assert first.endswith("-01")
