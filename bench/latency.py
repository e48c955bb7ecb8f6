"""Push to ready, beyond what can't be less: `settle` and the transfer itself.

The local stack runs with its three sites. Small images, whose blobs are at the registry before, are pushed by their
manifests at a fixed rate, whatever the answers take. All processes share one clock. For every image and site:

    beyond = (readiness record read by a consumer) - (push answered) - settle - (raw transfer time)

The raw transfer time is what the cluster itself took for the transfer that brought the image to the site: from taking
the request to showing the new content, by its own clock (`/sim/transfers`). Requests on their way, and the time until
the coalescer notices the end, are not part of it; nor is the source snapshot.

A relationship makes one transfer at a time: an image that settles while another one runs has to wait for its end. That
time is part of `beyond`. `besides` leaves it out: it is `beyond` without the time, between settling and the own
transfer's start, in which other transfers of the relationship ran.

The stages are told as medians, in the order of the path:

| stage | from … to |
|---|---|
| accepted | push answered → accepted by the receiver; negative: that comes first |
| waiting | accepted and settled → the source snapshot is asked for; an earlier transfer or a burst may hold it up |
| snapshot | → the coalescer has the source snapshot |
| start | → the cluster takes the request for the transfer |
| transfer | the raw transfer time |
| noticed | → the coalescer has seen its end |
| published | → the arrival is on its topic |
| verified | → the verifier is convinced |
| read | → a consumer has read the readiness record |

The stack's files are in memory where there is room (`volumes`): with every transfer a simulated cluster makes and
removes a link for each file of its volume, and how fast a disk does that isn't farshore's (2,300 removed: 4 s on an
ext4 with `discard`, 0.07 s in memory).

`cores` is the processor time of each part of the stack while the pushes went on, in cores.

    uv run --all-packages python bench/latency.py
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from local_stack import LocalStack
from process_usage import cpu_seconds
from waiting import wait_until
from yarl import URL

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS, READINESS, TRANSFERS
from farshore.media_types import OCI_MANIFEST
from farshore.records.arrivals import Arrival
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState
from farshore.records.transfers import TransferRecord

REPOSITORY = "team/app"
SETTLE_SECONDS = 0.25
"""The default of `batching.settle`, which the local stack's topology leaves as it is."""
LAYER_BYTES = 9_600
LEAST_PUSHES = 100
"""At each rate: a 99th percentile of fewer is nothing but the largest."""
MEASURED_WITHIN_SECONDS = 240.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder below it gets a name of its own
MEMORY_BYTES = 4 * 1024**3


@dataclass
class Seen:
    """What a consumer of the topics has read, by its own clock where it says so."""

    ready: dict[tuple[str, str], tuple[float, Readiness]] = field(default_factory=dict)
    """By tag and site: when it was read, and the record."""
    noticed: dict[str, float] = field(default_factory=dict)
    """By transfer: when the coalescer saw its end."""
    arrived: dict[tuple[str, str], float] = field(default_factory=dict)
    """By event and site: when the arrival was written."""

    async def follow(self, bus: Bus) -> None:
        """Read until cancelled."""
        consumer: AIOKafkaConsumer = bus.reader(longest_poll_seconds=0.5)
        topics = (READINESS, ARRIVALS, TRANSFERS)
        consumer.assign([TopicPartition(topic.name, n) for topic in topics for n in range(topic.partitions)])
        await consumer.start()
        try:
            await consumer.seek_to_beginning()
            async for record in consumer:
                self._take(record)
        finally:
            await consumer.stop()

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        now = time.time()
        if record.topic == TRANSFERS.name:
            transfer = TransferRecord.from_json(record.value, "transfers")
            if transfer.phase == "finished":
                self.noticed[transfer.transfer] = transfer.at.timestamp()
        elif record.topic == ARRIVALS.name:
            arrival = Arrival.from_record(record.headers, record.value, "arrivals")
            self.arrived[arrival.event.id, arrival.site] = record.timestamp / 1000
        else:
            one = Readiness.from_json(record.value, "readiness")
            if one.state is ReadinessState.READY and one.site != EVERYWHERE and one.tag is not None:
                self.ready[one.tag, one.site] = (now, one)


class SourceSnapshot(NamedTuple):
    """When the coalescer asked for a snapshot, and when it had it."""

    asked: float
    taken: float


class Transfer(NamedTuple):
    """When a cluster took the request for a transfer, and when it showed what that brought."""

    began: float
    ended: float


async def prepared(edge: str, rate: float, count: int, layer_bytes: int) -> dict[str, bytes]:
    """Manifests by tag, of images whose blobs are at the registry."""
    async with aiohttp.ClientSession() as session:
        return {
            f"r{rate:g}-{number}": await _prepare(session, edge, f"{rate:g}-{number}", layer_bytes)
            for number in range(count)
        }


