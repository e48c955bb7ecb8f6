"""Readiness records on their way to Kafka; where traces are exported, each in a span that ends when it can be read."""

import contextlib
from collections.abc import Iterable, Iterator

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.topics import READINESS
from farshore.records.readiness import Readiness
from farshore.telemetry import current_traceparent, exporting
from farshore.telemetry.spans import fail, sends
from farshore_verifier.announce import readiness_record

_tracer = trace.get_tracer("farshore.verifier")


def begin_sending(statement: Readiness, context: Context | None = None) -> tuple[OutgoingRecord, Span]:
    """The statement's record, and the span that it carries on; that is a child of the one in `context`, else of the
    current one. Where nothing is exported the record carries on that one."""
    if not exporting():
        return readiness_record(statement, current_traceparent(context)), INVALID_SPAN
    attributes = {
        **sends(READINESS.name),
        "messaging.kafka.message.key": statement.key,
        "farshore.registry": statement.registry,
        "farshore.site": statement.site,
        "farshore.image": statement.image,
        "farshore.state": statement.state.value,
    }
    span = _tracer.start_span(f"send {READINESS.name}", context, SpanKind.PRODUCER, attributes)
    return readiness_record(statement, current_traceparent(trace.set_span_in_context(span, Context()))), span


@contextlib.contextmanager
def until_sent(spans: Iterable[Span]) -> Iterator[None]:
    """Around the transaction that writes the records: its end is theirs."""
    spans = list(spans)
    try:
        yield
    except Exception as error:
        for span in spans:
            fail(span, type(error).__name__, str(error))
        raise
    finally:
        for span in spans:
            span.end()
