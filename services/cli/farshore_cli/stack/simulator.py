"""The control interface of a simulated ONTAP cluster: what a real one has no call for."""

from collections.abc import Sequence
from typing import Any

import aiohttp

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.stack.layout import VOLUME, Link, SitePlan


class Simulator:
    """`/sim/` of one cluster. It asks for no password: the simulator listens on the loopback only."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def set_link(self, peer: str, link: Link) -> None:
        """Make the link to `peer` as slow as `link` says."""
        body = {"latency_ms": link.latency_ms, "bandwidth_bytes_per_second": link.megabits_per_second * 125_000}
        await self._call("PUT", f"/sim/links/{peer}", body)

    async def set_writers(self, site: SitePlan, pids: Sequence[int]) -> None:
        """Name the processes that write to the site's volume: they are held still while a snapshot is taken."""
        await self._call("PUT", "/sim/writers", {"svm": site.svm, "volume": VOLUME, "pids": list(pids)})

    async def stats(self) -> dict[str, Any]:
        """What crossed the wire and what lies at rest, in bytes."""
        return await self._call("GET", "/sim/stats", None)

    async def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self._url + path, json=body) as answer,
            ):
                text = await answer.text()
                if answer.status >= 300:
                    raise FarshoreError(method, self._url + path, f"{answer.status} {text}")
                content = await answer.json() if text else {}
                return content if isinstance(content, dict) else {"records": content}
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FarshoreError(method, self._url + path, str(error), retry=RetryClass.RETRY_SOON) from error
