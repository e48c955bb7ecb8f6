"""The farshore command as a process."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


async def start_farshore(*arguments: str, environ: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start it without a terminal; its output can be read from the process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "farshore_cli",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environ or {})},
    )


async def end_of(process: asyncio.subprocess.Process, within_seconds: float = 400) -> Ended:
    """Wait for its end; it is killed where that takes longer."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), within_seconds)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def farshore(*arguments: str, environ: Mapping[str, str] | None = None, within_seconds: float = 400) -> Ended:
    """Run it to its end."""
    return await end_of(await start_farshore(*arguments, environ=environ), within_seconds)
