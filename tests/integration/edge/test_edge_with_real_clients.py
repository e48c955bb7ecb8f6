"""The rendered edge in a real nginx before two real registries: a primary, and a replica with an older state of it."""

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from big_blob import DIGEST, SIZE, put_big_blob
from edge_servers import Server, make_registry
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

ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
OLD, NEW = b"the old layer" * 100, b"the new layer" * 100


@dataclass
class World:
    """Site fra: its edge, its replica, and nyc's primary far away."""

    tools: Tools
    folder: Path
    primary: Server
    replica: Server
    edge: Server
    addresses: dict[str, str]
    session: aiohttp.ClientSession

    def url(self, server: str) -> str:
        return f"http://{self.addresses[server]}"

    async def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of the edge's answer."""
        async with self.session.request(method, self.url("edge") + path, headers=ACCEPT) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, headers, await answer.read()

    def push(self, layer: bytes, reference: str, server: str) -> Digest:
        """Push a one-layer image with skopeo; returns its digest."""
        writer = LayoutWriter(self.folder / "images" / Digest.of(layer + reference.encode()).hex)
        image = writer.image([writer.layer(layer)])
        writer.name(image, "it")
        target = f"docker://{self.addresses[server]}/{reference}"
        copy = ("--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false")
        self.run(self.tools.skopeo, *copy, writer.source("it"), target)
        return image.digest

    def run(self, *command: str | Path) -> str:
        done = self.try_to_run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_to_run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)

    async def replicate(self) -> None:
        """Bring the primary's present state to the replica, as a transfer does."""
        fresh = self.folder / "replica.new"
        shutil.copytree(self.folder / "primary", fresh)
        shutil.rmtree(self.folder / "replica", ignore_errors=True)
        fresh.rename(self.folder / "replica")


def one_replica(addresses: dict[str, str]) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    edge = {"url": f"http://{addresses['edge']}", "listen": addresses["edge"]}
    registry = {
        "primary": {"site": "nyc", "volume": "v", "url": f"http://{addresses['primary']}"},
        "replicas": [{"site": "fra", "volume": "v", "url": f"http://{addresses['replica']}"}],
        "notifications": {"tokens": ["env:X"]},
    }
    document = {"version": 1, "sites": {"nyc": site, "fra": {**site, "edge": edge}}, "registries": {"main": registry}}
    return parse_topology(json.dumps(document), "test")


@pytest.fixture
async def world(tools: Tools, tmp_path: Path) -> AsyncIterator[World]:
    names = ("primary", "replica", "edge")
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(3), strict=True)}
    runtime = Runtime.below(tmp_path, access_log=tmp_path / "access.log", error_log=tmp_path / "edge.log")
    config = tmp_path / "edge.conf"
    config.write_text(render(one_replica(addresses), "fra", runtime))
    edge = Server(
        (str(tools.nginx), "-e", "stderr", "-c", str(config)),
        http_answers(f"http://{addresses['edge']}/edge/health"),
        tmp_path / "edge.log",
    )
    async with aiohttp.ClientSession() as session:
        world = World(
            tools,
            tmp_path,
            make_registry(tmp_path, "primary", tools, addresses["primary"], read_only=False),
            make_registry(tmp_path, "replica", tools, addresses["replica"], read_only=True),
            edge,
            addresses,
            session,
        )
        servers = (world.primary, world.replica, world.edge)
        try:
            for server in servers:
                await server.start()
            yield world
        finally:
            for server in servers:
                server.stop()


