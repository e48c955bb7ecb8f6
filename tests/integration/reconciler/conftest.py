"""One Kafka for a module; registries of its own for each test."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from reconciler_world import SITES, ReconcilerWorld
from registry_process import Pusher, RegistryProcess
from verifier_world import copy_volume

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore_cli.tools.kafka import Broker


@pytest.fixture(scope="module")
def reconciler_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka of the module's own: farshore's topics have fixed names."""
    folder = tmp_path_factory.mktemp("kafka")
    with Broker(folder / "data", folder / "kafka.log") as broker:
        yield broker


@pytest_asyncio.fixture
async def world(
    reconciler_broker: Broker, registry_program: Path, tmp_path: Path, unique: str
) -> AsyncIterator[ReconcilerWorld]:
    (tmp_path / "empty").mkdir()
    copy_volume(tmp_path / "empty", tmp_path / "nyc")
    async with contextlib.AsyncExitStack() as stack:
        urls = {}
        for site in ("nyc", *SITES):
            if site != "nyc":
                copy_volume(tmp_path / "nyc", tmp_path / site)
            registry = RegistryProcess(registry_program, tmp_path / site, read_only=site != "nyc")
            stack.callback(registry.stop)
            await registry.start()
            urls[site] = registry.url
        await create_missing_topics(Bus(reconciler_broker.bootstrap))
        bus = Bus(reconciler_broker.bootstrap)
        producer = bus.producer()
        await producer.start()
        stack.push_async_callback(producer.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield ReconcilerWorld(unique, bus, producer, tmp_path, urls, Pusher(urls["nyc"], session))
