"""Asks edges what they do with a registry's writes, and the new primary's registry whether it takes any."""

import asyncio
import json
import ssl
from types import TracebackType
from typing import Self

import aiohttp

from farshore.asking import asking_session
from farshore.media_types import OCI_MANIFEST
from farshore.tls import FileSetting, client_context, what_helps, why_not_trusted
from farshore.topology import Edge, Place
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.facts import EdgeSeen

TIMES = 3
"""How often an edge is asked, each time on a connection of its own: while nginx reloads, old workers answer too."""
SECONDS = 5.0
_PROBED = "farshore-move/manifests/probe"


class Asker:
    """An asynchronous context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = asking_session(SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def edge(self, site: str, edge: Edge, registry: str) -> EdgeSeen | Unseen:
        """What the edge of `site` says; of answers that differ the one that is farthest from what a move wants."""
        url, setting = edge.url, f"sites.{site}.edge.certificate_ca_file"
        tls = _tls(edge.certificate_ca_file, setting)
        try:
            answers = await asyncio.gather(*(self._ask_edge(url, registry, tls) for _ in range(TIMES)))
        except aiohttp.ClientConnectorCertificateError as error:
            untrusted = error.certificate_error
            return Unseen(f"{url}: {why_not_trusted(untrusted)}", what_helps(untrusted, setting))
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unseen(f"{url} doesn't answer: {str(error) or type(error).__name__}")
        except (ValueError, KeyError, TypeError):
            return Unseen(f"{url} doesn't tell of {registry}", "render its rules anew: farshore-edge render")
        oldest = min(answers, key=lambda seen: seen.epoch)
        held, idle = all(seen.held for seen in answers), all(seen.idle for seen in answers)
        return EdgeSeen(oldest.primary, oldest.epoch, held, idle)

    async def _ask_edge(self, url: str, registry: str, tls: ssl.SSLContext) -> EdgeSeen:
        about = f"{url}/edge/registries/{registry}"
        async with self._started().get(about, ssl=tls) as answer:
            document = json.loads(await answer.text())
        async with self._started().get(f"{about}/idle", ssl=tls) as answer:
            idle = answer.status == 204
        return EdgeSeen(str(document["primary"]), int(document["epoch"]), document["held"] is True, idle)

    async def takes_writes(self, place: Place, prefix: str) -> bool | None:
        """Whether the registry at `place` takes writes, asked by pushing what is no manifest; None where it wants
        credentials first, and so doesn't say.

        CNCF distribution answers 405 while `maintenance.readonly` is enabled (handlers/manifests.go: only a writable
        registry has a handler for PUT), and else 400 to what is no JSON; so do 2.8 and 3.1 alike.
        """
        headers = {"Content-Type": OCI_MANIFEST}
        try:
            async with self._started().put(
                f"{place.url}/v2/{prefix}{_PROBED}",
                data=b"no manifest",
                headers=headers,
                ssl=_tls(place.ca_file, "ca_file, beside its url,"),
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            return False
        return None if status in (401, 403) else status == 400

    def _started(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the asker is not entered")
        return self._session


def _tls(ca_file: str | None, setting: str) -> ssl.SSLContext:
    return client_context(FileSetting(setting, ca_file) if ca_file else None)