async def pushes(edge: str, rate: float, manifests: Mapping[str, bytes]) -> dict[str, float]:
    """Push the images at `rate` a second; by tag, when each push was answered."""
    answered: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:

        async def push(tag: str, content: bytes) -> None:
            url = f"{edge}/v2/{REPOSITORY}/manifests/{tag}"
            async with session.put(url, data=content, headers={"Content-Type": OCI_MANIFEST}) as answer:
                answer.raise_for_status()
            answered[tag] = time.time()

        loop, running = asyncio.get_running_loop(), []
        began = loop.time()
        for number, (tag, content) in enumerate(manifests.items()):
            await asyncio.sleep(began + number / rate - loop.time())
            running.append(asyncio.create_task(push(tag, content)))
        await asyncio.gather(*running)
    return answered


async def _prepare(session: aiohttp.ClientSession, edge: str, name: str, layer_bytes: int) -> bytes:
    """A manifest whose blobs are there."""
    layer = hashlib.sha256(name.encode()).digest() * (layer_bytes // 32)
    config = json.dumps({"os": "linux", "architecture": "amd64", "own": name}).encode()
    described = []
    for blob, kind in ((config, "config.v1+json"), (layer, "layer.v1.tar")):
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        async with session.post(f"{edge}/v2/{REPOSITORY}/blobs/uploads/") as answer:
            answer.raise_for_status()
            place = answer.url.join(URL(answer.headers["Location"]))
        async with session.put(place.update_query(digest=digest), data=blob) as answer:
            answer.raise_for_status()
        media_type = f"application/vnd.oci.image.{kind}"
        described.append({"mediaType": media_type, "digest": digest, "size": len(blob)})
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:]}
    return json.dumps(document).encode()


