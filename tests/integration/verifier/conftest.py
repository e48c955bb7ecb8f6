"""One Kafka, a primary, sites (healthy, damaged, dead, silent, mounted), one verifier, for a module's tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from registry_process import Pusher, RegistryProcess
from verifier_world import ArrivalWriter, Readings, VerifierProcess, World, copy_volume

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port

SITES = ("good", "bad", "dead", "silent")


def topology_text(urls: dict[str, str]) -> str:
    sites = "\n".join(
        f"  {site}: {{model: cloud, ontap: {{url: 'https://{site}.invalid', password: 'env:NOT_USED', svm: s}}}}"
        for site in urls
    )

    def registry(name: str, prefix: str, replicas: list[str], more: str) -> str:
        places = ", ".join(f"{{site: {site}, volume: {name}, url: '{urls[site]}'}}" for site in replicas)
        return f"""
  {name}:
    prefix: '{prefix}'
    primary: {{site: nyc, volume: {name}, url: '{urls["nyc"]}'}}
    replicas: [{places}]
    notifications: {{tokens: ['env:NOT_USED']}}
    {more}"""

    return "\n".join(
        [
            "version: 1",
            "sites:",
            sites,
            "registries:",
            registry("main", "", list(SITES), "verification: {retry_for: 4s, timeout: 2s}"),
            registry("patient", "patient/", list(SITES), "verification: {retry_for: 5m, timeout: 2s}"),
            registry("team", "team/", ["good", "bad"], "verification: {retry_for: 10m, timeout: 5s}"),
            registry("plat", "plat/", ["good"], "verification: {retry_for: 2s, platforms: [linux/amd64]}"),
            registry("shallow", "shallow/", ["bad"], "verification: {retry_for: 1s, level: closure}"),
            registry("mounted", "mounted/", ["volume"], "verification: {retry_for: 500ms}"),
            registry(
                "prompt", "prompt/", ["bad"], "verification: {retry_for: 60s}\n    objectives: {ready_within: 2s}"
            ),
        ]
    )


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka of the module's own: farshore's topics and groups have fixed names."""
    folder = tmp_path_factory.mktemp("kafka")
    with Broker(folder / "data", folder / "kafka.log") as broker:
        yield broker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    own_broker: Broker, registry_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("sites")
    async with contextlib.AsyncExitStack() as stack:
        registries = {}
        for site in ("nyc", "good", "bad"):
            if site == "nyc":
                (folder / site).mkdir()
            else:
                copy_volume(folder / "nyc", folder / site)
            registries[site] = RegistryProcess(registry_program, folder / site, read_only=site != "nyc")
            stack.callback(registries[site].stop)
            await registries[site].start()
        silent = await asyncio.start_server(_never_answer, "127.0.0.1", 0)
        stack.callback(silent.close)
        urls = {site: registry.url for site, registry in registries.items()}
        urls["volume"] = f"http://127.0.0.1:{free_port()}"  # nobody answers there: its volume is mounted
        urls["dead"] = f"http://127.0.0.1:{free_port()}"
        urls["silent"] = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        topology = folder / "topology.yaml"
        topology.write_text(topology_text(urls))
        bus = Bus(own_broker.bootstrap)
        await create_missing_topics(Bus(own_broker.bootstrap))
        producer = bus.producer()
        await producer.start()
        stack.push_async_callback(producer.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        readings = Readings()
        following = asyncio.create_task(readings.follow(bus))
        stack.callback(following.cancel)
        mounts = f"mounted.volume=dir:{folder / 'volume'}"
        verifier = VerifierProcess(topology, own_broker.bootstrap, folder / "verifier.log", mounts=mounts)
        verifier.start()
        stack.callback(verifier.kill)
        push = Pusher(registries["nyc"].url, session)
        yield World(push, folder, ArrivalWriter(producer), readings, verifier, registries["nyc"])
