"""Two edges in a row, both with TLS: fra's clients trust its certificate, and fra trusts what nyc shows."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from certificates import make_certificate
from edge_servers import Server, make_registry

from farshore.topology import Topology, parse_topology
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_ports
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

pytestmark = pytest.mark.integration


def topology_of(addresses: dict[str, str], certificate: dict[str, str], ca_file: str, *, behind: str) -> Topology:
    """One registry; the edge at fra reads it `behind` this URL."""
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    edge = {"url": f"https://{addresses['fra']}", "listen": addresses["fra"], **certificate, "ca_file": ca_file}
    registry = {"primary": {"site": "nyc", "volume": "v", "url": behind}, "notifications": {"tokens": ["env:X"]}}
    document = {"version": 1, "sites": {"nyc": site, "fra": {**site, "edge": edge}}, "registries": {"main": registry}}
    return parse_topology(json.dumps(document), "test")


def make_edge(folder: Path, name: str, tools: Tools, topology: Topology) -> Server:
    place = folder / name
    place.mkdir()
    runtime = Runtime.below(place, access_log=place / "access.log", error_log=place / "error.log")
    config = place / "edge.conf"
    config.write_text(render(topology, "fra", runtime))
    listens = topology.sites["fra"].edge
    assert listens is not None

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{listens.url}/edge/health", ssl=False):
                return True
        except aiohttp.ClientConnectionError:
            return False

    return Server((str(tools.nginx), "-e", "stderr", "-c", str(config)), answers, place / "nginx.log")


@pytest.fixture
async def chain(tools: Tools, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """URLs of two edges before one that stands before a registry: `trusting` knows its certificate, `wary` doesn't."""
    names = ("registry", "inner", "trusting", "wary")
    at = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(4), strict=True)}
    inner, outer = make_certificate(tmp_path, "inner"), make_certificate(tmp_path, "outer")
    servers = [make_registry(tmp_path, "registry", tools, at["registry"], read_only=False)]
    for name, shown, trusted, behind in (
        ("inner", inner, outer, f"http://{at['registry']}"),
        ("trusting", outer, inner, f"https://{at['inner']}"),
        ("wary", outer, outer, f"https://{at['inner']}"),
    ):
        topology = topology_of({"fra": at[name]}, shown, trusted["certificate"], behind=behind)
        servers.append(make_edge(tmp_path, name, tools, topology))
    try:
        for server in servers:
            await server.start()
        yield {name: f"https://{at[name]}" for name in names} | {"certificate": outer["certificate"]}
    finally:
        for server in servers:
            server.stop()


async def test_clients_and_registries_are_talked_to_in_tls_with_certificates_that_are_checked(
    chain: dict[str, str],
) -> None:
    known = ssl.create_default_context(cafile=chain["certificate"])
    async with aiohttp.ClientSession() as session:
        async with session.get(chain["trusting"] + "/v2/", ssl=known) as answer:
            assert (answer.status, answer.headers["X-Farshore-Served"]) == (200, "primary")
        async with session.post(chain["trusting"] + "/v2/team/app/blobs/uploads/", ssl=known) as answer:
            assert (answer.status, answer.headers["Location"].startswith(chain["trusting"])) == (202, True)
        async with session.get(chain["wary"] + "/v2/", ssl=known) as answer:
            assert (answer.status, answer.headers["X-Farshore-State"]) == (503, "not-here-yet")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(chain["trusting"] + "/v2/")
