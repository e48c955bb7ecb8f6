"""The processes around an edge under test: registries, and nginx itself."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from waiting import wait_until

from farshore_cli.stack.probes import Probe, http_answers
from farshore_cli.stack.registry_config import registry_config
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.find import Tools


@dataclass
class Server:
    """A process that answers `probe` when it is there."""

    command: tuple[str, ...]
    probe: Probe
    log_file: Path
    environ: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    async def start(self) -> None:
        self.process = spawn(self.command, log_file=self.log_file, environ=self.environ)
        await wait_until(self.probe, 10, f"{self.command[0]}, see {self.log_file}")

    def stop(self) -> None:
        if self.process is not None:
            end(self.process, within_seconds=5)
            self.process = None


def make_registry(folder: Path, name: str, tools: Tools, address: str, *, read_only: bool) -> Server:
    config = folder / f"{name}.yaml"
    config.write_text(registry_config(folder / name, address, "s", read_only=read_only))
    command = (str(tools.registry_v2), "serve", str(config))
    return Server(command, http_answers(f"http://{address}/v2/"), folder / f"{name}.log")
