"""Runs a command behind a fence that holds, and ends it before the fence lets go."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from farshore_cli import exit_codes
from farshore_cli.commands.running import Interruption
from farshore_cli.fences.raise_and_lift import Fence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def margin_seconds(limit_seconds: int) -> float:
    """How long before its limit a fence's command is asked to end; half of it later it is killed."""
    return min(20.0, limit_seconds / 4)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended; `cut`: why it was ended before it was done."""

    code: int
    cut: str | None = None


async def run_behind(
    command: Sequence[str], fence: Fence, ends_at: float, grace_seconds: float, interruption: Interruption
) -> Ended:
    """Run `command` until it ends; from `ends_at` on, on the loop's clock, it may run no longer.

    One that has to be ended gets SIGTERM, and SIGKILL after `grace_seconds`. Raises OSError where it can't be started.
    """
    process = await asyncio.create_subprocess_exec(*command, preexec_fn=_end_with_parent)
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(process.wait())
    over = asyncio.create_task(fence.until("lifted", "expired"))
    wanted = asyncio.create_task(interruption.wanted.wait())
    try:
        await asyncio.wait(
            {ended, over, wanted}, timeout=max(0.0, ends_at - loop.time()), return_when=asyncio.FIRST_COMPLETED
        )
        if ended.done():
            return Ended(_shell_code(ended.result()))
        cut = "its time is over"
        if wanted.done():
            cut = "interrupted"
        elif over.done():
            cut = "nobody knows whether the fence holds" if over.exception() else f"the fence is {over.result()}"
        process.terminate()
        await asyncio.wait({ended}, timeout=grace_seconds)
        if not ended.done():
            process.kill()
            await ended
        return Ended(_shell_code(ended.result()) if wanted.done() else exit_codes.OUT_OF_TIME, cut)
    finally:
        for task in (over, wanted):
            task.cancel()
        await asyncio.wait({over, wanted})
        if not ended.done():
            process.kill()
            await ended


def _end_with_parent() -> None:
    """A command that outlived the fence would be what the fence is there to prevent."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _shell_code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned
