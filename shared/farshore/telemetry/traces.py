"""W3C trace context, in and out of record headers."""

import os
import random
import re
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_ids = random.Random()


def exporting() -> bool:
    """Whether spans leave this process: the standard variables name an OTLP endpoint."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(os.environ.get(name) for name in names)


def next_traceparent(traceparent: str | None) -> str:
    """A new span's `traceparent` in the trace of the one given, or in a new trace; no span is made.

    For hot paths while nothing is exported: the trace goes on, at a fiftieth of a span's cost.
    """
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    trace_id, flags = match.groups() if match else (f"{_ids.getrandbits(128) or 1:032x}", "01")
    return f"00-{trace_id}-{_ids.getrandbits(64) or 1:016x}-{flags}"


def current_traceparent(context: Context | None = None) -> str | None:
    """The `traceparent` of the current span, or of the one in `context`; None where there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return carrier.get("traceparent")


def extract_context(traceparent: str | None) -> Context | None:
    """The remote context that `traceparent` names, to be given as a span's parent."""
    return _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None


def links_to(traceparents: Iterable[str | None], *, most: int = 32) -> list[trace.Link]:
    """Links to the spans that `traceparents` name, at most `most`: a batch span links to what it carries."""
    links: list[trace.Link] = []
    for traceparent in traceparents:
        if len(links) == most:
            break
        context = extract_context(traceparent)
        if context is not None:
            span = trace.get_current_span(context).get_span_context()
            if span.is_valid:
                links.append(trace.Link(span))
    return links
