"""Structured logs: one JSON object a line on standard error, with secrets blanked out; of a command, a line for people.

Write `event(log, logging.INFO, "transfer finished", relationship="main.fra", bytes=4096)`.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

from farshore.telemetry.redact import redact, redact_value

_FIELDS = "farshore_fields"


def event(log: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log `message` with named values; values are shown as JSON where they can be, else by `str`."""
    log.log(level, message, extra={_FIELDS: fields})


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        fields = redact_value(getattr(record, _FIELDS, {}))
        line |= {name: value for name, value in fields.items() if name not in line}
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = f"{span.trace_id:032x}"
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """The same for people: what, why, and in brackets where."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        fields = redact_value(getattr(record, _FIELDS, {}))
        reason = fields.pop("reason", None)
        told = redact(record.message) + (f": {reason}" if reason else "")
        named = ", ".join(f"{name} {value}" for name, value in fields.items())
        return f"{told} ({named})" if named else told

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return redact(super().formatException(ei))


def configure_logs(service: str, level: str = "info") -> None:
    """Send every logger's lines to standard error as JSON; libraries that repeat themselves are turned down."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("urllib3", "netapp_ontap", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # aiokafka reports each failed connection of an outage, hundreds a minute; our own lines tell of it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
