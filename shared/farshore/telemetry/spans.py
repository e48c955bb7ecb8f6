"""Spans as all services make them: an error leaves its type and its redacted text, never a traceback."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from farshore.telemetry.redact import redact
from farshore.telemetry.traces import exporting

Attributes = Mapping[str, AttributeValue]


@contextlib.contextmanager
def span(
    tracer: Tracer,
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    context: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """A span that is the current one inside; its parent is that of `context`, else the current one."""
    with tracer.start_as_current_span(
        name, context, kind, attributes, links, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield made
        except Exception as error:
            fail(made, type(error).__name__, str(error))
            raise


def detail(
    tracer: Tracer, name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
) -> contextlib.AbstractContextManager[Span]:
    """A span that says more of the current one, and that no record carries on; none while nothing is exported."""
    return span(tracer, name, kind, attributes) if exporting() else contextlib.nullcontext(trace.INVALID_SPAN)


def fail(span: Span, kind: str, reason: str = "") -> None:
    """Mark a span as failed; `kind` is of a small set. Source: OpenTelemetry's conventions for recording errors."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, redact(reason)))


def sends(topic: str) -> dict[str, AttributeValue]:
    """The attributes of a span that writes to a topic. Source: OpenTelemetry's semantic conventions for Kafka."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
    }
