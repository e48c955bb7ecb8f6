"""Runs a command of the operator's, without a shell."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping

from farshore.errors import ConfigurationError, FarshoreError, RetryClass

SECONDS = 120.0


def command_runner(text: str, values: Mapping[str, str]) -> Callable[[], Awaitable[None]]:
    """Runs the words of `text`, in which `{name}` stands for a value of `values`. Raises ConfigurationError where they
    are no command line; what it returns raises FarshoreError where the command fails or takes too long."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError("read command", text, str(error)) from error
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]

    async def run() -> None:
        try:
            process = await asyncio.create_subprocess_exec(*words)
        except OSError as error:
            raise FarshoreError("run", words[0], str(error), retry=RetryClass.OPERATOR) from error
        try:
            code = await asyncio.wait_for(process.wait(), SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            reason = f"it didn't end within {SECONDS:g} s"
            raise FarshoreError("run", words[0], reason, retry=RetryClass.RETRY_SOON) from None
        if code != 0:
            raise FarshoreError("run", words[0], f"it ended with exit code {code}", retry=RetryClass.RETRY_SOON)

    return run
