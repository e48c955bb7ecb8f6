"""A registry at three sites with all its parts: clusters, registries, edges, receiver, coalescer, verifier, Kafka.

It begins as a cascade: nyc, fra, syd. `operator()` does what an operator's automation does beside a move: whenever the
topology file changes, edges are rendered anew and reloaded. farshore's services follow the file by themselves. At the
clusters services and commands may do only what docs/ontap-role.md says.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from applied import Watching
from coalescer_world import read_all
from limited_users import ALL, add_user, as_limited
from local_stack import children
from simulators import Simulator, start_simulators
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import READINESS, create_missing_topics
from farshore.media_types import OCI_MANIFEST
from farshore.oci import Digest
from farshore.topology import Topology, load_topology
from farshore_cli.applying.plan import plan
from farshore_cli.applying.run import execute, outcome_code
from farshore_cli.stack.probes import http_answers
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.find import Tools
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_ports
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

SITES = ("nyc", "fra", "syd")
TOKEN = "a-token-of-the-move"
SERVICES = ("receiver", "coalescer", "verifier")


@dataclass
class MoveWorld:
    """What a test works with; the registry is `main`."""

    folder: Path
    tools: Tools
    broker: Broker
    simulators: dict[str, Simulator]
    addresses: dict[str, str]
    topology_file: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    roles: dict[str, bool] = field(default_factory=dict)
    """By site: whether its registry takes writes."""
    lost: set[str] = field(default_factory=set)
    """Sites that `lose` took away."""

    @property
    def bus(self) -> Bus:
        return Bus(self.broker.bootstrap)

    @property
    def topology(self) -> Topology:
        return load_topology(self.topology_file)

    @property
    def hold_dir(self) -> str:
        return str(self.folder / "edge-{site}" / "holds")

    @property
    def holds(self) -> list[str]:
        """The sites whose edges have a hold file."""
        return [site for site in SITES if Path(self.hold_dir.replace("{site}", site), "main").exists()]

    def url(self, part: str) -> str:
        return f"http://{self.addresses[part]}"

    # --- starting

    async def start(self) -> None:
        await create_missing_topics(self.bus)
        topology = self.topology
        outcome = await execute(topology, lambda world: plan(topology, world, 1 << 30), Watching(), 300)
        assert outcome_code(outcome) == 0, (outcome.failures, outcome.plan)
        for site in SITES:
            await self.start_registry(site, writable=topology.registries["main"].primary.site == site)
            self.render_edge(site)
            self._spawn(f"edge-{site}", str(self.tools.nginx), "-e", "stderr", "-c", str(self._edge_config(site)))
        self.start_services()
        for part in ("receiver", *(f"edge-{site}" for site in SITES)):
            path = "/edge/health" if part.startswith("edge") else "/readyz"
            await wait_until(http_answers(self.url(part) + path), 30, f"{part}: {tail(self._log(part))}")

    def start_services(self) -> None:
        for name in SERVICES:
            self._spawn(
                name,
                *(sys.executable, "-m", f"farshore_{name}"),
                FARSHORE_TOPOLOGY=str(self.topology_file),
                FARSHORE_KAFKA_BOOTSTRAP_SERVERS=self.broker.bootstrap,
                FARSHORE_KAFKA_SESSION_TIMEOUT="6",
                FARSHORE_LISTEN=self.addresses[name],
                FARSHORE_RECEIVER_MANAGEMENT_LISTEN=self.addresses["management"],
            )

    async def start_registry(self, site: str, *, writable: bool) -> None:
        """Start the site's registry in this role, or restart it."""
        part = f"registry-{site}"
        self._end(part)
        target = NotificationTarget(self.url("receiver") + "/v1/notifications/main", TOKEN)
        config = self.folder / f"{part}.yaml"
        root = self.simulators[site].export("main")
        notify = target if writable else None
        config.write_text(registry_config(root, self.addresses[part], "secret", read_only=not writable, notify=notify))
        self._spawn(part, str(self.tools.registry_v2), "serve", str(config))
        self.roles[site] = writable
        writer = {"svm": f"svm_{site}", "volume": "main", "pids": [self.processes[part].pid] if writable else []}
        self.simulators[site].request("PUT", "/sim/writers", writer)
        await wait_until(http_answers(self.url(part) + "/v2/"), 20, f"{part}: {tail(self._log(part))}")

    def render_edge(self, site: str) -> None:
        folder = self.folder / f"edge-{site}"
        folder.mkdir(exist_ok=True)
        runtime = Runtime.below(folder, access_log=folder / "access.log", error_log=folder / "error.log")
        # workers of a root's nginx run as nobody, who may not look into a test's folders
        runtime = replace(runtime, single_process=False, user="root" if os.getuid() == 0 else None)
        self._edge_config(site).write_text(render(self.topology, site, runtime))

    def _edge_config(self, site: str) -> Path:
        return self.folder / f"edge-{site}.conf"

    def _log(self, part: str) -> Path:
        return self.folder / f"{part}.log"

    def _spawn(self, part: str, *command: str, **environ: str) -> None:
        self.processes[part] = spawn(command, log_file=self._log(part), environ={**os.environ, **environ})

    def _end(self, part: str) -> None:
        process = self.processes.pop(part, None)
        if process is not None:
            end(process, within_seconds=20)

    def end(self) -> None:
        for part in list(self.processes):
            self._end(part)

    # --- what goes on beside a move

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[None]:
        """See above."""
        task = asyncio.create_task(self._follow(self.topology_file.read_bytes()))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self, known: bytes) -> None:
        while True:
            await asyncio.sleep(0.05)
            if (now := self.topology_file.read_bytes()) != known:
                known = now
                self.take_up()

    def take_up(self) -> None:
        """Have the edges work by the topology as it is now."""
        for site in SITES:
            if site not in self.lost:
                self.render_edge(site)
                self.processes[f"edge-{site}"].send_signal(1)

    async def demote(self) -> None:
        """Restart the registries that were left read-only, as a replica's has to be, now that no edge writes there."""
        primary = self.topology.registries["main"].primary.site
        for site in SITES:
            if self.roles[site] and site != primary and site not in self.lost:
                await self.start_registry(site, writable=False)

    def lose(self, site: str) -> None:
        """Take a whole site away: cluster, registry and edge, as a fire does."""
        self.lost.add(site)
        self.simulators[site].kill()
        for part in (f"registry-{site}", f"edge-{site}"):
            process = self.processes.pop(part)
            # nginx's master first: it would replace a worker that died
            for pid in (process.pid, *children(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def find_cluster(self, site: str) -> None:
        """Its cluster is back, as it was."""
        self.simulators[site].start()
        self.simulators[site].wait_ready()

    async def find_rest(self, site: str) -> None:
        """Registry and edge of a site that was lost are back, by the topology as it is now."""
        self.lost.discard(site)
        await self.start_registry(site, writable=False)
        self.render_edge(site)
        self._spawn(f"edge-{site}", str(self.tools.nginx), "-e", "stderr", "-c", str(self._edge_config(site)))
        await wait_until(http_answers(self.url(f"edge-{site}") + "/edge/health"), 30, f"the edge of {site}")

    async def states(self, image: str) -> dict[str, tuple[str, str | None]]:
        """The last state and digest that readiness has of `image`, by site."""
        found = [one for one in await self._readiness() if f"{one['repository']}:{one.get('tag')}" == image]
        return {one["site"]: (one["state"], one.get("digest")) for one in found}

    async def all_ready(self, image: str, sites: tuple[str, ...]) -> bool:
        """Whether the readiness topic has `image` as ready at each of `sites`."""
        found = {
            (one["site"], f"{one['repository']}:{one.get('tag')}"): one["state"] for one in await self._readiness()
        }
        return all(found.get((site, image)) == "ready" for site in sites)

    async def _readiness(self) -> list[dict[str, Any]]:
        return [json.loads(value) for _, value in await read_all(self.bus, READINESS)]


def _topology(simulators: dict[str, Simulator], addresses: dict[str, str], token: Path) -> dict[str, Any]:
    def place(site: str) -> dict[str, str]:
        return {"site": site, "volume": "main", "url": f"http://{addresses[f'registry-{site}']}"}

    return {
        "version": 1,
        "sites": {
            site: simulator.topology_entry(
                {"url": f"http://{addresses[f'edge-{site}']}", "listen": addresses[f"edge-{site}"]}
            )
            for site, simulator in simulators.items()
        },
        "registries": {
            "main": {
                "primary": place("nyc"),
                "replicas": [place("fra"), place("syd") | {"via": "fra"}],
                "notifications": {"tokens": [f"file:{token}"]},
            }
        },
    }


@contextmanager
def move_world(folder: Path, tools: Tools) -> Iterator[MoveWorld]:
    """The world, with everything running."""
    parts = [f"{kind}-{site}" for kind in ("registry", "edge") for site in SITES] + [*SERVICES, "management"]
    addresses = {part: f"127.0.0.1:{port}" for part, port in zip(parts, free_ports(len(parts)), strict=True)}
    (token := folder / "token").write_text(TOKEN)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "kafka", folder / "kafka.log"))
        simulators = stack.enter_context(start_simulators(folder, SITES))
        file = folder / "topology.yaml"
        add_user(simulators.values(), ALL)
        document = yaml.safe_dump(as_limited(_topology(simulators, addresses, token), folder), sort_keys=False)
        file.write_text(f"# the file's author wrote this\n{document}")
        world = MoveWorld(folder, tools, broker, simulators, addresses, file)
        stack.callback(world.end)
        asyncio.run(world.start())
        yield world


