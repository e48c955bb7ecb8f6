"""One fence from its raising to its lifting, with or without a command behind it."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from farshore.bus.clients import Bus
from farshore_cli import exit_codes
from farshore_cli.commands.running import Interruption, unless_interrupted
from farshore_cli.fences.raise_and_lift import Fence
from farshore_cli.fences.run_behind import margin_seconds, run_behind


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; times in seconds."""

    bus: Bus
    registry: str
    limit: int
    reason: str
    within: float
    command: Sequence[str]

    async def hold(self, interruption: Interruption) -> int:
        """Raise it, wait until it holds, run the command, lift it; returns the exit code.

        Without a command it stays up. Raises FarshoreError or one of KAFKA_FAILURES where it can't be raised.
        """
        async with Fence(self.bus, self.registry) as fence:
            began = asyncio.get_running_loop().time()
            try:
                await fence.go_up(self.limit, self.reason)
                held = await unless_interrupted(self._until_held(fence), interruption)
            except BaseException:
                await fence.lift()
                raise
            if not held:
                await self._lift(fence)
                if held is None:
                    return interruption.exit_code
                _say(f"no coalescer said within {self.within:g} s that fence {fence.id} holds: nothing was run")
                return exit_codes.UNKNOWN
            _say(f"fence {fence.id} holds: no snapshot of {self.registry} is taken, for {self.limit} s at most")
            if not self.command:
                print(fence.id)
                return exit_codes.OK
            try:
                return await self._run(fence, began, interruption)
            finally:
                await self._lift(fence)

    async def _until_held(self, fence: Fence) -> bool:
        try:
            async with asyncio.timeout(self.within):
                await fence.until("held")
        except TimeoutError:
            return False
        return True

    async def _run(self, fence: Fence, began: float, interruption: Interruption) -> int:
        ends_at = began + self.limit - margin_seconds(self.limit)
        try:
            ended = await run_behind(self.command, fence, ends_at, margin_seconds(self.limit) / 2, interruption)
        except OSError as error:
            _say(f"{self.command[0]}: {error.strerror or error}")
            return exit_codes.NOT_FOUND if isinstance(error, FileNotFoundError) else exit_codes.NOT_EXECUTABLE
        if ended.cut is not None:
            _say(f"{self.command[0]} was ended: {ended.cut}")
        return ended.code

    async def _lift(self, fence: Fence) -> None:
        if await fence.lift():
            _say(f"fence {fence.id} is lifted")
        else:
            _say(f"fence {fence.id} isn't lifted: Kafka doesn't answer. It lets go by itself after {self.limit} s")


def _say(text: str) -> None:
    print(f"farshore: {text}", file=sys.stderr, flush=True)
