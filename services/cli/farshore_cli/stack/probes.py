"""Whether a part answers yet."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from farshore_cli.stack.ports import HOST
from farshore_cli.tools.kafka.command import cluster_id_of
from farshore_cli.tools.kafka.probe import ask_cluster

Probe = Callable[[], Awaitable[bool]]


def http_answers(url: str) -> Probe:
    """True once GET `url` answers 200."""

    async def ask() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(url) as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    return ask


def kafka_serves(port: int, log_dir: Path, node_id: int) -> Probe:
    """True once the node whose data is in `log_dir` is in service at `port`."""

    async def ask() -> bool:
        view = await asyncio.to_thread(ask_cluster, HOST, port)
        return view is not None and view.cluster_id == cluster_id_of(log_dir) and node_id in view.brokers

    return ask
