"""A service as a process of its own, on ports of its own choice."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from live_log import whole_lines
from waiting import wait_until

from farshore_cli.tools.child import end, spawn


class ServiceProcess:
    """`python -m MODULE`, with nothing of FARSHORE_* in its environment but `environ`."""

    def __init__(self, module: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.module = module
        self.log_file = folder / f"{module}.log"
        others = {name: value for name, value in os.environ.items() if not name.startswith("FARSHORE_")}
        self.process = spawn([sys.executable, "-m", module], log_file=self.log_file, environ={**others, **environ})

    def said(self, message: str) -> list[dict[str, Any]]:
        """The log's lines with that message."""
        lines = [json.loads(line) for line in whole_lines(self.log_file) if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    async def ready(self) -> None:
        """Wait until it says so at one of its ports."""

        async def is_ready() -> bool:
            return bool(await self._answers("/readyz"))

        await wait_until(is_ready, 60, f"{self.module} to be ready, see {self.log_file}")

    async def metric(self, name: str, value: float) -> None:
        """Wait until a metric without labels has that value at one of its ports."""

        async def has_value() -> bool:
            answers = await self._answers("/metrics")
            return any(f"{name} {value}" in answer.splitlines() for answer in answers)

        await wait_until(has_value, 60, f"{name} of {self.module} to be {value}, see {self.log_file}")

    async def _answers(self, path: str) -> list[str]:
        """What its ports answer with 200."""
        found = []
        async with aiohttp.ClientSession() as session:
            for listening in self.said("listening"):
                async with session.get(f"http://{listening['at']}{path}") as answer:
                    if answer.status == 200:
                        found.append(await answer.text())
        return found

    def stop(self) -> int:
        """The exit code of an end in order; kills what takes longer than that may."""
        return end(self.process, within_seconds=60)
