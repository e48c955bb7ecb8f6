"""What sends spans to a collector, by OTLP over HTTP. Imported only where spans go anywhere: it takes a while."""

from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter


class _Session(requests.Session):
    """requests would take `REQUESTS_CA_BUNDLE` in place of the CA file that is set for the collector alone."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)


def span_exporter() -> OTLPSpanExporter:
    """As OpenTelemetry's variables say."""
    return OTLPSpanExporter(session=_Session())