async def test_what_the_site_has_is_read_there(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    status, headers, body = await world.get(f"/v2/team/app/manifests/{digest}")
    assert (status, headers["x-farshore-served"]) == (200, "local")
    assert digest.matches(body)
    layer = json.loads(body)["layers"][0]["digest"]
    status, headers, body = await world.get(f"/v2/team/app/blobs/{layer}")
    assert (status, headers["x-farshore-served"], Digest.of(body)) == (200, "local", layer)


async def test_what_the_site_lacks_falls_through_to_the_primary(world: World) -> None:
    world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    digest = world.push(NEW, "team/app:v2", "primary")
    status, headers, body = await world.get(f"/v2/team/app/manifests/{digest}")
    assert (status, headers["x-farshore-served"]) == (200, "primary")
    assert digest.matches(body)


async def test_a_push_through_the_edge_lands_at_the_primary_and_can_be_read_back_at_once(world: World) -> None:
    digest = world.push(NEW, "team/app:v1", "edge")
    world.run(
        *(world.tools.skopeo, "--insecure-policy", "inspect", "--tls-verify=false"),
        f"docker://{world.addresses['primary']}/team/app@{digest}",
    )
    status, headers, _ = await world.get("/v2/team/app/manifests/v1")
    assert (status, headers["docker-content-digest"]) == (200, digest)
    assert headers["x-farshore-served"] == "primary"


async def test_a_tag_comes_from_the_primary_even_when_the_replica_has_an_older_one(world: World) -> None:
    world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    newer = world.push(NEW, "team/app:v1", "primary")
    for method in ("GET", "HEAD"):
        _, headers, _ = await world.get("/v2/team/app/manifests/v1", method)
        assert headers["docker-content-digest"] == newer
        assert "warning" not in headers


async def test_without_the_primary_a_tag_is_served_as_stale_and_the_unknown_is_not_called_absent(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    world.primary.stop()
    status, headers, _ = await world.get("/v2/team/app/manifests/v1")
    assert (status, headers["docker-content-digest"]) == (200, digest)
    assert headers["warning"].startswith("110")
    absent = Digest.of(b"nobody has this")
    for path in ("/v2/team/app/manifests/v9", f"/v2/team/app/manifests/{absent}", f"/v2/team/app/blobs/{absent}"):
        status, headers, body = await world.get(path)
        assert (status, headers["retry-after"]) == (503, "5"), path
        assert json.loads(body)["errors"][0]["code"] == "UNAVAILABLE"


async def test_without_the_primary_a_push_is_refused_with_a_time_to_come_back(world: World) -> None:
    world.primary.stop()
    status, headers, body = await world.get("/v2/team/app/blobs/uploads/", "POST")
    assert (status, headers["retry-after"]) == (503, "5")
    assert json.loads(body)["errors"][0]["code"] == "UNAVAILABLE"


def state_of(pid: int) -> str:
    """The letter that the kernel gives a process' state; T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_primary_that_hangs_holds_a_tag_up_only_for_seconds(world: World) -> None:
    world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    assert world.primary.process is not None
    pid = world.primary.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await wait_until(lambda: state_of(pid) == "T", 10, "the registry to stand still")
        status, headers, _ = await world.get("/v2/team/app/manifests/v1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (status, headers["warning"][:3]) == (200, "110")


async def test_without_the_replica_everything_comes_from_the_primary(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    world.replica.stop()
    for name in ("v1", digest):
        status, headers, _ = await world.get(f"/v2/team/app/manifests/{name}")
        assert (status, headers["x-farshore-served"]) == (200, "primary")


async def test_a_broken_tag_link_at_the_replica_is_no_answer(world: World) -> None:
    """A snapshot can catch a link that distribution 2.8 is rewriting in place: the replica then says 500."""
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    link = world.folder / "replica/docker/registry/v2/repositories/team/app/_manifests/revisions/sha256"
    (link / digest.hex / "link").write_text("")
    status, headers, _ = await world.get(f"/v2/team/app/manifests/{digest}")
    assert (status, headers["x-farshore-served"]) == (200, "primary")


async def test_a_blob_that_only_the_replica_has_does_not_make_a_pusher_skip_its_upload(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    _, _, manifest = await world.get(f"/v2/team/app/manifests/{digest}")
    layer = Digest.parse(json.loads(manifest)["layers"][0]["digest"])
    blob = world.folder / "primary/docker/registry/v2/repositories/team/app/_layers/sha256" / layer.hex
    shutil.rmtree(blob)
    status, _, _ = await world.get(f"/v2/team/app/blobs/{layer}", "HEAD")
    assert status == 404


async def test_moving_a_tag_back_with_crane_is_not_lost(world: World) -> None:
    """crane asks for the tag first and skips its upload when the answer is the digest that it would push."""
    if world.tools.crane is None:
        pytest.skip("crane isn't here; scripts/setup --for-tests builds it where Go is")
    old = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    world.push(NEW, "team/app:v1", "primary")
    edge = world.addresses["edge"]
    world.run(world.tools.crane, "copy", "--insecure", f"{edge}/team/app@{old}", f"{edge}/team/app:v1")
    async with world.session.head(world.url("primary") + "/v2/team/app/manifests/v1", headers=ACCEPT) as answer:
        assert answer.headers["Docker-Content-Digest"] == old


async def test_without_the_primary_crane_does_not_take_a_stale_tag_for_its_push(world: World) -> None:
    """With the replica's digest in the answer crane says "existing manifest", writes nothing and ends well."""
    if world.tools.crane is None:
        pytest.skip("crane isn't here; scripts/setup --for-tests builds it where Go is")
    old = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    world.push(NEW, "team/app:v1", "primary")
    world.primary.stop()
    edge = world.addresses["edge"]
    done = world.try_to_run(*(world.tools.crane, "copy", "--insecure"), f"{edge}/team/app@{old}", f"{edge}/team/app:v1")
    assert done.returncode != 0
    assert "existing manifest" not in done.stderr


async def test_a_stale_tag_has_a_digest_for_whoever_reads_it_and_none_for_whoever_only_asks(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    world.primary.stop()
    status, asked, _ = await world.get("/v2/team/app/manifests/v1", "HEAD")
    assert (status, asked["x-farshore-state"]) == (200, "stale")
    assert not {"docker-content-digest", "etag"} & asked.keys()
    status, read, body = await world.get("/v2/team/app/manifests/v1")
    assert (status, read["docker-content-digest"], Digest.of(body)) == (200, digest, digest)


async def test_not_here_yet_is_told_apart_from_absent(world: World) -> None:
    absent = f"/v2/team/app/manifests/{Digest.of(b'nobody has this')}"
    status, headers, _ = await world.get(absent)
    assert (status, "x-farshore-state" in headers) == (404, False)
    world.primary.stop()
    status, headers, _ = await world.get(absent)
    assert (status, headers["x-farshore-state"]) == (503, "not-here-yet")


async def test_the_edge_tells_its_primary_whether_it_holds_writes_and_when_the_last_one_has_ended(world: World) -> None:
    async def about() -> Any:
        return json.loads((await world.get("/edge/registries/main"))[2])

    async def idle() -> int:
        return (await world.get("/edge/registries/main/idle"))[0]

    assert await about() == {"registry": "main", "primary": "nyc", "epoch": 1, "held": False}
    assert await idle() == 204
    async with world.session.post(f"{world.url('edge')}/v2/app/blobs/uploads/") as answer:
        place = answer.headers["Location"]
    writing = http.client.HTTPConnection(world.addresses["edge"])
    writing.putrequest("PATCH", place.removeprefix(world.url("edge")))
    writing.putheader("Content-Length", "10")
    writing.endheaders(b"01234")
    await wait_until(lambda: _is(idle, 423), 10, "the write to be counted")
    hold = world.folder / "holds" / "main"
    hold.parent.mkdir()
    hold.touch()
    assert (await about())["held"]
    assert await idle() == 423
    writing.send(b"56789")
    answered = await asyncio.to_thread(writing.getresponse)
    assert answered.status == 202
    answered.read()
    await wait_until(lambda: _is(idle, 204), 10, "the write to be over")
    writing.close()
    hold.unlink()
    assert not (await about())["held"]


async def _is(status: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await status() == wanted


async def test_held_writes_are_asked_to_come_back_while_reads_go_on(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "edge")
    hold = world.folder / "holds" / "main"
    hold.parent.mkdir()
    hold.touch()
    for method, path in (("POST", "blobs/uploads/"), ("GET", "blobs/uploads/x"), ("PUT", "manifests/v1")):
        status, headers, body = await world.get(f"/v2/team/app/{path}", method)
        assert (status, headers["retry-after"], headers["x-farshore-state"]) == (503, "5", "held"), path
        assert json.loads(body)["errors"][0]["code"] == "UNAVAILABLE"
    for name in ("v1", digest):
        assert (await world.get(f"/v2/team/app/manifests/{name}"))[0] == 200
    hold.unlink()
    assert (await world.get("/v2/team/app/blobs/uploads/", "POST"))[0] == 202


@pytest.mark.parametrize(
    "path",
    [
        "/v2/other%2Fapp/manifests/v1",
        "/v2/other/../team/app/manifests/v1",
        "/v2/other/%2e%2E/team/app/manifests/v1",
        "/v2//team/app/manifests/v1",
        "/v2/./team/app/manifests/v1",
        "/other/../v2/team/app/manifests/v1",
        "/v2/team/app/manifests/v1/..",
    ],
)
async def test_a_path_with_two_readings_is_refused(world: World, path: str) -> None:
    """aiohttp would tidy the path up, so the request is made by hand."""
    connection = http.client.HTTPConnection(world.addresses["edge"], timeout=120)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["errors"][0]["code"]) == (400, "NAME_INVALID")
    finally:
        connection.close()


async def test_an_encoded_digest_and_a_query_with_slashes_are_no_second_reading(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    connection = http.client.HTTPConnection(world.addresses["edge"], timeout=120)
    try:
        connection.request("GET", f"/v2/team/app/manifests/sha256%3A{digest.hex}?ns=a//b", headers=ACCEPT)
        answer = connection.getresponse()
        assert (answer.status, Digest.of(answer.read())) == (200, digest)
    finally:
        connection.close()


async def require_a_password(world: World) -> None:
    """Both registries let in only reader with the password `correct horse` (bcrypt)."""
    users = world.folder / "htpasswd"
    users.write_text("reader:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n")
    for name, server in (("primary", world.primary), ("replica", world.replica)):

        async def asks(url: str = f"{world.url(name)}/v2/") -> bool:
            try:
                async with world.session.get(url) as answer:
                    return answer.status == 401
            except aiohttp.ClientConnectionError:
                return False

        server.stop()
        server.probe = asks
        with (world.folder / f"{name}.yaml").open("a") as config:
            config.write(f"auth: {{htpasswd: {{realm: the realm of {name}, path: {users}}}}}\n")
        await server.start()


def basic(user_and_password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(user_and_password.encode()).decode()}


async def test_challenges_and_credentials_pass_unchanged_and_a_strangers_get_nowhere(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    await require_a_password(world)
    stranger, reader = basic("reader:guess"), basic("reader:correct horse")
    for path, asked in (
        ("", "primary"),
        ("team/app/manifests/v1", "primary"),
        (f"team/app/manifests/{digest}", "replica"),
    ):
        url = f"{world.url('edge')}/v2/{path}"
        for credentials in ({}, stranger):
            async with world.session.get(url, headers=ACCEPT | credentials) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"] == f'Basic realm="the realm of {asked}"'
        async with world.session.get(url, headers=ACCEPT | reader) as answer:
            assert answer.status == 200
    log = world.folder / "access.log"
    await wait_until(lambda: log.read_text().count('"status":200') == 3, 10, "the three that were let in to be logged")
    assert reader["Authorization"].split()[1] not in log.read_text()


async def test_the_access_log_says_where_each_byte_came_from(world: World) -> None:
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    elsewhere = world.push(NEW, "team/app:v2", "primary")
    for image in (digest, elsewhere):
        await world.get(f"/v2/team/app/manifests/{image}?token=in-the-query")
    world.primary.stop()
    for name in ("v1", "v9"):
        await world.get(f"/v2/team/app/manifests/{name}")

    def entries() -> list[dict[str, object]]:
        lines = (world.folder / "access.log").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return found if len(found) >= 4 else []

    logged = await wait_until(entries, 10, "four lines in the access log")
    assert [(entry["served"], entry["status"]) for entry in logged] == [
        ("local", 200),
        ("primary", 200),
        ("stale", 200),
        ("nobody", 503),
    ]
    assert {entry["registry"] for entry in logged} == {"main"}
    assert all(isinstance(entry["bytes_sent"], int) and entry["bytes_sent"] > 100 for entry in logged)
    assert "in-the-query" not in json.dumps(logged)


async def delete_at_the_primary(world: World, digest: Digest) -> None:
    async with world.session.delete(f"{world.url('primary')}/v2/team/app/manifests/{digest}") as answer:
        assert answer.status == 202


async def test_a_manifest_that_only_the_replica_has_is_pushed_again(world: World) -> None:
    """crane asks for a manifest by its digest too, and skips its push when it is told that the manifest is there."""
    if world.tools.crane is None:
        pytest.skip("crane isn't here; scripts/setup --for-tests builds it where Go is")
    digest = world.push(OLD, "team/app:v1", "primary")
    world.push(OLD, "other/app:v1", "primary")
    await world.replicate()
    await delete_at_the_primary(world, digest)
    assert (await world.get(f"/v2/team/app/manifests/{digest}", "HEAD"))[0] == 404
    edge = world.addresses["edge"]
    world.run(*(world.tools.crane, "copy", "--insecure"), f"{edge}/other/app:v1", f"{edge}/team/app@{digest}")
    async with world.session.head(f"{world.url('primary')}/v2/team/app/manifests/{digest}", headers=ACCEPT) as answer:
        assert answer.status == 200


async def test_without_the_primary_crane_does_not_take_the_replicas_manifest_for_its_push(world: World) -> None:
    if world.tools.crane is None:
        pytest.skip("crane isn't here; scripts/setup --for-tests builds it where Go is")
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    await delete_at_the_primary(world, digest)
    world.primary.stop()
    status, asked, _ = await world.get(f"/v2/team/app/manifests/{digest}", "HEAD")
    assert (status, asked["x-farshore-state"], "docker-content-digest" in asked) == (200, "stale", False)
    edge = world.addresses["edge"]
    command = (world.tools.crane, "copy", "--insecure", f"{edge}/team/app@{digest}", f"{edge}/team/app@{digest}")
    done = world.try_to_run(*command)
    assert done.returncode != 0
    assert "existing manifest" not in done.stderr


async def test_without_the_primary_a_registry_without_referrers_still_says_so(world: World) -> None:
    """404 for referrers says that the registry has no such list, not that it is elsewhere: clients then read a tag."""
    digest = world.push(OLD, "team/app:v1", "primary")
    await world.replicate()
    path = f"/v2/team/app/referrers/{digest}"
    assert (await world.get(path))[0] == 404
    world.primary.stop()
    status, headers, _ = await world.get(path)
    assert (status, headers["x-farshore-state"]) == (404, "stale")
    world.replica.stop()
    status, headers, _ = await world.get(path)
    assert (status, headers["x-farshore-state"]) == (503, "not-here-yet")


async def test_a_pull_that_the_replicas_end_cut_off_is_resumed_at_the_primary(world: World) -> None:
    for registry in ("primary", "replica"):
        put_big_blob(world.folder / registry, "team/app")
    url = f"{world.url('edge')}/v2/team/app/blobs/{DIGEST}"
    hashed, size = hashlib.sha256(), 0

    async def read(pull: aiohttp.ClientResponse, then: Callable[[], None] = lambda: None) -> None:
        """To the end; `then` is called once 32 MiB are there."""
        nonlocal size
        async for chunk in pull.content.iter_chunked(1 << 20):
            hashed.update(chunk)
            size += len(chunk)
            if size > 32 << 20:
                then()

    async with world.session.get(url) as pull:
        assert pull.headers["X-Farshore-Served"] == "local"
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(pull, then=world.replica.stop)
    assert size < SIZE
    async with world.session.get(url, headers={"Range": f"bytes={size}-"}) as rest:
        assert (rest.status, rest.headers["X-Farshore-Served"]) == (206, "primary")
        await read(rest)
    assert (size, f"sha256:{hashed.hexdigest()}") == (SIZE, DIGEST)
