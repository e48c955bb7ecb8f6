"""Metrics by OpenTelemetry, shown in Prometheus' text format."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response


async def metrics_app(_request: Request) -> Response:
    """The endpoint `/metrics`."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
