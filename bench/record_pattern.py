"""Records when a registry announces pushes, as a pattern of bench/patterns for optimum.py.

`run SCENARIO` starts a real registry whose notifications come to this process, pushes to it as a CI system would, and
keeps when each notification came. Images are pushed by skopeo, one process an image, at most `RUNNERS` side by side;
steady-20 by the distribution API in this process, since that many programs a second say more of the machine than of a
registry. A seed gives the same images and pauses; when notifications come is up to registry, client and machine.

    uv run --all-packages python bench/record_pattern.py run bursts --seed 1 --to bench/patterns/bursts.json

`topic` makes the pattern of a registry in production from what `farshore.events` still has: when the receiver accepted
each event. Events don't say how many bytes of layers came with them; `--layers` is what to add for each manifest.

    uv run --all-packages python bench/record_pattern.py topic kafka:9092 REGISTRY --layers 5000000 --to own.json

A pattern holds `[milliseconds, bytes]` for each event that the coalescer counts: bytes are those that the registry's
volume gained since the one before, as the notifications of blobs said.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiokafka import TopicPartition

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from registry_process import Pusher
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.partition_of import partition_of
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import EVENTS
from farshore.oci import Repository, Tag
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import Event, EventKind
from farshore_cli.demo.oci_layout import Descriptor, LayoutWriter
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.stack.probes import http_answers
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.ports import free_port

RUNNERS = 4
SERVICES = 12
"""Repositories of the imagined company."""
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/s390x", "linux/riscv64")
BLOB = "application/octet-stream"
"""What distribution calls a blob's media type in its notifications; a manifest has its own."""


@dataclass
class Notifications:
    """What the registry has said: `[seconds, bytes]` for each event that counts."""

    counted: list[tuple[float, int]] = field(default_factory=list)
    _bytes: int = 0

    async def take(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        for event in json.loads(await request.read())["events"]:
            if event["action"] == "push":
                self._bytes += event["target"]["size"]
                if event["target"]["mediaType"] != BLOB:
                    self.counted.append((now, self._bytes))
                    self._bytes = 0
        return web.Response()


@dataclass
class Ci:
    """Builds images on the spot and pushes them."""

    registry: str
    folder: Path
    skopeo: Skopeo
    session: aiohttp.ClientSession
    rng: random.Random
    announced: int = 0
    """How many events the pushes so far lead to."""
    _runners: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RUNNERS))
    _built: int = 0

    async def push(self, platforms: int = 1, build_seconds: float = 0.0) -> None:
        """Build an image, or an index of several, and push it: both at a runner, when one is free."""
        self._built += 1
        layout = LayoutWriter(self.folder / f"build-{self._built}")
        service = self.rng.randrange(SERVICES)
        images = [self._image(layout, service, platform) for platform in PLATFORMS[:platforms]]
        top = layout.index(images) if platforms > 1 else images[0]
        layout.name(top, "it")
        self.announced += platforms + (platforms > 1)
        push = Push(Repository(f"team/service-{service}"), Tag(f"build-{self._built}"), top.digest, "it")
        async with self._runners:
            await asyncio.sleep(build_seconds)
            await self.skopeo.push(layout.folder, push, self.registry)

    def _image(self, layout: LayoutWriter, service: int, platform: str) -> Descriptor:
        """A base that all share, the dependencies of a service, and a build of its own."""
        own = int(self.rng.lognormvariate(13, 1.3))  # 440 kB in the middle, some megabytes at times
        layers = [f"base {platform}", f"dependencies of {service} {platform}"]
        packed = [gzip.compress(random.Random(layer).randbytes(2_000_000), 1, mtime=0) for layer in layers]
        packed.append(gzip.compress(self.rng.randbytes(min(own, 30_000_000)), 1, mtime=0))
        return layout.image([layout.layer(layer) for layer in packed], platform)

    async def put(self, number: int) -> None:
        """A small image by the distribution API."""
        self.announced += 1
        pusher = Pusher(self.registry, self.session)
        await pusher.image(f"team/service-{number % SERVICES}", f"put-{number}", self.rng.randbytes(20_000))


# --- what is pushed when --------------------------------------------------------------------------------------------

Begin = Callable[[Coroutine[Any, Any, None]], None]


async def bursts(ci: Ci, begin: Begin, seconds: float) -> None:
    """A change of a shared library every six to twelve seconds: three to ten services are built and pushed anew."""
    async for _ in _pauses(seconds, lambda: ci.rng.uniform(6, 12)):
        for _ in range(ci.rng.randint(3, 10)):
            begin(ci.push())


async def indexes(ci: Ci, begin: Begin, seconds: float) -> None:
    """An image for three to six platforms every four to ten seconds: its manifests come before the index."""
    async for _ in _pauses(seconds, lambda: ci.rng.uniform(4, 10)):
        begin(ci.push(ci.rng.randint(3, 6)))