@dataclass
class Traffic:
    """Clients that push and pull without pause, each through an edge of its own choice.

    `pushed`: digest by tag of what was acknowledged. `trouble`: every answer that no client should have seen.
    """

    world: MoveWorld
    pushed: dict[str, Digest] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    held: int = 0
    """Pushes that were told to come back."""
    pulls: int = 0
    _number: int = 0

    @asynccontextmanager
    async def flowing(self, prefix: str) -> AsyncIterator["Traffic"]:
        """Two clients push, three pull, until the end.

        Pushes have a connection each: an nginx that reloads closes idle ones, and a POST that meets that has to be
        sent again by its client; a GET is, by every HTTP client.
        """
        fresh = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=fresh) as pushing, aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(self._push_on(pushing, prefix, site)) for site in ("nyc", "syd")]
            tasks += [asyncio.create_task(self._pull_on(session, site)) for site in SITES]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def push(self, session: aiohttp.ClientSession, tag: str, site: str) -> bool:
        """One push; False where it was told to come back."""
        base = f"{self.world.url(f'edge-{site}')}/v2/team/app"
        blob = os.urandom(3000)
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        size = len(blob)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size},
                "layers": [],
            }
        ).encode()
        async with session.post(f"{base}/blobs/uploads/") as answer:
            if not await self._accepted(answer, 202, f"begin {tag}"):
                return False
            place = answer.headers["Location"]
        async with session.put(f"{place}&digest={digest}", data=blob) as answer:
            if not await self._accepted(answer, 201, f"blob of {tag}"):
                return False
        headers = {"Content-Type": OCI_MANIFEST}
        async with session.put(f"{base}/manifests/{tag}", data=manifest, headers=headers) as answer:
            if not await self._accepted(answer, 201, f"manifest of {tag}"):
                return False
        self.pushed[tag] = Digest.of(manifest)
        return True

    async def _accepted(self, answer: aiohttp.ClientResponse, wanted: int, what: str) -> bool:
        if answer.status == wanted:
            return True
        if (answer.status, answer.headers.get("X-Farshore-State")) == (503, "held"):
            assert answer.headers["Retry-After"] == "5"
            self.held += 1
        else:
            self.trouble.append(f"{what}: {answer.status} {await answer.text()}")
        return False

    async def _push_on(self, session: aiohttp.ClientSession, prefix: str, site: str) -> None:
        while True:
            self._number += 1
            await self.push(session, f"{prefix}-{self._number}", site)
            await asyncio.sleep(0.1)

    async def _pull_on(self, session: aiohttp.ClientSession, site: str) -> None:
        while True:
            for tag, digest in list(self.pushed.items())[-5:]:
                for reference in (tag, str(digest)):
                    await self.pull(session, reference, digest, site)
            await asyncio.sleep(0.05)

    async def pull(self, session: aiohttp.ClientSession, reference: str, digest: Digest, site: str) -> None:
        """One pull, manifest and blob, through the edge of `site`."""
        base = f"{self.world.url(f'edge-{site}')}/v2/team/app"
        async with session.get(f"{base}/manifests/{reference}", headers={"Accept": OCI_MANIFEST}) as answer:
            content = await answer.read()
            if answer.status != 200 or Digest.of(content) != digest:
                self.trouble.append(f"{site} {reference}: {answer.status} {content[:200]!r}")
                return
        blob = json.loads(content)["config"]["digest"]
        async with session.get(f"{base}/blobs/{blob}") as answer:
            content = await answer.read()
            if answer.status != 200 or str(Digest.of(content)) != blob:
                self.trouble.append(f"{site} blob of {reference}: {answer.status}")
                return
        self.pulls += 1
