"""Traces, metrics and logs: one call at start, and nothing secret in any of them."""

from farshore.telemetry.logs import configure_logs, event
from farshore.telemetry.metrics import metrics_app
from farshore.telemetry.start import start_telemetry, stop_telemetry
from farshore.telemetry.traces import current_traceparent, exporting, extract_context, next_traceparent

__all__ = [
    "configure_logs",
    "current_traceparent",
    "event",
    "exporting",
    "extract_context",
    "metrics_app",
    "next_traceparent",
    "start_telemetry",
    "stop_telemetry",
]