async def working_day(ci: Ci, begin: Begin, seconds: float) -> None:
    """Developers who know nothing of one another: single images, now and then several or an index."""
    async for _ in _pauses(seconds, lambda: ci.rng.expovariate(1 / 2.5)):
        kind = ci.rng.random()
        for _ in range(1 if kind < 0.85 else ci.rng.randint(2, 4)):
            begin(ci.push(3 if kind < 0.1 else 1))


async def rebuild(ci: Ci, begin: Begin, seconds: float) -> None:
    """Everything is built anew, a build takes up to three seconds, and once more after half a minute."""
    async for _ in _pauses(seconds, lambda: 30.0):
        for _ in range(25):
            begin(ci.push(build_seconds=ci.rng.uniform(0.3, 3)))


async def steady_1(ci: Ci, begin: Begin, seconds: float) -> None:
    """One image a second."""
    async for _ in _pauses(seconds, lambda: 1.0):
        begin(ci.push())


async def steady_20(ci: Ci, begin: Begin, seconds: float) -> None:
    """Twenty small images a second."""
    async for number in _pauses(seconds / 4, lambda: 0.05):
        begin(ci.put(number))


SCENARIOS = {
    one.__name__.replace("_", "-"): one for one in (bursts, indexes, working_day, rebuild, steady_1, steady_20)
}


async def _pauses(seconds: float, pause: Callable[[], float]) -> AsyncIterator[int]:
    """Counts, with pauses that do not grow by what is done meanwhile, for so many seconds."""
    loop = asyncio.get_running_loop()
    began = due = loop.time()
    number = 0
    while due - began < seconds:
        await asyncio.sleep(due - loop.time())
        yield number
        number, due = number + 1, due + pause()


# --- recording ------------------------------------------------------------------------------------------------------


async def record(scenario: str, seconds: float, seed: int) -> list[tuple[float, int]]:
    """Run a scenario against a real registry; when each event came, and its bytes."""
    heard = Notifications()
    tools = find_tools()
    async with contextlib.AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        session = await resources.enter_async_context(aiohttp.ClientSession())
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/", heard.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = NotificationTarget(f"http://127.0.0.1:{runner.addresses[0][1]}/", "recorder")
        listen = f"127.0.0.1:{free_port()}"
        text = registry_config(folder / "volume", listen, "recorder", read_only=False, notify=target)
        config = folder / "registry.yml"
        config.write_text(text.replace(f"    - {BLOB}\n", ""))  # blobs tell the bytes
        program = tools.registry_v3 or tools.registry_v2
        environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        process = spawn([str(program), "serve", str(config)], log_file=folder / "registry.log", environ=environ)
        resources.callback(end, process, within_seconds=5)
        await wait_until(http_answers(f"http://{listen}/v2/"), 60, "the registry")
        ci = Ci(f"http://{listen}", folder, Skopeo(tools.skopeo), session, random.Random(seed))
        pushes: list[asyncio.Task[None]] = []

        def begin(push: Coroutine[Any, Any, None]) -> None:
            pushes.append(asyncio.create_task(push))

        await SCENARIOS[scenario](ci, begin, seconds)
        await asyncio.gather(*pushes)
        await wait_until(lambda: len(heard.counted) >= ci.announced, 60, "the last notification")
    return heard.counted


async def read_topic(bootstrap: str, registry: str, layers: int) -> list[tuple[float, int]]:
    """When the receiver accepted the events of `registry`, as far back as Kafka has them."""
    found = []
    partition = TopicPartition(EVENTS.name, partition_of(registry.encode(), range(EVENTS.partitions)))
    async with RangeReader(Bus(bootstrap, "record-pattern"), partition) as reader:
        async for record in reader.records(await reader.oldest(), await reader.stable_end()):
            with contextlib.suppress(MalformedRecordError):  # fences stand there too
                event = Event.from_json(record.value or b"", EVENTS.name)
                if event.registry == registry:
                    brought = layers if event.kind is EventKind.MANIFEST_PUSHED else 0
                    found.append((event.accepted_at.timestamp(), (event.size or 0) + brought))
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="record when a registry announces pushes")
    ways = parser.add_subparsers(dest="way", required=True)
    run = ways.add_parser("run", help="a real registry and real clients, here")
    run.add_argument("scenario", choices=SCENARIOS)
    run.add_argument("--seconds", type=float, default=60.0)
    run.add_argument("--seed", type=int, default=1)
    topic = ways.add_parser("topic", help="what farshore.events still has")
    topic.add_argument("bootstrap")
    topic.add_argument("registry")
    topic.add_argument("--layers", type=int, default=0, help="bytes of layers that a manifest brings")
    for way in (run, topic):
        way.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    if options.way == "run":
        recorded = asyncio.run(record(options.scenario, options.seconds, options.seed))
    else:
        recorded = asyncio.run(read_topic(options.bootstrap, options.registry, options.layers))
    if not recorded:
        print("nothing was announced", file=sys.stderr)
        return 1
    began = recorded[0][0]
    pushes = [[round(1000 * (at - began)), size] for at, size in recorded]
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps({"pushes": pushes}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
