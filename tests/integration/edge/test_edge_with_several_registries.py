"""One edge before three real registries, each the primary of its own repositories."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from edge_servers import Server, make_registry
from registry_process import Pusher

from farshore.oci import Digest
from farshore.topology import Topology, parse_topology
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_ports
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

pytestmark = pytest.mark.integration

PREFIXES = {"main": "", "ml": "ml/", "vision": "ml/vision/"}
BLOB = b"a layer" * 100


def topology_of(at: dict[str, str]) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    edge = {"url": f"http://{at['edge']}", "listen": at["edge"]}
    registries = {
        name: {
            "prefix": prefix,
            "primary": {"site": "nyc", "volume": name, "url": f"http://{at[name]}"},
            "notifications": {"tokens": ["env:X"]},
        }
        for name, prefix in PREFIXES.items()
    }
    document = {"version": 1, "sites": {"nyc": site, "fra": {**site, "edge": edge}}, "registries": registries}
    return parse_topology(json.dumps(document), "test")


@pytest.fixture
async def at(tools: Tools, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Base URLs: of the edge, and of each registry behind it."""
    names = (*PREFIXES, "edge")
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}
    runtime = Runtime.below(tmp_path, access_log=tmp_path / "access.log", error_log=tmp_path / "edge.log")
    config = tmp_path / "edge.conf"
    config.write_text(render(topology_of(addresses), "fra", runtime))
    probe = http_answers(f"http://{addresses['edge']}/edge/health")
    edge = Server((str(tools.nginx), "-e", "stderr", "-c", str(config)), probe, tmp_path / "nginx.log")
    servers = [make_registry(tmp_path, name, tools, addresses[name], read_only=False) for name in PREFIXES]
    try:
        for server in (*servers, edge):
            await server.start()
        yield {name: f"http://{address}" for name, address in addresses.items()}
    finally:
        for server in (edge, *servers):
            server.stop()


async def upload(session: aiohttp.ClientSession, base: str, repository: str, content: bytes) -> None:
    """A whole upload session; every part of it has to reach the registry that opened it."""
    async with session.post(f"{base}/v2/{repository}/blobs/uploads/") as opened:
        assert (opened.status, opened.headers["Location"].startswith(base)) == (202, True)
        location = opened.headers["Location"]
    async with session.patch(location, data=content) as sent:
        assert sent.status == 202
        location = sent.headers["Location"]
    async with session.put(location, params={"digest": str(Digest.of(content))}) as closed:
        assert closed.status == 201


@pytest.mark.parametrize(
    ("repository", "owner"),
    [
        ("team/app", "main"),
        ("ml", "main"),  # the repository `ml` is not below `ml/`
        ("mlx/model", "main"),
        ("other/ml/vision/model", "main"),
        ("ml/model", "ml"),
        ("ml/visions", "ml"),
        ("ml/vision", "ml"),
        ("ml/vision/model", "vision"),
        ("ml/vision/blobs/uploads", "vision"),  # a name that looks like a path of the protocol
    ],
)
async def test_a_push_lands_at_the_registry_of_the_longest_prefix_and_nowhere_else(
    at: dict[str, str], repository: str, owner: str
) -> None:
    async with aiohttp.ClientSession() as session:
        await upload(session, at["edge"], repository, BLOB)
        for name in PREFIXES:
            async with session.head(f"{at[name]}/v2/{repository}/blobs/{Digest.of(BLOB)}") as answer:
                assert (answer.status == 200) == (name == owner), name
        async with session.get(f"{at['edge']}/v2/{repository}/blobs/{Digest.of(BLOB)}") as answer:
            assert (answer.status, await answer.read()) == (200, BLOB)


async def test_lists_come_from_the_registry_that_has_the_repository(at: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        for name, prefix in PREFIXES.items():
            pushed = await Pusher(at["edge"], session).image(f"{prefix}app", f"of-{name}")
            async with session.get(f"{at['edge']}/v2/{prefix}app/tags/list") as answer:
                assert (answer.status, await answer.json()) == (200, {"name": f"{prefix}app", "tags": [f"of-{name}"]})
            path = f"/v2/{prefix}app/referrers/{pushed.digest}"
            async with session.get(at["edge"] + path) as edge, session.get(at[name] + path) as registry:
                assert (edge.status, await edge.read()) == (registry.status, await registry.read())


async def test_the_catalogue_of_all_is_refused_and_each_registrys_own_is_paged_through_the_edge(
    at: dict[str, str],
) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(3):
            await Pusher(at["edge"], session).image(f"ml/app-{number}", "v1")
        async with session.get(f"{at['edge']}/v2/_catalog") as answer:
            (error,) = (await answer.json())["errors"]
            assert (answer.status, error["code"]) == (405, "UNSUPPORTED")
        assert all(f"/edge/registries/{name}/catalog" in error["message"] for name in PREFIXES)

        found, page = [], "/edge/registries/ml/catalog?n=2"
        while page:
            async with session.get(at["edge"] + page) as answer:
                assert (answer.status, answer.headers["X-Farshore-Served"]) == (200, "primary")
                found += (await answer.json())["repositories"]
                link = answer.links.get("next")
            assert link is None or str(link["url"]).startswith(f"{at['edge']}/edge/registries/ml/catalog?")
            page = str(link["url"]).removeprefix(at["edge"]) if link else ""
        assert found == [f"ml/app-{number}" for number in range(3)]
