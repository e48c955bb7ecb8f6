"""What each service takes, idle and under pushes: processor time and memory, from /proc. The chart's requests follow.

The local stack runs with its three sites, one process a service, and an edge's agent beside it. Phases, in this order:

| phase | what happens |
|---|---|
| idle | nothing is pushed |
| 1/s, 20/s | small images are pushed by their manifests at that rate, until all of them are ready at both replicas |
| large | images with one layer of 64 MiB, one a second, until ready likewise: the verifier hashes each at two sites |
| pulls | these images are pulled at the edge of `fra`, one a second |

`cores` is user and system time by seconds of the phase, `most_mib` the most resident memory in it (VmHWM, reset
before), both with children: nginx's workers, which share pages that are counted for each. The coalescer looks after two
relationships. Notifications come to the receiver one by one, as a registry sends them.

    uv run --all-packages python bench/footprint.py
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from bench.latency import REPOSITORY, Measurement, memory_folder, with_children
from edge_agent import EdgeAgent
from local_stack import LocalStack
from process_usage import cpu_seconds, forget_most_resident, most_resident_mib

from farshore.media_types import OCI_MANIFEST
from farshore.topology import parse_topology
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.ports import free_port

SERVICES = ("receiver", "coalescer", "verifier", "reconciler", "edge-nyc", "edge-fra")
AGENT = "edge agent"
LARGE_BYTES = 64 * 1024**2
WITHIN_SECONDS = 540.0


class Usage:
    """What processes use, by name; each is the parent of what counts with it."""

    def __init__(self, parents: dict[str, int]) -> None:
        self._parents = parents
        self.phases: dict[str, dict[str, dict[str, float]]] = {name: {} for name in parents}

    async def during(self, phase: str, work: Awaitable[object]) -> None:
        """Do `work`, and note what it took of each."""
        for parent in self._parents.values():
            for pid in with_children(parent):
                forget_most_resident(pid)
        before, began = self._cpu_seconds(), time.monotonic()
        await work
        took = time.monotonic() - began
        for name, used in self._cpu_seconds().items():
            most = sum(most_resident_mib(pid) for pid in with_children(self._parents[name]))
            cores = round((used - before[name]) / took, 3)
            self.phases[name][phase] = {"cores": cores, "most_mib": round(most, 1), "seconds": round(took, 1)}

    def _cpu_seconds(self) -> dict[str, float]:
        return {name: sum(cpu_seconds(pid) for pid in with_children(parent)) for name, parent in self._parents.items()}


@contextlib.contextmanager
def edge_with_agent(folder: Path) -> Iterator[EdgeAgent]:
    """An edge whose registries are away; neither of its processes is started."""
    listen = f"127.0.0.1:{free_port()}"
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    registry = {
        "primary": {"site": "nyc", "volume": "v", "url": "http://127.0.0.1:9"},
        "replicas": [{"site": "fra", "volume": "v", "url": "http://127.0.0.1:9"}],
        "notifications": {"tokens": ["env:X"]},
    }
    sites = {"nyc": site, "fra": {**site, "edge": {"url": f"http://{listen}", "listen": listen}}}
    document = {"version": 1, "sites": sites, "registries": {"main": registry}}
    edge = EdgeAgent(folder, find_tools(), listen)
    edge.write(parse_topology(json.dumps(document), "bench"))
    try:
        yield edge
    finally:
        edge.stop()


async def _measure(stack: LocalStack, edge: EdgeAgent, seconds: float, large: int) -> Usage:
    await edge.start()
    assert edge.agent.process is not None
    parents = {name: stack.pid_of(name) for name in SERVICES} | {AGENT: edge.agent.process.pid}
    usage = Usage(parents)
    async with asyncio.timeout(WITHIN_SECONDS), Measurement(stack).following() as measurement:
        await measurement.push(5.0, await measurement.prepare(5.0, 10))  # code and connections that all pushes need
        await usage.during("idle", asyncio.sleep(seconds))
        for rate in (1.0, 20.0):
            images = await measurement.prepare(rate, round(rate * seconds))
            await usage.during(f"{rate:g}/s", measurement.push(rate, images))
        images = await measurement.prepare(0.5, large, layer_bytes=LARGE_BYTES)
        await usage.during("large", measurement.push(1.0, images))
        await usage.during("pulls", _pull(stack.endpoints["sites"]["fra"]["edge"], images))
    return usage


async def _pull(edge: str, images: Mapping[str, bytes]) -> None:
    """Pull the images, one a second where that is quick enough."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        for tag, content in images.items():
            next_at = loop.time() + 1.0
            document = json.loads(content)
            paths = [f"blobs/{one['digest']}" for one in (document["config"], *document["layers"])]
            for path in (f"manifests/{tag}", *paths):
                async with session.get(f"{edge}/v2/{REPOSITORY}/{path}", headers={"Accept": OCI_MANIFEST}) as answer:
                    answer.raise_for_status()
                    async for _ in answer.content.iter_chunked(1024**2):
                        pass
            await asyncio.sleep(next_at - loop.time())


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="processor time and memory of each service")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase with small images")
    parser.add_argument("--large", type=int, default=8, help="large images")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=memory_folder()) as folder,
        edge_with_agent(Path(folder)) as edge,
        LocalStack(Path(folder) / "state") as stack,
    ):
        usage = asyncio.run(_measure(stack, edge, options.seconds, options.large))
    rows: list[dict[str, Any]] = [{"service": name, **phases} for name, phases in usage.phases.items()]
    most = {row["service"]: max(phase["most_mib"] for phase in usage.phases[row["service"]].values()) for row in rows}
    result = {
        "name": "footprint",
        "reference": "MiB at most, and cores at 20 pushes/s: "
        + ", ".join(f"{row['service']} {most[row['service']]:.0f} {row['20/s']['cores']:.2f}" for row in rows),
        "figure": f"{max(most.values()):.0f} MiB",
        "rows": rows,
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
