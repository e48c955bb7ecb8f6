"""Clients that are slow, silent, endless or too many: each is told why where it can be, and none stays for ever."""

import asyncio
import contextlib
import itertools
import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from notifications import envelope, push
from process_usage import most_resident_mib
from receiver_process import TOKEN, ReceiverProcess, post
from waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
async def strict(bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    """A receiver without patience."""
    async with ReceiverProcess(
        tmp_path / "strict", bootstrap, {unique: ""}, environ={"FARSHORE_RECEIVER_HEAD_TIMEOUT": "0.5"}
    ) as process:
        yield process


async def all_that_comes(receiver: ReceiverProcess, *pieces: bytes) -> bytes:
    """What a client gets that sends `pieces` and then waits until the other side closes the connection."""
    return await asyncio.to_thread(_talk, receiver.port, b"".join(pieces[:-1]), pieces[-1:])


async def dribble(receiver: ReceiverProcess, first: bytes, piece: bytes) -> bytes:
    """What a client gets that never stops sending a little, until it is cut off."""
    return await asyncio.to_thread(_talk, receiver.port, first, itertools.repeat(piece))


def _talk(port: int, first: bytes, pieces: Iterable[bytes]) -> bytes:
    """Send, and read in between. A reset takes nothing away that came before it, other than with asyncio's streams."""
    answer, unsent = b"", b""
    deadline = time.monotonic() + 300
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setblocking(False)
        waiting = itertools.chain([first], pieces)
        while time.monotonic() < deadline:
            unsent = unsent or next(waiting, b"")
            with contextlib.suppress(ConnectionError, BlockingIOError):
                unsent = unsent[connection.send(unsent) :]
            if not select.select([connection], [], [], 0.05)[0]:
                continue
            try:
                more = connection.recv(65536)
            except ConnectionError:
                return answer
            if not more:
                return answer
            answer += more
    raise AssertionError(f"the connection stayed open; until then came {answer!r}")


def head(registry: str, *lines: str, token: str | None = None) -> bytes:
    return "\r\n".join(
        [
            f"POST /v1/notifications/{registry} HTTP/1.1",
            "Host: receiver",
            f"Authorization: Bearer {token or f'{TOKEN}-{registry}'}",
            *lines,
            "",
        ]
    ).encode()


def assert_refused(answer: bytes, status: int, code: str) -> None:
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json\r\n" in answer
    assert b"connection: close\r\n" in answer
    assert b"urn:farshore:problem:%s" % code.encode() in answer


async def test_headers_that_are_dribbled_are_refused_in_time(strict: ReceiverProcess, unique: str) -> None:
    assert_refused(await dribble(strict, head(unique), b"X-More: x\r\n"), 408, "slow-head")
    assert_refused(await dribble(strict, b"P", b""), 408, "slow-head")


async def test_the_second_request_of_a_connection_has_no_more_time_than_the_first(
    strict: ReceiverProcess, unique: str
) -> None:
    answer = await dribble(strict, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\n", b"X-More: x\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert_refused(answer[answer.index(b"HTTP/1.1 4") :], 408, "slow-head")


async def test_a_pile_of_requests_is_not_taken_for_one_long_head(receiver: ReceiverProcess) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request.replace(b"Host", b"Connection: close\r\nHost")
    answer = await all_that_comes(receiver, request * 3000 + last[:9], last[9:])
    assert answer.count(b"HTTP/1.1 200") == 3001


async def test_a_client_that_says_nothing_is_cut_off(strict: ReceiverProcess) -> None:
    assert await all_that_comes(strict) == b""


async def test_a_body_that_was_answered_early_is_not_read_for_ever(strict: ReceiverProcess, unique: str) -> None:
    refused = head(unique, "Content-Length: 1000000", "", token="guess")
    assert (await dribble(strict, refused, b"x")).startswith(b"HTTP/1.1 401")


async def test_headers_without_end_are_refused(receiver: ReceiverProcess, unique: str) -> None:
    for fill in (b"X-More: x\r\n", b"x"):
        begun = head(unique) + b"X-One: x" + b"\r\n" * (fill != b"x")
        begun += fill * ((64 * 1024 - len(begun)) // len(fill))
        # The last piece, which is one too many, is a small one: all of it is read before the connection is closed.
        assert_refused(await all_that_comes(receiver, begun, fill * 20), 431, "long-head")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"])
async def test_what_is_not_http_is_told_so(strict: ReceiverProcess, sent: bytes) -> None:
    assert_refused(await all_that_comes(strict, sent), 400, "not-http")


async def test_a_client_that_reads_no_answers_is_cut_off(strict: ReceiverProcess) -> None:
    def ask_for_ever() -> None:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(300)
            connection.connect(("127.0.0.1", strict.port))
            while True:
                connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 200)

    with pytest.raises(ConnectionError):
        await asyncio.to_thread(ask_for_ever)
    assert await strict.metric("farshore_receiver_cut_connections_total", reason="unread-answer") == 1


async def test_requests_that_pile_up_take_bounded_memory(receiver: ReceiverProcess) -> None:
    """A client that reads its answers, so that it isn't cut off, and asks far faster than it is answered."""

    def ask_much() -> None:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=300) as connection:
            reading = threading.Thread(target=lambda: all(iter(lambda: connection.recv(1 << 20), b"")))
            reading.start()
            for _ in range(200):
                connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
            connection.shutdown(socket.SHUT_WR)
            reading.join()

    before = most_resident_mib(receiver.pid)
    await asyncio.to_thread(ask_much)
    assert most_resident_mib(receiver.pid) < before + 60


async def test_one_connection_too_many_is_told_to_come_back(bootstrap: str, unique: str, tmp_path: Path) -> None:
    environ = {"FARSHORE_RECEIVER_MAX_CONNECTIONS": "3", "FARSHORE_RECEIVER_HEAD_TIMEOUT": "60"}
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=environ) as receiver:
        held = [await asyncio.open_connection("127.0.0.1", receiver.port) for _ in range(3)]
        for _, writer in held:
            writer.write(b"P")

        async def is_full() -> bool:
            answer = await all_that_comes(receiver, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return answer.startswith(b"HTTP/1.1 503")

        await wait_until(is_full, 60, "three open connections")
        answer = await all_that_comes(receiver, head(unique, "Content-Length: 2", ""), b"{}")
        assert_refused(answer, 503, "too-many-connections")
        assert b"retry-after: 1\r\n" in answer
        for _, writer in held:
            writer.close()

        async def is_accepted() -> bool:
            return (await post(receiver, unique, envelope(push()))).status == 202

        await wait_until(is_accepted, 60, "an answer 202 once the others are gone")
