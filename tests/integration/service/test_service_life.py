"""A service's life: health over HTTP, a clean end on SIGTERM whatever Kafka does, exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import small_service
from live_log import whole_lines
from receiver_topology import topology_text
from waiting import wait_until

from farshore_cli.tools.child import end, spawn

pytestmark = pytest.mark.integration

NO_KAFKA = "127.0.0.1:1"


class SmallService:
    """`small_service.py` in one of its modes, on a port of its own choice."""

    def __init__(
        self,
        mode: str,
        folder: Path,
        bootstrap: str = NO_KAFKA,
        listen: str = "127.0.0.1:0",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        (folder / "topology.yaml").write_text(topology_text({"main": ""}))
        self.log_file = folder / "small.log"
        program = [sys.executable, small_service.__file__, mode]
        self.process = spawn(
            ["env", "-C", str(folder), *program],
            log_file=self.log_file,
            environ={
                **os.environ,
                "FARSHORE_TOPOLOGY": str(folder / "topology.yaml"),
                "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
                "FARSHORE_LISTEN": listen,
                **(environ or {}),
            },
        )

    def lines(self) -> list[str]:
        return whole_lines(self.log_file)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def said(self, message: str) -> dict[str, Any] | None:
        return next((line for line in self.logged() if line["message"] == message), None)

    async def get(self, path: str) -> tuple[int, str]:
        listening = await wait_until(lambda: self.said("listening"), 30, "the service to listen")
        assert listening is not None
        async with aiohttp.ClientSession() as session, session.get(f"http://{listening['at']}{path}") as answer:
            return answer.status, await answer.text()

    async def ended(self) -> int:
        await wait_until(lambda: self.process.poll() is not None, 30, "the service's end")
        return self.process.returncode

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code; fails when the service takes longer than it takes on the busiest of machines."""
        self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            end(self.process, within_seconds=0)
            raise


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address where connections are accepted and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_health_and_metrics_answer(tmp_path: Path) -> None:
    service = SmallService("serve", tmp_path)
    assert await service.get("/livez") == (200, "ok\n")
    assert await service.get("/readyz") == (503, "not ready\n")
    (tmp_path / "ready").touch()

    async def is_ready() -> bool:
        return await service.get("/readyz") == (200, "ready\n")

    await wait_until(is_ready, 10, "readiness")
    status, text = await service.get("/metrics")
    assert status == 200
    assert "farshore_small_starts_total{" in text
    assert (await service.get("/other"))[0] == 404
    assert service.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(number: signal.Signals, tmp_path: Path) -> None:
    service = SmallService("serve", tmp_path)
    await service.get("/livez")
    assert service.terminate(number) == 0
    assert [line["message"] for line in service.logged()] == ["starting", "listening", "stopped"]


async def test_an_open_connection_doesnt_hold_up_the_end(tmp_path: Path) -> None:
    service = SmallService("serve", tmp_path)
    await service.get("/livez")
    listening = service.said("listening")
    assert listening is not None
    host, _, port = listening["at"].rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")  # a request that never ends
        assert service.terminate() == 0


async def test_it_ends_while_kafka_refuses_connections(tmp_path: Path) -> None:
    service = SmallService("need_kafka", tmp_path, NO_KAFKA)
    await wait_until(lambda: service.said("waiting for Kafka"), 30, "it to wait for Kafka")
    assert (await service.get("/readyz"))[0] == 503
    assert service.terminate() == 0


async def test_it_ends_while_kafka_accepts_connections_and_is_silent(tmp_path: Path, silent_server: str) -> None:
    service = SmallService("need_kafka", tmp_path, silent_server)
    assert (await service.get("/livez"))[0] == 200
    assert service.terminate() == 0


async def test_it_ends_while_the_trace_collector_is_silent(tmp_path: Path, silent_server: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{silent_server}", "OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
    service = SmallService("traced", tmp_path, environ=environ)
    await service.get("/livez")
    assert service.terminate() == 0


async def test_a_wrong_setting_found_by_a_task_is_named_and_ends_it_with_78(tmp_path: Path) -> None:
    service = SmallService("misconfigured", tmp_path)
    assert await service.ended() == 78
    assert [line for line in service.lines() if not line.startswith("{")] == [
        "farshore-small: read setting ONE: it is wrong",
    ]


async def test_a_mistake_of_the_programs_is_logged_with_its_trace_and_ends_with_70(tmp_path: Path) -> None:
    service = SmallService("broken", tmp_path)
    assert await service.ended() == 70
    failure = service.said("ended by an unexpected failure")
    assert failure is not None
    assert "ZeroDivisionError" in failure["error"]
    assert service.said("stopped") is None


async def test_an_address_in_use_is_a_wrong_setting(tmp_path: Path, silent_server: str) -> None:
    service = SmallService("serve", tmp_path, listen=silent_server)
    assert await service.ended() == 78
    (line,) = [line for line in service.lines() if not line.startswith("{")]
    assert silent_server in line
    assert "FARSHORE_LISTEN" in line
