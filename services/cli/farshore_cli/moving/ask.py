"""Asks edges what they do with a registry's writes, and the new primary's registry whether it takes any."""

import asyncio
import json
import ssl
from types import TracebackType
from typing import Self

import aiohttp

from farshore.media_types import OCI_MANIFEST
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.facts import EdgeSeen

TIMES = 3
"""How often an edge is asked, each time on a connection of its own: while nginx reloads, old workers answer too."""
SECONDS = 5.0
_PROBED = "farshore-move/manifests/probe"


class Asker:
    """An asynchronous context manager. `ca_file`: what the certificates of edges and registries are checked against."""

    def __init__(self, ca_file: str | None = None) -> None:
        self.ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, force_close=True), timeout=aiohttp.ClientTimeout(total=SECONDS)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def edge(self, url: str, registry: str) -> EdgeSeen | Unseen:
        """What the edge at `url` says; of answers that differ the one that is farthest from what a move wants."""
        try:
            answers = await asyncio.gather(*(self._ask_edge(url, registry) for _ in range(TIMES)))
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unseen(f"{url} doesn't answer: {str(error) or type(error).__name__}")
        except (ValueError, KeyError, TypeError):
            return Unseen(f"{url} doesn't tell of {registry}", "render its rules anew: farshore-edge render")
        oldest = min(answers, key=lambda seen: seen.epoch)
        held, idle = all(seen.held for seen in answers), all(seen.idle for seen in answers)
        return EdgeSeen(oldest.primary, oldest.epoch, held, idle)

    async def _ask_edge(self, url: str, registry: str) -> EdgeSeen:
        about = f"{url}/edge/registries/{registry}"
        async with self._started().get(about) as answer:
            document = json.loads(await answer.text())
        async with self._started().get(f"{about}/idle") as answer:
            idle = answer.status == 204
        return EdgeSeen(str(document["primary"]), int(document["epoch"]), document["held"] is True, idle)

    async def takes_writes(self, url: str, prefix: str) -> bool | None:
        """Whether the registry at `url` takes writes, asked by pushing what is no manifest; None where it wants
        credentials first, and so doesn't say.

        CNCF distribution answers 405 while `maintenance.readonly` is enabled (handlers/manifests.go: only a writable
        registry has a handler for PUT), and else 400 to what is no JSON; so do 2.8 and 3.1 alike.
        """
        headers = {"Content-Type": OCI_MANIFEST}
        try:
            async with self._started().put(
                f"{url}/v2/{prefix}{_PROBED}", data=b"no manifest", headers=headers
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            return False
        return None if status in (401, 403) else status == 400

    def _started(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the asker is not entered")
        return self._session
