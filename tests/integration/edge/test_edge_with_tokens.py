"""Bearer challenges and tokens pass an edge unchanged; what a registry doesn't trust gets nowhere."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from edge_servers import Server, make_registry
from token_server import Signer, TokenServer
from waiting import wait_until

from farshore.oci import Digest
from farshore.topology import Topology, parse_topology
from farshore_cli.demo.oci_layout import LayoutWriter
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_ports
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

pytestmark = pytest.mark.integration

GOOD, WRONG = "reader:correct horse", "reader:guess"


def one_replica(at: dict[str, str]) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    registry = {
        "primary": {"site": "nyc", "volume": "v", "url": f"http://{at['primary']}"},
        "replicas": [{"site": "fra", "volume": "v", "url": f"http://{at['replica']}"}],
        "notifications": {"tokens": ["env:X"]},
    }
    edge = {"url": f"http://{at['edge']}", "listen": at["edge"]}
    document = {"version": 1, "sites": {"nyc": site, "fra": {**site, "edge": edge}}, "registries": {"main": registry}}
    return parse_topology(json.dumps(document), "test")


@dataclass
class World:
    """Two registries that want tokens, an edge before them, and an image pushed through it, which is at both."""

    at: dict[str, str]
    signer: Signer
    stranger: Signer
    skopeo: Path
    image: Digest
    layer: Digest
    session: aiohttp.ClientSession

    async def ask(self, server: str, path: str, method: str = "GET", token: str = "") -> tuple[int, str | None]:
        """Status and challenge."""
        headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, f"http://{self.at[server]}{path}", headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers.get("WWW-Authenticate")

    async def pull(self, credentials: str, target: Path) -> subprocess.CompletedProcess[str]:
        source = f"docker://{self.at['edge']}/team/app:v1"
        return await copy(self.skopeo, "--src-tls-verify=false", "--src-creds", credentials, source, f"dir:{target}")


async def copy(skopeo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a thread, since the token server that it asks is in this process."""
    command = [str(skopeo), "--insecure-policy", "copy", *words]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=300)


@pytest.fixture
async def world(tools: Tools, tmp_path: Path) -> AsyncIterator[World]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which signs the test's tokens, isn't here")
    names = ("primary", "replica", "edge")
    at = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(3), strict=True)}
    signer, stranger = (Signer.make(openssl, tmp_path, name) for name in ("trusted", "stranger"))
    config = tmp_path / "edge.conf"
    runtime = Runtime.below(tmp_path, access_log=tmp_path / "access.log", error_log=tmp_path / "edge.log")
    config.write_text(render(one_replica(at), "fra", runtime))
    edge_answers = http_answers(f"http://{at['edge']}/edge/health")
    servers = [Server((str(tools.nginx), "-e", "stderr", "-c", str(config)), edge_answers, tmp_path / "nginx.log")]
    user, _, password = GOOD.partition(":")
    async with TokenServer(signer, user, password) as tokens, aiohttp.ClientSession() as session:
        for name in ("primary", "replica"):
            server = make_registry(tmp_path, name, tools, at[name], read_only=name == "replica")

            async def asks(url: str = f"http://{at[name]}/v2/") -> bool:
                try:
                    async with session.get(url) as answer:
                        return answer.status == 401
                except aiohttp.ClientConnectionError:
                    return False

            server.probe = asks
            with (tmp_path / f"{name}.yaml").open("a") as settings:
                settings.write(tokens.auth())
            servers.append(server)
        try:
            for server in servers:
                await server.start()
            writer = LayoutWriter(tmp_path / "image")
            image = writer.image([writer.layer(b"a layer" * 1000)])
            writer.name(image, "it")
            target = ("--dest-tls-verify=false", "--dest-creds", GOOD, writer.source("it"))
            pushed = await copy(tools.skopeo, "--preserve-digests", *target, f"docker://{at['edge']}/team/app:v1")
            assert pushed.returncode == 0, pushed.stderr
            shutil.copytree(tmp_path / "primary", tmp_path / "replica")
            manifest = json.loads((tmp_path / "image/blobs/sha256" / image.digest.hex).read_text())
            layer = Digest.parse(manifest["layers"][0]["digest"])
            yield World(at, signer, stranger, tools.skopeo, image.digest, layer, session)
        finally:
            for server in servers:
                server.stop()


def paths(world: World) -> dict[str, str]:
    """Who is asked first: the primary, or the replica."""
    return {
        "/v2/": "primary",
        "/v2/team/app/manifests/v1": "primary",
        "/v2/team/app/tags/list": "primary",
        f"/v2/team/app/manifests/{world.image}": "replica",
        f"/v2/team/app/blobs/{world.layer}": "replica",
    }


def in_any_order(challenge: str | None) -> list[str]:
    """The registry names the actions of a scope in another order each time: `pull,push` is `push,pull`."""
    assert challenge is not None
    return sorted(re.split(r"[:,\"]", challenge))


async def test_a_challenge_passes_unchanged(world: World) -> None:
    for path, asked in paths(world).items():
        status, challenge = await world.ask("edge", path)
        assert status == 401
        assert challenge is not None
        assert challenge.startswith("Bearer realm=")
        assert (status, challenge) == await world.ask(asked, path), path
    upload = "/v2/team/app/blobs/uploads/"
    status, challenge = await world.ask("edge", upload, "POST")
    at_primary = await world.ask("primary", upload, "POST")
    assert (status, in_any_order(challenge)) == (at_primary[0], in_any_order(at_primary[1]))


async def test_whom_the_token_server_knows_pulls_and_others_do_not(world: World, tmp_path: Path) -> None:
    good = await world.pull(GOOD, tmp_path / "good")
    assert good.returncode == 0, good.stderr
    assert Digest.of((tmp_path / "good" / world.layer.hex).read_bytes()) == world.layer
    wrong = await world.pull(WRONG, tmp_path / "wrong")
    assert wrong.returncode != 0
    assert not (tmp_path / "wrong" / world.layer.hex).exists()


async def test_a_token_of_another_key_or_for_another_repository_gets_nowhere(world: World) -> None:
    everything: list[dict[str, object]] = [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]
    elsewhere: list[dict[str, object]] = [{"type": "repository", "name": "team/other", "actions": ["pull", "push"]}]
    forged = world.stranger.token("reader", everything)
    misused = world.signer.token("reader", elsewhere)
    right = world.signer.token("reader", everything)
    for path in list(paths(world))[1:]:
        assert (await world.ask("edge", path, token=forged))[0] == 401, path
        assert (await world.ask("edge", path, token=misused))[0] == 401, path
        assert (await world.ask("edge", path, token=right))[0] == 200, path
    upload = "/v2/team/app/blobs/uploads/"
    for token, status in ((forged, 401), (misused, 401), (right, 202)):
        assert (await world.ask("edge", upload, "POST", token))[0] == status
    log = world.signer.key.parent / "access.log"
    await world.ask("edge", "/v2/the/last/tags/list", token=right)
    await wait_until(lambda: "/v2/the/last/" in log.read_text(), 10, "the last request to be logged")
    assert right not in log.read_text()
