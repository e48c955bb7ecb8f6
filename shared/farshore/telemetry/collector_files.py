"""Looks at the start whether the files for TLS to the collector can be used; the exporter finds out much later."""

import os

from farshore.telemetry.traces import exporting
from farshore.tls import FileSetting, client_context


def check_collector_files() -> None:
    """Raises ConfigurationError that names the variable. Source: OpenTelemetry, protocol exporter's configuration."""
    if exporting():
        client_context(_file("CERTIFICATE"), _file("CLIENT_CERTIFICATE"), _file("CLIENT_KEY"))


def _file(word: str) -> FileSetting | None:
    """The variable for traces comes before that for all signals."""
    for name in (f"OTEL_EXPORTER_OTLP_TRACES_{word}", f"OTEL_EXPORTER_OTLP_{word}"):
        if path := os.environ.get(name):
            return FileSetting(name, path)
    return None
