"""Reconciling 100,000 tags: seconds and peak memory of one `farshore reconcile`, which announces 100.

The registry is a fake that is quick to answer but a real HTTP server in a process of its own; Kafka is real, and its
readiness topic holds every tag at two sites.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send

from farshore.bus.batches import Batches
from farshore.bus.clients import Bus
from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.topics import READINESS, create_missing_topics
from farshore.oci import Digest, Repository, Tag
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port
from farshore_reconciler.look import AT_ONCE

REPOSITORIES, TAGS, LOST = 100, 1000, 100
SITES = ("fra", "syd")
_TOPOLOGY = """
version: 1
sites:
  nyc: {{model: on-prem, ontap: {{url: 'https://nyc.invalid', password: 'env:NONE', svm: s}}}}
  fra: {{model: cloud, ontap: {{url: 'https://fra.invalid', password: 'env:NONE', svm: s}}}}
  syd: {{model: cloud, ontap: {{url: 'https://syd.invalid', password: 'env:NONE', svm: s}}}}
registries:
  main:
    primary: {{site: nyc, volume: v, url: '{url}'}}
    replicas: [{{site: fra, volume: v, url: '{url}'}}, {{site: syd, volume: v, url: '{url}'}}]
    notifications: {{tokens: ['env:NONE']}}
"""


def _digest(repository: str, tag: str) -> str:
    return f"sha256:{hashlib.sha256(f'{repository}:{tag}'.encode()).hexdigest()}"


async def _registry(scope: Scope, _receive: Receive, send: Send) -> None:
    """The catalogue and the tags by pages of what was asked for, and digests for HEAD."""
    path, query = scope["path"], dict(pair.split("=") for pair in scope["query_string"].decode().split("&") if pair)
    headers: list[tuple[bytes, bytes]] = []
    body: dict[str, Any] = {}
    if path.endswith(("_catalog", "/tags/list")):
        is_catalog = path.endswith("_catalog")
        names = [f"team/r{n:04}" for n in range(REPOSITORIES)] if is_catalog else [f"t{n:06}" for n in range(TAGS)]
        page = [name for name in names if name > query.get("last", "")][: int(query["n"])]
        body = {"repositories" if is_catalog else "tags": page}
        if page and page[-1] != names[-1]:
            headers = [(b"link", f'<{path}?last={page[-1]}&n={query["n"]}>; rel="next"'.encode())]
    else:
        repository, tag = path.removeprefix("/v2/").split("/manifests/")
        headers = [(b"docker-content-digest", _digest(repository, tag).encode())]
    content = json.dumps(body).encode()
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _serve(port: int, started: Connection) -> None:
    started.send(port)
    uvicorn.run(_registry, host="127.0.0.1", port=port, log_level="critical", access_log=False)


async def _fill(bus: Bus) -> None:
    """Every tag ready at both sites, but for the last of each repository."""
    now = datetime.now(UTC)
    producer = bus.producer()
    await producer.start()
    batches = Batches(producer)
    for number in range(REPOSITORIES):
        records = []
        repository = Repository(f"team/r{number:04}")
        for tag in range(TAGS - LOST // REPOSITORIES):
            for site in SITES:
                name = Tag(f"t{tag:06}")
                digest = Digest(_digest(repository, name))
                statement = Readiness(
                    state=ReadinessState.READY,
                    event_id=f"{number}-{tag}",
                    registry="main",
                    site=site,
                    repository=repository,
                    digest=digest,
                    tag=name,
                    generation="0a1b2c3d-0-1",
                    level="content",
                    receipt=digest.hex,
                    pushed_at=now,
                    accepted_at=now,
                    arrived_at=now,
                    ready_at=now,
                )
                event = statement.to_cloudevent()
                key = statement.key.encode()
                records.append(
                    OutgoingRecord(
                        READINESS.name, key, event.data, event.headers(), partition_by=statement.partition_by
                    )
                )
        await asyncio.gather(*await batches.send(records))
    await producer.stop()


def _measure(url: str, bootstrap: str, folder: Path) -> tuple[float, float]:
    """Seconds, and peak resident MiB as the kernel counted it for the process itself."""
    topology = folder / "topology.yaml"
    topology.write_text(_TOPOLOGY.format(url=url))
    command = [sys.executable, "-m", "farshore_cli", "reconcile", "--grace", "0s", "--output", "json"]
    environ = {**os.environ, "FARSHORE_TOPOLOGY": str(topology), "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    began, peak = time.perf_counter(), 0
    with (folder / "report").open("w+") as report, subprocess.Popen(command, env=environ, stdout=report) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        report.seek(0)
        (found,) = json.load(report)["registries"]
    assert (found["names"], found["lost_notifications"]) == (REPOSITORIES * TAGS, LOST), found
    return seconds, peak / 1024


async def _bare_loop(url: str) -> float:
    """Seconds for the same HEAD requests over as many connections, and nothing else."""
    names = iter([(f"team/r{number:04}", f"t{tag:06}") for number in range(REPOSITORIES) for tag in range(TAGS)])
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            for repository, tag in names:
                async with session.head(f"{url}/v2/{repository}/manifests/{tag}") as response:
                    assert response.headers["Docker-Content-Digest"]

        await asyncio.gather(*[ask() for _ in range(AT_ONCE)])
    return time.perf_counter() - began


def run() -> dict[str, Any]:
    """The figures of one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        theirs, ours = multiprocessing.Pipe()
        registry = multiprocessing.Process(target=_serve, args=(port, ours), daemon=True)
        registry.start()
        theirs.recv()
        try:
            with Broker(folder / "data", folder / "kafka.log") as broker:
                asyncio.run(_prepare(Bus(broker.bootstrap)))
                bare = asyncio.run(_bare_loop(url))
                seconds, peak = _measure(url, broker.bootstrap, folder)
        finally:
            registry.terminate()
            registry.join()
    return {
        "name": "reconcile",
        "reference": f"a bare aiohttp loop of the same HEAD requests over {AT_ONCE} connections",
        "ratio": bare / seconds,
        "tags": REPOSITORIES * TAGS,
        "announced": LOST,
        "seconds": round(seconds, 1),
        "reference_seconds": round(bare, 1),
        "peak_resident_mib": round(peak),
    }


async def _prepare(bus: Bus) -> None:
    await create_missing_topics(bus)
    await _fill(bus)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
