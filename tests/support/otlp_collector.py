"""A collector for OTLP over HTTP: takes the protobuf that exporters post, and keeps each span with who sent it."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

PROTOBUF = "application/x-protobuf"

Attributes = dict[str, str | int | float | bool]
SpanId = tuple[str, str]
"""Trace id and span id, as `traceparent` has them."""


@dataclass(frozen=True)
class Span:
    """One span as it was received."""

    name: str
    kind: str
    id: SpanId
    parent: SpanId | None
    links: tuple[SpanId, ...]
    attributes: Attributes
    resource: Attributes
    scope: str
    start: int
    end: int
    failed: bool
    events: int

    @property
    def service(self) -> object:
        """The service that made it."""
        return self.resource["service.name"]


class OtlpCollector:
    """Use as a context manager; `endpoint` is for OTEL_EXPORTER_OTLP_ENDPOINT. Spans of one id are kept once."""

    def __init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status = collector._take(self.path, self.headers["Content-Type"], dict(self.headers), body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", PROTOBUF)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Quietly."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._lock = threading.Lock()
        self._spans: dict[SpanId, Span] = {}
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> dict[SpanId, Span]:
        """All spans so far."""
        with self._lock:
            return dict(self._spans)

    def _take(self, path: str, content_type: str, headers: dict[str, str], body: bytes) -> int:
        if path != "/v1/traces" or content_type != PROTOBUF:
            return 400
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            for resource in request.resource_spans:
                told = _attributes(resource.resource.attributes)
                for scope in resource.scope_spans:
                    for sent in scope.spans:
                        span = _span(sent, told, scope.scope.name)
                        self._spans[span.id] = span
        return 200

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def id_of(traceparent: str) -> SpanId:
    """The span that a `traceparent` names."""
    version, trace, span, _flags = traceparent.split("-")
    assert version == "00", traceparent
    return trace, span


def _span(sent: Sent, resource: Attributes, scope: str) -> Span:
    trace = sent.trace_id.hex()
    return Span(
        name=sent.name,
        kind=Sent.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        id=(trace, sent.span_id.hex()),
        parent=(trace, sent.parent_span_id.hex()) if sent.parent_span_id else None,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in sent.links),
        attributes=_attributes(sent.attributes),
        resource=resource,
        scope=scope,
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        failed=sent.status.code == sent.status.STATUS_CODE_ERROR,
        events=len(sent.events),
    )


def _attributes(pairs: "list[KeyValue]") -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> str | int | float | bool:
    which = value.WhichOneof("value")
    assert which in ("string_value", "int_value", "double_value", "bool_value"), which
    found: str | int | float | bool = getattr(value, which)
    return found
