"""The client against real registries of both versions, and against servers that misbehave."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from registry_process import Pusher, RegistryProcess, blob_file, tag_link
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.oci import Digest, Repository, Tag
from farshore.registry import (
    ContentNotFoundError,
    MountedRegistry,
    RegistryAnsweredError,
    RegistryClient,
    RegistryError,
    Storage,
    TimedOutError,
    UnreachableError,
)
from farshore.registry.client import MAX_MANIFEST_BYTES
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

ABSENT = Digest.of(b"absent")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def registry(registry_program: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RegistryProcess]:
    root = tmp_path_factory.mktemp("registry") / "root"
    root.mkdir()
    process = RegistryProcess(registry_program, root)
    await process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def client(registry: RegistryProcess) -> AsyncIterator[RegistryClient]:
    async with RegistryClient(registry.url, timeout_seconds=5) as entered:
        yield entered


@pytest_asyncio.fixture(loop_scope="session")
async def push(registry: RegistryProcess) -> AsyncIterator[Pusher]:
    async with aiohttp.ClientSession() as session:
        yield Pusher(registry.url, session)


async def test_what_was_pushed_is_read_and_hashed(client: RegistryClient, push: Pusher, unique: str) -> None:
    image = await push.image(unique, "v1", b"layer")
    await client.check()
    for reference in ("v1", image.digest):
        fetched = await client.manifest(unique, reference)
        assert (fetched.content, fetched.media_type) == (image.content, image.media_type)
        assert await client.manifest_digest(unique, reference) == image.digest
    [layer] = image.layers
    size = await client.blob_size(unique, layer)
    assert await client.hash_blob(unique, layer) == (layer.hex, size)
    assert (await client.hash_blob(unique, layer, "sha512"))[0] != layer.hex
    assert (await client.hash_blob(unique, layer, limit=3))[1] > 3


async def test_an_index_is_served_as_it_was_pushed(client: RegistryClient, push: Pusher, unique: str) -> None:
    child = await push.image(unique, None, b"child")
    index = await push.index(unique, "v1", [child.descriptor()])
    assert await client.manifest_digest(unique, "v1") == index.digest
    assert (await client.manifest(unique, "v1")).content == index.content


async def test_tags_and_catalogue_are_listed_over_many_pages(
    client: RegistryClient, push: Pusher, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farshore.registry.client.PAGE_ENTRIES", (2, 3, 5, 7))
    for number in range(5):
        await push.image(f"{unique}/{number}", "v1", b"x")
        await push.image(unique, f"v{number}", b"x")
    assert sorted([tag async for tag in client.tags(unique)]) == [f"v{number}" for number in range(5)]
    mine = [name async for name in client.catalog() if name.startswith(f"{unique}/")]
    assert mine == [f"{unique}/{number}" for number in range(5)]


async def test_what_is_not_there_is_not_found(client: RegistryClient, push: Pusher, unique: str) -> None:
    await push.image(unique, "v1", b"x")
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: client.manifest(unique, "v2"),
        lambda: client.manifest_digest(unique, ABSENT),
        lambda: client.blob_size(unique, ABSENT),
        lambda: client.hash_blob(unique, ABSENT),
        lambda: client.manifest("nobody/here", "v1"),
    ]
    for ask in asked:
        with pytest.raises(ContentNotFoundError) as caught:
            await ask()
        assert caught.value.retry is RetryClass.REDISCOVER


async def test_a_truncated_blob_shows_in_its_size_and_an_empty_tag_link_is_an_error(
    client: RegistryClient, push: Pusher, registry: RegistryProcess, unique: str
) -> None:
    image = await push.image(unique, "v1", b"x" * 1000)
    data = blob_file(registry.root, image.layers[0])
    size = data.stat().st_size
    data.write_bytes(data.read_bytes()[:-1])
    assert await client.blob_size(unique, image.layers[0]) == size - 1
    tag_link(registry.root, unique, "v1").write_bytes(b"")
    with pytest.raises(RegistryAnsweredError) as caught:
        await client.manifest_digest(unique, "v1")
    assert caught.value.status == 500


@contextlib.asynccontextmanager
async def misbehaving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], *, timeout_seconds: float = 0.3
) -> AsyncIterator[RegistryClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with RegistryClient(f"http://127.0.0.1:{port}", timeout_seconds=timeout_seconds) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_nobody_listening_is_unreachable() -> None:
    async with RegistryClient(f"http://127.0.0.1:{free_port()}", timeout_seconds=1) as client:
        with pytest.raises(UnreachableError, match="refused"):
            await client.check()


async def test_silence_before_and_within_an_answer_is_timed_out() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        if "blobs" in request.path:
            await response.prepare(request)
            await response.write(b"12345")
        await asyncio.sleep(60)
        return response

    async with misbehaving(silent) as client:
        with pytest.raises(TimedOutError):
            await client.manifest("app", "v1")
        with pytest.raises(TimedOutError):
            await client.hash_blob("app", ABSENT)


async def test_readers_of_large_blobs_make_nobody_else_time_out() -> None:
    readers = 0

    async def large(request: web.Request) -> web.StreamResponse:
        nonlocal readers
        if request.method == "HEAD":
            return web.Response(body=b"small")
        readers += 1
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)
            await asyncio.sleep(0.1)

    async with misbehaving(large, timeout_seconds=2) as client, asyncio.TaskGroup() as group:
        reading = [group.create_task(client.hash_blob("app", ABSENT, limit=10**9)) for _ in range(100)]
        await wait_until(lambda: readers == 100, 20, "a hundred readers")
        assert await client.blob_size("app", ABSENT) == 5
        for task in reading:
            task.cancel()


async def test_a_blob_that_only_trickles_has_timed_out_too() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"1")
            await asyncio.sleep(0.05)

    async with misbehaving(trickle) as client:
        with pytest.raises(TimedOutError):
            await client.hash_blob("app", ABSENT, limit=1000)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 206])
async def test_any_other_answer_is_told_with_its_status_and_no_secret(status: int) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Set-Cookie": "a=secret"}, text="secret")

    async with misbehaving(refuse) as client:
        with pytest.raises(RegistryAnsweredError) as caught:
            await client.manifest("app", "v1")
        assert caught.value.status == status
        assert (caught.value.retry is RetryClass.OPERATOR) == (status in (401, 403))
        assert "secret" not in str(caught.value)


async def test_a_redirect_is_followed_at_home_only() -> None:
    content = b"content"

    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return web.Response(body=content)
        if "home" in request.path:
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if "loop" in request.path:
            raise web.HTTPTemporaryRedirect(request.path)
        raise web.HTTPTemporaryRedirect("http://localhost:1/elsewhere")

    async with misbehaving(redirect) as client:
        assert await client.hash_blob("home", ABSENT) == (hashlib.sha256(content).hexdigest(), len(content))
        with pytest.raises(RegistryAnsweredError, match="another host"):
            await client.hash_blob("away", ABSENT)
        with pytest.raises(RegistryAnsweredError, match="without end"):
            await client.hash_blob("loop", ABSENT)


@pytest.mark.parametrize("location", ["", "mailto:x", "http://[::1", "http://127.0.0.1:99999999/"])
async def test_a_redirect_to_nowhere_is_an_answer_like_any_other(location: str) -> None:
    async def astray(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": location})

    async with misbehaving(astray) as client:
        with pytest.raises(RegistryAnsweredError):
            await client.blob_size("app", ABSENT)


async def test_what_can_be_compressed_on_the_way_is_asked_for_as_it_is() -> None:
    async def tell(request: web.Request) -> web.StreamResponse:
        return web.Response(body=request.headers.get("Accept-Encoding", "anything").encode())

    async with misbehaving(tell) as client:
        assert (await client.manifest("app", "v1")).content == b"identity"


@pytest.mark.parametrize(
    ("body", "link"), [("[" * 100_000, ""), ('{"tags": ["v1"]}', '<http://[::1/?last=v1>; rel="next"')]
)
async def test_a_list_that_makes_no_sense_is_an_answer_like_any_other(body: str, link: str) -> None:
    async def strange(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, headers={"Link": link})

    async with misbehaving(strange) as client:
        with pytest.raises(RegistryAnsweredError):
            [tag async for tag in client.tags("app")]


async def test_a_manifest_without_end_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * (MAX_MANIFEST_BYTES + 1))

    async with misbehaving(endless) as client:
        with pytest.raises(RegistryAnsweredError, match="more than"):
            await client.manifest("app", "v1")


async def test_a_body_that_ends_early_is_no_content() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with misbehaving(cut) as client:
        with pytest.raises(RegistryAnsweredError, match="ended before"):
            await client.hash_blob("app", ABSENT)


async def test_a_head_without_digest_or_length_is_no_answer() -> None:
    async def bare(request: web.Request) -> web.StreamResponse:
        return web.StreamResponse(headers={"Transfer-Encoding": "chunked"})

    async with misbehaving(bare) as client:
        with pytest.raises(RegistryAnsweredError, match="no digest"):
            await client.manifest_digest("app", "v1")
        with pytest.raises(RegistryAnsweredError, match="no length"):
            await client.blob_size("app", ABSENT)


async def test_the_registrys_volume_gives_the_same_answers(
    registry: RegistryProcess, client: RegistryClient, push: Pusher, unique: str
) -> None:
    image = await push.image(unique, "v1", b"layer")
    index = await push.index(unique, None, [image.descriptor()])
    elsewhere = await push.image(f"{unique}/other", "v1", b"other")
    gone = await push.image(unique, "gone", b"gone")
    await push.delete(unique, gone.digest)
    repository, v1 = Repository(unique), Tag("v1")

    async def answers(site: RegistryClient | MountedRegistry) -> list[object]:
        """What it says, or the kind of its failure."""
        manifests = [site.manifest(repository, one) for one in (image.digest, index.digest, gone.digest, ABSENT)]
        digests = [site.manifest_digest(repository, one) for one in (v1, image.digest, gone.digest)]
        sizes = [site.blob_size(repository, one) for one in (image.layers[0], elsewhere.layers[0], ABSENT)]
        hashes = [site.hash_blob(repository, one) for one in (image.layers[0], elsewhere.layers[0], gone.layers[0])]
        found = await asyncio.gather(*manifests, *digests, *sizes, *hashes, return_exceptions=True)
        return [type(one) if isinstance(one, RegistryError) else one for one in found]

    async with MountedRegistry(Storage(registry.root, mount_point=False)) as volume:
        assert await answers(volume) == await answers(client)
