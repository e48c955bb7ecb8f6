"""Spans go to a collector by mutual TLS with a private CA; files that can't be used end a service at its start."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import small_service
from aiohttp import web
from authorities import Authority, Certificate
from receiver_topology import topology_text
from waiting import wait_until

pytestmark = pytest.mark.integration

EX_CONFIG = 78


class Collector:
    """Asks for a client's certificate of `authority`; counts what it is sent."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.posted = 0
        self.port = 0
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self.runner = web.AppRunner(app)

    async def start(self) -> None:
        shown = self.authority.issue("collector")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.authority.ca_file))
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(shown.certificate, shown.key)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = self.runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        await request.read()
        self.posted += 1
        return web.Response()


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    found = Collector(Authority(tmp_path))
    await found.start()
    yield found
    await found.runner.cleanup()


def environment(collector: Collector, ca_file: Path, shown: Certificate) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(ca_file),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(shown.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(shown.key),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


def start(folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    (folder / "topology.yaml").write_text(topology_text({"main": ""}))
    needed = {
        "FARSHORE_TOPOLOGY": str(folder / "topology.yaml"),
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    command = [sys.executable, small_service.__file__, "traced"]
    return subprocess.Popen(command, env={**os.environ, **needed, **environ}, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


async def test_spans_go_to_a_collector_that_is_trusted_and_trusts(collector: Collector, tmp_path: Path) -> None:
    process = start(tmp_path, environment(collector, collector.authority.ca_file, collector.authority.issue("service")))
    try:
        await wait_until(lambda: collector.posted, 30, "the span")
    finally:
        ended(process)


async def test_a_collector_of_an_unknown_ca_gets_nothing_and_the_log_says_why(
    collector: Collector, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    process = start(tmp_path, environment(collector, stranger.ca_file, collector.authority.issue("service")))
    try:
        said = await asyncio.to_thread(read_until, process, "CERTIFICATE_VERIFY_FAILED")
        assert "Transient error" in said
    finally:
        ended(process)
    assert not collector.posted


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The first line of the log with `word`; in a thread, since the collector answers in the loop."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"it ended without {word}")


@pytest.mark.parametrize("word", ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"])
async def test_a_file_that_is_not_there_ends_the_service(collector: Collector, tmp_path: Path, word: str) -> None:
    variable = f"OTEL_EXPORTER_OTLP_{word}"
    environ = environment(collector, collector.authority.ca_file, collector.authority.issue("service"))
    process = start(tmp_path, environ | {variable: "/none.pem"})
    _, said = process.communicate(timeout=300)
    assert process.returncode == EX_CONFIG
    assert said == (
        f"farshore-small: read /none.pem of {variable}: No such file or directory "
        "(name a file that this user can read)\n"
    )
