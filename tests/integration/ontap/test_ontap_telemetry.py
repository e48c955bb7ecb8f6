"""Requests to clusters are counted, and traced within a span. In a process of its own, which telemetry belongs to."""

import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

pytestmark = pytest.mark.integration

PROGRAM = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from farshore.ontap import OntapCluster, OntapError
from farshore.telemetry.start import start_telemetry
from farshore.topology import Cluster

async def main():
    start_telemetry("test")
    spans = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
    settings = Cluster(url=sys.argv[1], password="file:" + sys.argv[2], svm="svm")
    async with OntapCluster("fra", settings) as cluster:
        await cluster.info()
        with trace.get_tracer("test").start_as_current_span("work"):
            await cluster.info()
            try:
                await cluster.list_snapshots("gone")
            except OntapError:
                pass
    print(generate_latest().decode())
    for span in spans.get_finished_spans():
        if span.kind is trace.SpanKind.CLIENT:
            print("span", span.name, span.attributes["farshore.site"], span.attributes["server.address"],
                  span.status.status_code.name, span.attributes.get("error.type"), len(span.events))

asyncio.run(main())
"""


def test_calls_are_counted_by_cluster_and_outcome_and_are_client_spans_of_what_they_belong_to(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret-of-the-cluster")

    def script(_method: str, path: str) -> Answer:
        if path.startswith("/api/storage"):
            return Answer({"error": {"code": "4", "message": "entry doesn't exist"}}, 404)
        return Answer({"name": "c", "uuid": "u", "version": {"full": "9.14.1"}})

    with ScriptedServer(script) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url, str(password)], capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr
    counted = {line for line in done.stdout.splitlines() if line.startswith("farshore_ontap_requests_total{")}
    assert any('call="read cluster"' in line and 'outcome="ok"' in line and line.endswith(" 2.0") for line in counted)
    assert any('call="list snapshots"' in line and 'outcome="rediscover"' in line for line in counted)
    assert all('cluster="fra"' in line for line in counted)
    assert [line for line in done.stdout.splitlines() if line.startswith("span ")] == [
        "span ontap read cluster fra 127.0.0.1 UNSET None 0",
        "span ontap list snapshots fra 127.0.0.1 ERROR OntapError 0",
    ]
    assert "secret-of-the-cluster" not in done.stdout + done.stderr
