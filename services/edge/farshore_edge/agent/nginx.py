"""The nginx that runs beside the agent: checks rules, reloads, and says what it runs and whom it reaches."""

import asyncio
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import aiohttp

from farshore.asking import asking_session
from farshore.errors import ConfigurationError
from farshore.topology.fields import ListenAddress

_COMMAND_SECONDS = 30.0
"""For `nginx -t`, which resolves the registries' names."""
_ANSWER_SECONDS = 5.0
"""Longer than nginx itself waits for a registry when the agent asks after it."""


class Nginx:
    """One nginx. Use it as an async context manager."""

    def __init__(self, program: Path, config: Path, agent_listen: ListenAddress) -> None:
        self._program = program
        self._config = config.absolute()
        self._url = f"http://{agent_listen}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Nginx":
        self._session = asking_session(_ANSWER_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def refusal_of(self, file: Path) -> str | None:
        """Why nginx wouldn't start with the rules in `file`; None where it would."""
        return await self._complaint("-t", file)

    async def reload(self) -> str | None:
        """Send HUP to the running nginx: new workers take the rules, old ones end their requests. Returns a failure."""
        return await self._complaint("-s", self._config, "reload")

    async def rules(self) -> str | None:
        """The digest of the rules that new connections get; None where nginx doesn't answer."""
        status, text = await self._ask("/rules")
        return text if status == 200 else None

    async def status_of(self, upstream: str) -> int | None:
        """What nginx gets from a registry's `/v2/`: 502, 504 where it can't reach it; None where nginx is silent."""
        return (await self._ask(f"/{upstream}"))[0]

    async def holds(self, registry: str) -> bool:
        """Whether nginx's workers see that the registry's writes are held: not every user may look into the folder."""
        _, told = await self._ask(f"/edge/registries/{registry}")
        return '"held":true' in told

    async def sees_hold_folder(self) -> bool | None:
        """Whether nginx's workers may look into the hold folder; None where nginx doesn't say."""
        _, told = await self._ask("/holds")
        return {"seen": True, "unseen": False}.get(told)

    async def _ask(self, path: str) -> tuple[int | None, str]:
        assert self._session is not None
        try:
            async with self._session.get(self._url + path) as answer:
                return answer.status, await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError):
            return None, ""

    async def _complaint(self, option: str, file: Path, *value: str) -> str | None:
        # -e: before it has read its rules, nginx logs to a path that was compiled in
        command = (str(self._program), option, *value, "-q", "-e", "stderr", "-c", str(file))
        # a file, since uvloop's pipes are sockets: rules that log to /dev/stderr open it, and no socket can be opened
        with os.fdopen(os.memfd_create("complaints"), "rb") as complaints:
            fcntl.fcntl(complaints, fcntl.F_SETFL, os.O_APPEND)  # it writes both by what it has and by what it opened
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=complaints,
                )
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise ConfigurationError("start", str(self._program), reason, hint="set FARSHORE_EDGE_NGINX") from error
            try:
                code = await asyncio.wait_for(process.wait(), _COMMAND_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                return f"{self._program.name} {option} took longer than {_COMMAND_SECONDS:g} s"
            complaints.seek(0)
            return None if code == 0 else first_complaint(complaints.read().decode(errors="replace"))


def first_complaint(complaints: str) -> str:
    """The line that says what is wrong; warnings may stand before it."""
    lines = [line.removeprefix("nginx: ") for line in complaints.splitlines() if line.strip()]
    serious = [line for line in lines if "[emerg]" in line or "[error]" in line or "[alert]" in line]
    return next(iter(serious or lines), "it ended without a word")
