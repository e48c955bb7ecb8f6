"""The edge's agent as a process, and the nginx that it keeps."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from edge_servers import Server
from waiting import wait_until

from farshore.topology import Topology
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_port

COMMAND = (sys.executable, "-m", "farshore_edge", "agent")


@dataclass
class EdgeAgent:
    """Site fra's agent; `topology` is written to the file that it watches."""

    folder: Path
    tools: Tools
    edge_address: str
    agent_port: int = field(default_factory=free_port)
    inner_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        # not below the test's folder: started by root, nginx has workers of another user, who can't look into it
        self.hold_dir = Path(tempfile.mkdtemp(prefix="farshore-holds-"))
        self.hold_dir.chmod(0o755)
        self.topology_file = self.folder / "topology.yaml"
        self.config = self.folder / "edge.conf"
        self.url = f"http://127.0.0.1:{self.agent_port}"
        self.agent = Server(
            COMMAND, http_answers(f"{self.url}/livez"), self.folder / "agent.log", {**os.environ, **self.environ()}
        )
        # with a master, as in production: HUP starts new workers while the old ones end their requests
        self.nginx = Server(
            (str(self.tools.nginx), "-e", "stderr", "-c", str(self.config)),
            http_answers(f"http://{self.edge_address}/edge/health"),
            self.folder / "nginx.log",
        )

    def environ(self) -> dict[str, str]:
        """The agent's settings."""
        return {
            "FARSHORE_TOPOLOGY": str(self.topology_file),
            "FARSHORE_LISTEN": f"127.0.0.1:{self.agent_port}",
            "FARSHORE_EDGE_SITE": "fra",
            "FARSHORE_EDGE_CONFIG": str(self.config),
            "FARSHORE_EDGE_NGINX": str(self.tools.nginx),
            "FARSHORE_EDGE_AGENT_LISTEN": f"127.0.0.1:{self.inner_port}",
            "FARSHORE_EDGE_PID_FILE": str(self.folder / "nginx.pid"),
            "FARSHORE_EDGE_ACCESS_LOG": str(self.folder / "access.log"),
            "FARSHORE_EDGE_TEMP_DIR": str(self.folder),
            "FARSHORE_EDGE_HOLD_DIR": str(self.hold_dir),
        }

    def write(self, topology: Topology) -> None:
        """Replace the topology file, in one step."""
        self.write_text(topology.model_dump_json())

    def write_text(self, text: str) -> None:
        draft = self.topology_file.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.topology_file)

    def refuses_to_start(self, **environ: str) -> tuple[int, str]:
        """Exit code and standard error of an agent that is started with other settings."""
        settings = {**os.environ, **self.environ(), **environ}
        done = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stderr

    async def start(self) -> None:
        """First the agent, which writes the rules; then nginx; then wait until the agent says that it runs them."""
        await self.agent.start()
        await wait_until(self.config.exists, 20, f"the rules, see {self.agent.log_file}")
        await self.nginx.start()
        await self.becomes(lambda status: status["rules"]["in_force"], "the rules to be in force")

    def stop(self) -> None:
        self.agent.stop()
        self.nginx.stop()
        shutil.rmtree(self.hold_dir)

    async def status(self) -> dict[str, Any]:
        """What `/status` says."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/status") as answer:
            document = await answer.json()
            assert isinstance(document, dict)
            return document

    async def metrics(self) -> dict[str, float]:
        """The agent's metrics; those with labels by `name{label="value"}`, without OpenTelemetry's labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {
            _without_scope(line.rpartition(" ")[0]): float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("farshore_")
        }

    async def counts(self, series: str, value: float) -> None:
        """Wait until a metric has that value."""

        async def found() -> bool:
            return (await self.metrics()).get(series) == value

        await wait_until(found, 20, f"{series} to be {value:g}")

    async def becomes(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until `condition` of the status is true; returns that status."""

        async def found() -> list[dict[str, Any]]:
            status = await self.status()
            return [status] if condition(status) else []

        status: dict[str, Any] = (await wait_until(found, 20, f"{what}, see {self.agent.log_file}"))[0]
        return status


def _without_scope(series: str) -> str:
    name, _, labels = series.removesuffix("}").partition("{")
    own = [label for label in labels.split(",") if label and not label.startswith("otel_scope_")]
    return f"{name}{{{','.join(own)}}}" if own else name
