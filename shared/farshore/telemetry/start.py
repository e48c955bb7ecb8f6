"""Starts and stops telemetry for a service."""

import threading
import uuid
from importlib.metadata import version

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from farshore.telemetry.logs import configure_logs
from farshore.telemetry.traces import exporting

STOP_SECONDS = 1.0
"""Of the ten that a service has for its end."""


def start_telemetry(service: str, *, log_level: str = "info") -> None:
    """Configure logs, metrics and traces for `service` (for instance `farshore-receiver`).

    Spans go out by OTLP over HTTP only where the standard variables say so (`OTEL_EXPORTER_OTLP_ENDPOINT`, or the one
    for traces); without them spans still carry context from record to record.
    """
    configure_logs(service, log_level)
    resource = _resource(service)
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # it would wait for a collector that is away
    if exporting():
        from farshore.telemetry.exporter import span_exporter

        provider.add_span_processor(BatchSpanProcessor(span_exporter()))
    trace.set_tracer_provider(provider)


def _resource(service: str) -> Resource:
    """Who tells; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come before what is said here."""
    ours = {
        "service.name": service,
        "service.namespace": "farshore",
        "service.version": version("farshore"),
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def stop_telemetry() -> None:
    """Send the spans that are left, within STOP_SECONDS; a collector that takes longer doesn't get them."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        stopping = threading.Thread(target=provider.shutdown, name="stop telemetry", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)
