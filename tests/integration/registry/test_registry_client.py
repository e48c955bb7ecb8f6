"""The client against real registries of both versions, and against servers that misbehave."""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from certificates import make_certificate
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
from farshore.registry.client import LARGE_BYTES, MAX_MANIFEST_BYTES
from farshore.registry.hashing import THREADS
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
    async with RegistryClient(registry.url, timeout_seconds=60) as entered:
        yield entered


@pytest_asyncio.fixture(loop_scope="session")
async def push(registry: RegistryProcess) -> AsyncIterator[Pusher]:
    async with aiohttp.ClientSession() as session:
        yield Pusher(registry.url, session)


async def test_what_was_pushed_is_read_and_hashed(
    client: RegistryClient, push: Pusher, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert await client.hash_blob(unique, layer, limit=size) == (layer.hex, size)
    for large_bytes in (0, LARGE_BYTES):
        monkeypatch.setattr("farshore.registry.client.LARGE_BYTES", large_bytes)
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
        lambda: client.hash_blob(unique, ABSENT, limit=10),
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
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    *,
    timeout_seconds: float = 60,
    tls: ssl.SSLContext | None = None,
    ca_file: str | None = None,
) -> AsyncIterator[RegistryClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        async with RegistryClient(url, timeout_seconds=timeout_seconds, ca_file=ca_file) as client:
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

    async with misbehaving(silent, timeout_seconds=0.3) as client:
        with pytest.raises(TimedOutError):
            await client.manifest("app", "v1")
        for limit in (None, 10):
            with pytest.raises(TimedOutError):
                await client.hash_blob("app", ABSENT, limit=limit)


async def test_readers_of_large_blobs_make_nobody_else_time_out_and_are_gone_at_once_when_cancelled() -> None:
    readers = 0

    async def large(request: web.Request) -> web.StreamResponse:
        nonlocal readers
        if request.method == "HEAD" or "small" in request.path:
            return web.Response(body=b"small")
        response = web.StreamResponse()
        await response.prepare(request)
        readers += 1
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.1)
        readers -= 1
        return response

    async with misbehaving(large) as client, asyncio.TaskGroup() as group:
        reading = [group.create_task(client.hash_blob("app", ABSENT, limit=10**9)) for _ in range(THREADS + 10)]
        await wait_until(lambda: readers == THREADS, 20, "a reader in each thread")
        waiting = group.create_task(client.hash_blob("small", ABSENT))
        assert await client.blob_size("app", ABSENT) == 5
        for task in reading:
            task.cancel()
        assert (await waiting)[1] == 5
        await wait_until(lambda: readers == 0, 20, "the connections to be cut")


async def test_a_connection_that_the_registry_closed_while_idle_is_replaced() -> None:
    closing: list[asyncio.Transport] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        closing.append(request.transport)
        return web.Response(body=b"content")

    async with misbehaving(answer) as client:
        for number in (1, 2, 2):
            assert (await client.hash_blob("app", ABSENT))[1] == 7
            assert len(set(closing)) == number
            if len(closing) == 1:
                closing[0].abort()


async def test_a_blob_is_read_over_tls_only_from_whom_the_ca_file_names(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"content")

    files = make_certificate(tmp_path, "registry")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files["certificate"], files["certificate_key"])
    expected = (hashlib.sha256(b"content").hexdigest(), 7)
    async with misbehaving(answer, tls=tls, ca_file=files["certificate"]) as client:
        assert [await client.hash_blob("app", ABSENT) for _ in range(2)] == [expected] * 2
        await client.check()
    async with misbehaving(answer, tls=tls) as client:
        for ask in (client.check, lambda: client.hash_blob("app", ABSENT)):
            with pytest.raises(UnreachableError, match="of no CA that is known here"):
                await ask()


async def test_a_blobs_answer_that_asks_for_a_pause_holds_back_the_next_request() -> None:
    asked: list[float] = []

    async def refuse(_request: web.Request) -> web.StreamResponse:
        asked.append(asyncio.get_running_loop().time())
        return web.Response(status=429, headers={"Retry-After": "1"})

    async with misbehaving(refuse) as client:
        for ask in (lambda: client.hash_blob("app", ABSENT), client.check, lambda: client.hash_blob("app", ABSENT)):
            with pytest.raises(RegistryAnsweredError, match="429"):
                await ask()
    first, second, third = asked
    assert second - first >= 0.9
    assert third - second >= 0.9


@pytest.mark.parametrize(
    ("spoken", "kind"),
    [
        (b"220 mail.example ESMTP\r\n", RegistryAnsweredError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, RegistryAnsweredError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", RegistryAnsweredError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", RegistryAnsweredError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", RegistryAnsweredError),
        (b"HTTP/1.1 307 Away\r\nLocation: /\xe9\r\n\r\n", RegistryAnsweredError),
        (b"HTTP/1.1 307 Away\r\nLocation: /a b\r\n\r\n", RegistryAnsweredError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3, UnreachableError),
        (b"", UnreachableError),
    ],
)
async def test_whatever_is_spoken_in_place_of_a_blob_is_one_of_the_answers(
    spoken: bytes, kind: type[RegistryError]
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(spoken)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, RegistryClient(f"http://127.0.0.1:{port}", timeout_seconds=60) as client:
        with pytest.raises(kind):
            await client.hash_blob("app", ABSENT)


@pytest.mark.parametrize("large_bytes", [0, LARGE_BYTES])
async def test_a_blob_that_only_trickles_has_timed_out_too(large_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farshore.registry.client.LARGE_BYTES", large_bytes)

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"1")
            await asyncio.sleep(0.05)

    async with misbehaving(trickle, timeout_seconds=0.3) as client:
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
        for limit in (None, 10):
            found = await client.hash_blob("home", ABSENT, limit=limit)
            assert found == (hashlib.sha256(content).hexdigest(), len(content))
            with pytest.raises(RegistryAnsweredError, match="another host"):
                await client.hash_blob("away", ABSENT, limit=limit)
            with pytest.raises(RegistryAnsweredError, match="without end"):
                await client.hash_blob("loop", ABSENT, limit=limit)


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
        for limit in (None, 100):
            with pytest.raises(RegistryAnsweredError, match="ended before"):
                await client.hash_blob("app", ABSENT, limit=limit)


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
