"""The edge's agent beside a real nginx before real registries: topology in, rules in force out."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from big_blob import DIGEST, SIZE, put_big_blob
from edge_agent import EdgeAgent
from edge_servers import Server, make_registry
from waiting import wait_until

from farshore.topology import Topology, parse_topology
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_ports

pytestmark = pytest.mark.integration

REGISTRIES = ("old", "new", "replica")


@dataclass
class World:
    """Site fra with its edge and replica, and two registries elsewhere that are or will be the primary."""

    edge: EdgeAgent
    servers: dict[str, Server]
    at: dict[str, str]
    session: aiohttp.ClientSession

    def topology(self, primary: str) -> Topology:
        """`primary` is the registry that is written."""
        site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
        edge = {"url": f"http://{self.at['edge']}", "listen": self.at["edge"]}
        registry = {
            "primary": {
                "site": "nyc" if primary == "old" else "lon",
                "volume": "v",
                "url": f"http://{self.at[primary]}",
            },
            "replicas": [{"site": "fra", "volume": "v", "url": f"http://{self.at['replica']}"}],
            "notifications": {"tokens": ["env:X"]},
        }
        sites = {"nyc": site, "lon": site, "fra": {**site, "edge": edge}}
        return parse_topology(json.dumps({"version": 1, "sites": sites, "registries": {"main": registry}}), "test")

    async def open_upload(self) -> tuple[int, str]:
        """Status of a write through the edge, and what the edge says of its state."""
        async with self.session.post(f"http://{self.at['edge']}/v2/team/app/blobs/uploads/") as answer:
            return answer.status, answer.headers.get("X-Farshore-State", "")

    def uploads(self, registry: str) -> int:
        """How many uploads a registry has open."""
        return len(list(self.edge.folder.glob(f"{registry}/docker/registry/v2/repositories/*/*/_uploads/*")))


@pytest.fixture
async def world(tools: Tools, tmp_path: Path) -> AsyncIterator[World]:
    names = (*REGISTRIES, "edge")
    at = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}
    servers = {name: make_registry(tmp_path, name, tools, at[name], read_only=name == "replica") for name in REGISTRIES}
    edge = EdgeAgent(tmp_path, tools, at["edge"])
    async with aiohttp.ClientSession() as session:
        world = World(edge, servers, at, session)
        edge.write(world.topology("old"))
        try:
            for server in servers.values():
                await server.start()
            await edge.start()
            yield world
        finally:
            edge.stop()
            for server in servers.values():
                server.stop()


async def test_a_primary_that_moves_takes_the_writes_along(world: World) -> None:
    assert await world.open_upload() == (202, "")
    assert (world.uploads("old"), world.uploads("new")) == (1, 0)
    before = await world.edge.status()
    world.edge.write(world.topology("new"))
    status = await world.edge.becomes(
        lambda status: status["rules"]["in_force"] and status["rules"]["running"] != before["rules"]["running"],
        "the new rules to be in force",
    )
    assert status["registries"]["main"]["primary"]["site"] == "lon"
    assert await world.open_upload() == (202, "")
    assert (world.uploads("old"), world.uploads("new")) == (1, 1)


async def test_a_pull_of_a_gigabyte_goes_on_through_a_reload(world: World) -> None:
    put_big_blob(world.edge.folder / "replica", "team/app")
    before = (await world.edge.status())["rules"]["running"]
    hashed, size = hashlib.sha256(), 0
    async with world.session.get(f"http://{world.at['edge']}/v2/team/app/blobs/{DIGEST}") as pull:
        assert (pull.status, pull.headers["X-Farshore-Served"]) == (200, "local")
        content = pull.content.iter_chunked(1 << 20)
        async for chunk in content:
            hashed.update(chunk)
            size += len(chunk)
            if size > 32 << 20:
                break
        # nobody reads now, so the pull stands still between the sockets' buffers, far from its end
        world.edge.write(world.topology("new"))
        await world.edge.becomes(lambda status: status["rules"]["running"] not in (before, None), "the reload")
        assert await world.open_upload() == (202, "")
        assert world.uploads("new") == 1
        async for chunk in content:
            hashed.update(chunk)
            size += len(chunk)
    assert (size, f"sha256:{hashed.hexdigest()}") == (SIZE, DIGEST)


async def test_a_wrong_topology_leaves_the_rules_as_they_are_and_is_told(world: World) -> None:
    good = await world.edge.status()
    rules = world.edge.config.read_text()
    world.edge.write_text("version: 1\nsites: {fra: {modle: cloud}}\n")
    wrong = await world.edge.becomes(lambda status: status["topology"]["trouble"], "the complaint")
    assert "unknown key" in wrong["topology"]["trouble"]
    assert (wrong["rules"]["running"], wrong["rules"]["in_force"]) == (good["rules"]["running"], False)
    assert world.edge.config.read_text() == rules
    assert await world.open_upload() == (202, "")
    await world.edge.counts("farshore_edge_outdated", 1)
    await world.edge.counts("farshore_topology_refused", 1)
    assert "unknown key" in world.edge.agent.log_file.read_text()
    world.edge.write(world.topology("old"))
    mended = await world.edge.becomes(lambda status: status["rules"]["in_force"], "the end of the trouble")
    assert (mended["topology"]["trouble"], mended["rules"]["running"]) == (None, good["rules"]["running"])
    await world.edge.counts("farshore_edge_outdated", 0)
    await world.edge.counts("farshore_topology_refused", 0)


async def test_rules_that_nginx_refuses_are_never_put_in_place(world: World) -> None:
    rules = world.edge.config.read_text()
    unknown_host = world.topology("old").model_dump_json().replace(world.at["old"], "registry.nowhere.invalid:5000")
    world.edge.write_text(unknown_host)
    status = await world.edge.becomes(lambda status: status["rules"]["trouble"], "nginx to refuse")
    assert "host not found" in status["rules"]["trouble"]
    assert not status["rules"]["in_force"]
    assert world.edge.config.read_text() == rules
    assert await world.open_upload() == (202, "")


async def test_the_status_says_who_is_reached_and_what_is_held(world: World) -> None:
    status = await world.edge.becomes(
        lambda status: status["registries"]["main"]["replica"]["state"] == "up", "nginx to be asked"
    )
    main = status["registries"]["main"]
    assert (status["site"], main["prefix"], main["held"]) == ("fra", "", False)
    assert (main["primary"]["site"], main["primary"]["url"]) == ("nyc", f"http://{world.at['old']}")
    assert (main["replica"]["site"], main["replica"]["status"]) == ("fra", 200)
    world.servers["old"].stop()
    (world.edge.hold_dir / "main").touch()
    held = await world.edge.becomes(
        lambda status: status["registries"]["main"]["primary"]["state"] == "down", "the primary to be missed"
    )
    assert held["registries"]["main"]["held"]
    assert await world.open_upload() == (503, "held")
    await world.edge.counts('farshore_edge_unreachable{registry="main",role="primary"}', 1)


async def test_a_hold_folder_that_nginxs_workers_may_not_look_into_is_told(world: World) -> None:
    assert (await world.edge.status())["holds"] == {"folder": str(world.edge.hold_dir), "trouble": None}
    world.edge.hold_dir.chmod(0)
    unseen = await world.edge.becomes(lambda status: status["holds"]["trouble"], "the complaint")
    assert "FARSHORE_EDGE_USER" in unseen["holds"]["trouble"]
    await world.edge.counts("farshore_edge_holds_unseen", 1)
    assert "holds don't apply" in world.edge.agent.log_file.read_text()
    world.edge.hold_dir.chmod(0o755)
    await world.edge.becomes(lambda status: status["holds"]["trouble"] is None, "the end of the trouble")


async def test_nginx_goes_on_without_the_agent_and_the_agent_says_when_nginx_is_gone(world: World) -> None:
    async def readiness() -> int:
        async with world.session.get(f"{world.edge.url}/readyz") as answer:
            return answer.status

    async def ready() -> bool:
        return await readiness() == 200

    async def unready() -> bool:
        return await readiness() == 503

    world.edge.agent.stop()
    assert await world.open_upload() == (202, "")
    await world.edge.agent.start()
    await wait_until(ready, 20, "the new agent to see nginx")
    world.edge.nginx.stop()
    await wait_until(unready, 20, "the agent to miss nginx")
    await world.edge.nginx.start()
    await wait_until(ready, 20, "the agent to see nginx again")


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"FARSHORE_EDGE_SITE": "lax"}, "no such site"),
        ({"FARSHORE_EDGE_AGENT_LISTEN": "nowhere"}, "FARSHORE_EDGE_AGENT_LISTEN"),
        ({"FARSHORE_EDGE_NGINX": "/no/such/nginx"}, "set FARSHORE_EDGE_NGINX"),
    ],
)
async def test_a_wrong_setting_ends_it_with_its_name(
    tools: Tools, tmp_path: Path, environ: dict[str, str], complaint: str
) -> None:
    edge = EdgeAgent(tmp_path, tools, "127.0.0.1:1")
    at = dict.fromkeys((*REGISTRIES, "edge"), "127.0.0.1:1")
    async with aiohttp.ClientSession() as session:
        edge.write(World(edge, {}, at, session).topology("old"))
    code, said = edge.refuses_to_start(**environ)
    edge.stop()
    assert (code, complaint in said) == (78, True), said
