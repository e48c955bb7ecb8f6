"""The edge against the same nginx before the same registries without rules: a large blob, and HEADs of a manifest.

Both nginx have a master and as many workers as cores, the same buffers and kept connections; the one without rules only
passes requests on. The edge is site fra's: it reads the blob from its replica and asks the primary for the manifest's
tag; without rules the same two registries are asked. The load comes from a process of its own over plain sockets.
Rounds alternate between the two, so that whatever else the machine does falls on both. The workers' own CPU time is
shown beside the rates: it hardly depends on what else runs. Exit code 1 below `--least`.

    uv run --all-packages python bench/edge.py
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from big_blob import DIGEST, SIZE, put_big_blob
from edge_servers import Server, make_registry
from process_usage import cpu_seconds
from registry_process import Pusher

from farshore.topology import Topology, parse_topology
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.ports import free_port
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

WITHOUT_RULES = """
pid "{folder}/plain.pid";
error_log "{folder}/plain-error.log" warn;
daemon off;
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
  {temp}
  access_log "{folder}/plain-access.log";
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_buffering off;
  proxy_buffer_size 128k;
  proxy_buffers 4 128k;
  proxy_busy_buffers_size 256k;
  upstream blobs {{ server {replica}; keepalive 32; }}
  upstream manifests {{ server {primary}; keepalive 32; }}
  server {{
    listen {listen};
    location = /edge/health {{ return 200; }}
    location / {{ proxy_pass http://manifests; }}
    location /v2/app/blobs/ {{ proxy_pass http://blobs; }}
  }}
}}
"""
HEAD = "HEAD /v2/app/manifests/v1 HTTP/1.1\r\nHost: edge\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n\r\n"
GET = f"GET /v2/app/blobs/{DIGEST} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n"


def topology_of(at: dict[str, str]) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    registry = {
        "primary": {"site": "nyc", "volume": "v", "url": f"http://{at['primary']}"},
        "replicas": [{"site": "fra", "volume": "v", "url": f"http://{at['replica']}"}],
        "notifications": {"tokens": ["env:X"]},
    }
    sites = {"nyc": site, "fra": {**site, "edge": {"url": f"http://{at['edge']}", "listen": at["edge"]}}}
    return parse_topology(json.dumps({"version": 1, "sites": sites, "registries": {"main": registry}}), "bench")


class _Heads(asyncio.Protocol):
    """One connection: asks again when the answer is there, as long as `left` has requests."""

    def __init__(self, left: list[int], done: asyncio.Future[None]) -> None:
        self._left = left
        self._done = done
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.endswith(b"\r\n\r\n"):
            if not self._buffer.startswith(b"HTTP/1.1 200"):
                self._end(AssertionError(self._buffer))
                return
            self._buffer = b""
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or AssertionError("the connection was closed"))

    def _ask(self) -> None:
        if self._left[0] == 0:
            self._end(None)
            return
        self._left[0] -= 1
        self._transport.write(HEAD.encode())

    def _end(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
        self._transport.close()


async def heads_per_second(address: str, requests: int, connections: int) -> float:
    host, _, port = address.partition(":")
    loop = asyncio.get_running_loop()
    left, ends = [requests], [loop.create_future() for _ in range(connections)]
    start = time.perf_counter()
    for end in ends:
        await loop.create_connection(partial(_Heads, left, end), host, int(port))
    await asyncio.gather(*ends)
    return requests / (time.perf_counter() - start)


def blob_bytes_per_second(address: str) -> float:
    host, _, port = address.partition(":")
    buffer = bytearray(1 << 20)
    received = 0
    start = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(GET.encode())
        while count := connection.recv_into(buffer):
            received += count
    if received < SIZE:
        raise AssertionError(f"{received} bytes of {SIZE}")
    return received / (time.perf_counter() - start)


@dataclass
class Side:
    """One of the two nginx."""

    address: str
    server: Server

    def workers(self) -> list[int]:
        assert self.server.process is not None
        master = self.server.process.pid
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.workers())


@dataclass
class Figures:
    """What was measured of one kind of request."""

    plain: list[float]
    edge: list[float]
    cpu: dict[str, float]

    @property
    def ratio(self) -> float:
        return statistics.median(edge / plain for plain, edge in zip(self.plain, self.edge, strict=True))


async def alternate(
    sides: dict[str, Side], rounds: int, measure: Callable[[str], Coroutine[Any, Any, float]]
) -> Figures:
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        await measure(side.address)  # warms up, and doesn't count
    before = {name: side.cpu_seconds() for name, side in sides.items()}
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            rates[name].append(await measure(sides[name].address))
    return Figures(rates["plain"], rates["edge"], {name: sides[name].cpu_seconds() - before[name] for name in sides})


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    tools = find_tools()
    at = {name: f"127.0.0.1:{free_port()}" for name in ("primary", "replica", "edge", "plain")}
    put_big_blob(folder / "replica", "app")
    registries = [
        make_registry(folder, name, tools, at[name], read_only=name == "replica") for name in ("primary", "replica")
    ]
    runtime = Runtime(
        folder / "edge.pid", folder / "access.log", folder / "error.log", folder, hold_dir=folder / "holds"
    )
    rules = {"edge": render(topology_of(at), "fra", runtime)}
    temp = "\n  ".join(line for line in rules["edge"].splitlines() if "_temp_path" in line)
    rules["plain"] = WITHOUT_RULES.format(
        folder=folder, temp=temp, listen=at["plain"], primary=at["primary"], replica=at["replica"]
    )
    sides = {}
    for name, text in rules.items():
        (folder / f"{name}.conf").write_text(text)
        command = (str(tools.nginx), "-e", "stderr", "-c", str(folder / f"{name}.conf"))
        answers = http_answers(f"http://{at[name]}/edge/health")
        sides[name] = Side(at[name], Server(command, answers, folder / f"{name}.log"))
    servers = [*registries, *(side.server for side in sides.values())]
    try:
        for server in servers:
            await server.start()
        async with aiohttp.ClientSession() as session:
            await Pusher(f"http://{at['primary']}", session).image("app", "v1", b"a layer")
        heads = await alternate(
            sides, options.rounds, lambda address: heads_per_second(address, options.requests, options.connections)
        )
        blobs = await alternate(
            sides, options.rounds, lambda address: asyncio.to_thread(blob_bytes_per_second, address)
        )
    finally:
        for server in servers:
            server.stop()
    asked = options.rounds * options.requests
    read = options.rounds * SIZE / 1e9
    return {
        "name": "edge",
        "reference": "the same nginx before the same registries without rules; the lower of blobs and HEADs",
        "ratio": round(min(heads.ratio, blobs.ratio), 3),
        "head_ratio": round(heads.ratio, 3),
        "blob_ratio": round(blobs.ratio, 3),
        "heads_per_second": {
            "plain": [round(rate) for rate in heads.plain],
            "edge": [round(rate) for rate in heads.edge],
        },
        "blob_megabytes_per_second": {
            "plain": [round(rate / 1e6) for rate in blobs.plain],
            "edge": [round(rate / 1e6) for rate in blobs.edge],
        },
        "nginx_cpu_microseconds_per_head": {name: round(used / asked * 1e6, 1) for name, used in heads.cpu.items()},
        "nginx_cpu_seconds_per_gigabyte": {name: round(used / read, 3) for name, used in blobs.cpu.items()},
        "connections": options.connections,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4000, help="HEADs in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--least", type=float, default=0.0, help="the ratio below which the exit code is 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # started by root, nginx has workers of another user
        result = uvloop.run(measure(options, Path(folder)))
    print(json.dumps(result, indent=2))
    ratio = result["ratio"]
    if isinstance(ratio, float) and ratio < options.least:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
