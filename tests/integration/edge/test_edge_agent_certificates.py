"""The edge's agent, a real nginx with TLS, and a certificate that is renewed in the middle of a pull."""

import asyncio
import hashlib
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from certificates import make_certificate
from edge_agent import EdgeAgent
from edge_servers import make_registry
from registry_process import Pusher

from farshore.topology import Topology, parse_topology
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_ports

pytestmark = pytest.mark.integration


def topology_of(at: dict[str, str], certificate: dict[str, str]) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    edge = {"url": f"https://{at['edge']}", "listen": at["edge"], **certificate}
    place = {"site": "nyc", "volume": "v", "url": f"http://{at['registry']}"}
    registry = {"primary": place, "notifications": {"tokens": ["env:X"]}}
    document = {"version": 1, "sites": {"nyc": site, "fra": {**site, "edge": edge}}, "registries": {"main": registry}}
    return parse_topology(json.dumps(document), "test")


@dataclass
class World:
    edge: EdgeAgent
    at: dict[str, str]
    files: dict[str, str]
    """What the topology names."""

    async def shows(self) -> str:
        """The certificate that a new connection gets."""
        host, port = self.at["edge"].split(":")
        return await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))


@pytest.fixture
async def world(tools: Tools, tmp_path: Path) -> AsyncIterator[World]:
    at = {name: f"127.0.0.1:{port}" for name, port in zip(("registry", "edge"), free_ports(2), strict=True)}
    files = make_certificate(tmp_path, "edge")
    edge = EdgeAgent(tmp_path, tools, at["edge"])
    edge.write(topology_of(at, files))
    registry = make_registry(tmp_path, "registry", tools, at["registry"], read_only=False)

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"https://{at['edge']}/edge/health", ssl=False):
                return True
        except aiohttp.ClientConnectionError:
            return False

    edge.nginx.probe = answers
    try:
        await registry.start()
        await edge.start()
        yield World(edge, at, files)
    finally:
        edge.stop()
        registry.stop()


def text_of(file: str) -> str:
    return Path(file).read_text()


async def test_a_renewed_certificate_is_shown_without_dropping_a_pull_and_half_of_one_disturbs_nobody(
    world: World, tmp_path: Path
) -> None:
    layer = os.urandom(48 << 20)
    async with aiohttp.ClientSession() as session:
        image = await Pusher(f"http://{world.at['registry']}", session).image("team/app", "v1", layer)
    (renewed := tmp_path / "renewed").mkdir()
    new, old = make_certificate(renewed, "edge"), text_of(world.files["certificate"])
    assert await world.shows() == old
    before = (await world.edge.status())["rules"]["running"]
    url = f"https://{world.at['edge']}/v2/team/app/blobs/{image.layers[0]}"
    hashed = hashlib.sha256()
    patience = aiohttp.ClientTimeout(total=1800)
    async with aiohttp.ClientSession(timeout=patience) as session, session.get(url, ssl=False) as pull:
        hashed.update(await pull.content.readexactly(1 << 20))
        # nobody reads now, so the pull stands still between the sockets' buffers, far from its end
        shutil.copy(new["certificate_key"], world.files["certificate_key"])
        refused = await world.edge.becomes(lambda status: status["rules"]["trouble"], "nginx to refuse the half of it")
        assert "key" in refused["rules"]["trouble"]
        assert (refused["rules"]["running"], await world.shows()) == (before, old)
        shutil.copy(new["certificate"], world.files["certificate"])
        status = await world.edge.becomes(
            lambda status: status["rules"]["in_force"] and status["rules"]["running"] != before, "the reload"
        )
        assert status["rules"]["trouble"] is None
        assert await world.shows() == text_of(new["certificate"]) != old
        async for chunk in pull.content.iter_chunked(1 << 20):
            hashed.update(chunk)
    assert f"sha256:{hashed.hexdigest()}" == image.layers[0]
    assert "PRIVATE KEY" not in world.edge.config.read_text() + world.edge.agent.log_file.read_text()
