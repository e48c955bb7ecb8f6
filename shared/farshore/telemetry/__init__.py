"""Traces, metrics and logs, and nothing secret in any of them.

What only a service needs isn't imported here, since the command line would wait for it: `telemetry.start`, called once
at its start, and `telemetry.metrics`.
"""

from farshore.telemetry.logs import configure_logs, event
from farshore.telemetry.traces import current_traceparent, exporting, extract_context, next_traceparent

__all__ = [
    "configure_logs",
    "current_traceparent",
    "event",
    "exporting",
    "extract_context",
    "next_traceparent",
]