class Measurement:
    """One running stack, measured at one rate after another."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._endpoints = stack.endpoints
        self._sites = {name: site for name, site in self._endpoints["sites"].items() if site["role"] == "replica"}
        primary = next(site for site in self._endpoints["sites"].values() if site["role"] == "primary")
        self._edge: str = primary["edge"]
        self._seen = Seen()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[Self]:
        """Read the topics, which `push` waits for, inside."""
        bus = Bus(self._endpoints["kafka"]["bootstrap_servers"], "bench")
        self._follower = asyncio.create_task(self._seen.follow(bus))
        try:
            yield self
        finally:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower

    async def run(self, rates: Iterable[float], seconds: float) -> list[dict[str, Any]]:
        """The figures of each rate and site."""
        async with self.following():
            await self.push(5.0, await self.prepare(5.0, 10))  # warms up and doesn't count
            rows = []
            for rate in rates:
                images = await self.prepare(rate, max(round(rate * seconds), LEAST_PUSHES))
                before, began = self._cpu_seconds(), time.monotonic()
                answered = await self.push(rate, images)
                took = time.monotonic() - began
                cores = {part: round((used - before[part]) / took, 2) for part, used in self._cpu_seconds().items()}
                rows += [{**row, "cores": cores} for row in await self._rows(rate, answered)]
        return rows

    async def prepare(self, rate: float, count: int, *, layer_bytes: int = LAYER_BYTES) -> dict[str, bytes]:
        """Images for `push`, their blobs already there; no two calls with the same rate."""
        return await prepared(self._edge, rate, count, layer_bytes)

    async def push(self, rate: float, images: Mapping[str, bytes]) -> dict[str, float]:
        """Push, and return when each push was answered once all is ready at every site."""
        answered = await pushes(self._edge, rate, images)
        wanted = {(tag, site) for tag in answered for site in self._sites}

        def is_there() -> bool:
            if self._follower.done():
                self._follower.result()
            ready = self._seen.ready
            return wanted <= ready.keys() and all(
                (ready[one][1].transfer or "") in self._seen.noticed for one in wanted
            )

        await wait_until(is_there, 60, "every image to be ready at every site")
        return answered

    def _cpu_seconds(self) -> dict[str, float]:
        used: dict[str, float] = defaultdict(float)
        for process in self._endpoints["processes"]:
            used[process["name"]] += sum(cpu_seconds(pid) for pid in with_children(process["pid"]))
        return used

    async def _rows(self, rate: float, answered: Mapping[str, float]) -> list[dict[str, Any]]:
        snapshots = _snapshots_taken(self._stack.state_dir / "logs" / "coalescer.log")
        rows = []
        for name, site in self._sites.items():
            images = [_Image.of(self._seen, tag, name, pushed) for tag, pushed in answered.items()]
            rows.append(_row(rate, name, images, await _transfers(site["ontap"]["url"]), snapshots))
        return rows


def with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in with_children(int(child)))]


def _snapshots_taken(log: Path) -> dict[str, SourceSnapshot]:
    """The source snapshots that the coalescer had taken, by their names."""
    snapshots = {}
    for line in log.read_text().splitlines():
        if '"snapshot taken"' in line:
            entry = json.loads(line)
            taken = datetime.fromisoformat(entry["time"]).timestamp()
            snapshots[entry["snapshot"]] = SourceSnapshot(taken - entry["seconds"], taken)
    return snapshots


async def _transfers(cluster: str) -> dict[str, Transfer]:
    """The transfers that the simulated cluster knows to have ended."""
    async with aiohttp.ClientSession() as session, session.get(f"{cluster}/sim/transfers") as answer:
        answer.raise_for_status()
        told = (await answer.json())["transfers"]
    return {
        one["uuid"]: Transfer(
            datetime.fromisoformat(one["started"]).timestamp(), datetime.fromisoformat(one["ended"]).timestamp()
        )
        for one in told
        if one["ended"] is not None
    }


class _Image(NamedTuple):
    """One image at one site."""

    pushed: float
    arrived: float
    noticed: float
    read: float
    record: Readiness

    @classmethod
    def of(cls, seen: Seen, tag: str, site: str, pushed: float) -> "_Image":
        read, record = seen.ready[tag, site]
        return cls(pushed, seen.arrived[record.event_id, site], seen.noticed[record.transfer or ""], read, record)


def _row(
    rate: float,
    site: str,
    images: list[_Image],
    transfers: Mapping[str, Transfer],
    snapshots: Mapping[str, SourceSnapshot],
) -> dict[str, Any]:
    beyond, besides = [], []
    stages: dict[str, list[float]] = defaultdict(list)
    for image in images:
        record = image.record
        transfer, snapshot = transfers[record.transfer or ""], snapshots[record.snapshot or ""]
        accepted, ready = record.accepted_at.timestamp(), record.ready_at.timestamp()
        raw, settled = transfer.ended - transfer.began, image.pushed + SETTLE_SECONDS
        beyond.append(image.read - settled - raw)
        others = (min(one.ended, transfer.began) - max(one.began, settled) for one in transfers.values())
        besides.append(beyond[-1] - sum(max(0.0, overlap) for overlap in others))
        stages["accepted"].append(accepted - image.pushed)
        stages["waiting"].append(snapshot.asked - accepted - SETTLE_SECONDS)
        stages["snapshot"].append(snapshot.taken - snapshot.asked)
        stages["start"].append(transfer.began - snapshot.taken)
        stages["transfer"].append(raw)
        stages["noticed"].append(image.noticed - transfer.ended)
        stages["published"].append(image.arrived - image.noticed)
        stages["verified"].append(ready - image.arrived)
        stages["read"].append(image.read - ready)
    return {
        "pushes_per_second": rate,
        "site": site,
        "pushes": len(images),
        "beyond_p50_ms": _percentile(beyond, 50),
        "beyond_p99_ms": _percentile(beyond, 99),
        "besides_p50_ms": _percentile(besides, 50),
        "besides_p99_ms": _percentile(besides, 99),
        "median_ms": {name: round(statistics.median(values) * 1000) for name, values in stages.items()},
        "transfers": len({image.record.transfer for image in images}),
    }


def _percentile(seconds: list[float], percent: int) -> int:
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000)


async def _measure(stack: LocalStack, rates: Iterable[float], seconds: float) -> list[dict[str, Any]]:
    async with asyncio.timeout(MEASURED_WITHIN_SECONDS):
        return await Measurement(stack).run(rates, seconds)


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="push to ready beyond settle and the transfer itself")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 20.0], help="pushes a second")
    parser.add_argument("--seconds", type=float, default=30.0, help=f"of each rate, for {LEAST_PUSHES} pushes at least")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, LocalStack(Path(folder) / "state") as stack:
        rows = asyncio.run(_measure(stack, options.rates, options.seconds))
    result = {
        "name": "latency",
        "reference": "ms beyond settle and the raw transfer, p50/p99: " + ", ".join(_brief(row) for row in rows),
        "figure": f"{max(row['beyond_p50_ms'] for row in rows)}/{max(row['beyond_p99_ms'] for row in rows)} ms",
        "rows": rows,
        "volumes": memory_folder() or tempfile.gettempdir(),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    return 0


def memory_folder() -> str | None:
    """A file system in memory, where there is one with room."""
    if not MEMORY.is_dir():
        return None
    found = os.statvfs(MEMORY)
    return str(MEMORY) if found.f_bavail * found.f_frsize >= MEMORY_BYTES else None


def _brief(row: dict[str, Any]) -> str:
    return f"{row['site']} at {row['pushes_per_second']:g}/s {row['beyond_p50_ms']}/{row['beyond_p99_ms']}"


if __name__ == "__main__":
    raise SystemExit(main())
