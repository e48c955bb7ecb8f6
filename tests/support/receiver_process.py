"""The receiver as a real process, and what it left in Kafka."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiokafka.structs import ConsumerRecord
from kafka_log import read_topic
from notifications import CONTENT_TYPE
from receiver_topology import topology_text
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import Topic
from farshore_cli.tools.child import spawn, tail
from farshore_cli.tools.ports import free_port

TOKEN = "the-token-of-the-tests"


class ReceiverProcess:
    """`python -m farshore_receiver` for the registries of `prefixes` (name: prefix), which share TOKEN's file."""

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        prefixes: Mapping[str, str],
        *,
        head_start: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_file = folder / "receiver.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.management_url = f"http://127.0.0.1:{free_port()}"
        tokens = {}
        for name in prefixes:
            path = self.token_file(name)
            path.write_text(f"{TOKEN}-{name}\n")
            tokens[name] = f"file:{path}"
        (folder / "topology.yaml").write_text(topology_text(prefixes, tokens=tokens, head_start=head_start))
        self._environ = {
            **os.environ,
            "FARSHORE_TOPOLOGY": str(folder / "topology.yaml"),
            "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "FARSHORE_LISTEN": f"127.0.0.1:{self.port}",
            "FARSHORE_RECEIVER_MANAGEMENT_LISTEN": self.management_url.removeprefix("http://"),
            # the longest there is: a Kafka that is slow because the machine is busy gives no 503
            "FARSHORE_RECEIVER_ACKNOWLEDGE_TIMEOUT": "4",
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def token_file(self, registry: str) -> Path:
        return self.folder / f"token-{registry}"

    def launch(self) -> Self:
        self._process = spawn(
            [sys.executable, "-m", "farshore_receiver"], log_file=self.log_file, environ=self._environ
        )
        return self

    async def answers(self, path: str = "/readyz") -> bool:
        assert self._process is not None
        assert self._process.poll() is None, tail(self.log_file)
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def start(self) -> Self:
        self.launch()
        await wait_until(self.answers, 30, "the receiver's readiness")
        return self

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def log(self) -> str:
        return self.log_file.read_text()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that have these labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.management_url}/metrics") as answer:
            text = await answer.text()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if line.startswith(name) and all(label in line for label in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def counts(self) -> tuple[int, int, int]:
        """Events, dropped, dead letters of an accepted notification."""
        events, dropped, letters = (
            int(part.partition("=")[2]) for part in self.headers["farshore-accepted"].split(",")
        )
        return events, dropped, letters


async def post(
    receiver: ReceiverProcess,
    registry: str,
    body: Any,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> Answer:
    """Post to a registry's URL, with its own token unless another is given; "" sends none."""
    sent = {"Content-Type": CONTENT_TYPE, **(headers or {})}
    if token != "":
        sent["Authorization"] = f"Bearer {token or f'{TOKEN}-{registry}'}"
    url = f"{receiver.url}/v1/notifications/{registry}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session,
        session.request(method, url, data=body, headers=sent) as answer,
    ):
        return Answer(answer.status, answer.headers, json.loads(await answer.read() or b"null"))


async def records_of(bootstrap: str, topic: Topic, key: str) -> list[ConsumerRecord[bytes, bytes]]:
    """All records of a topic that have this key, in their order."""
    return [record for record in await read_topic(Bus(bootstrap), topic) if record.key == key.encode()]
