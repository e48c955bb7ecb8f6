"""What a span says of an error, and what it doesn't."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, StatusCode, Tracer

from farshore.errors import FarshoreError
from farshore.telemetry.spans import detail, span


@pytest.fixture
def made() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(made: InMemorySpanExporter) -> Iterator[Tracer]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_a_failed_span_has_the_errors_type_and_its_redacted_text(tracer: Tracer, made: InMemorySpanExporter) -> None:
    with pytest.raises(FarshoreError), span(tracer, "work"):
        raise FarshoreError("ask", "https://admin:hunter2@fra", "password=hunter3 is wrong")
    (found,) = made.get_finished_spans()
    assert found.status.status_code is StatusCode.ERROR
    assert (found.attributes or {})["error.type"] == "FarshoreError"
    assert "is wrong" in (found.status.description or "")
    assert "hunter" not in found.to_json()
    assert not found.events


def test_being_cancelled_is_no_failure(tracer: Tracer, made: InMemorySpanExporter) -> None:
    with pytest.raises(KeyboardInterrupt), span(tracer, "work"):
        raise KeyboardInterrupt
    (found,) = made.get_finished_spans()
    assert found.status.status_code is StatusCode.UNSET


def test_details_are_made_only_where_spans_are_exported(
    tracer: Tracer, made: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with detail(tracer, "look") as nothing:
        assert nothing is INVALID_SPAN
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with detail(tracer, "look"):
        pass
    assert [found.name for found in made.get_finished_spans()] == ["look"]
