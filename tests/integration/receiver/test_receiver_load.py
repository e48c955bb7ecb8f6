"""Ten thousand connections at once, and tokens that change while notifications come."""

import asyncio
import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from notifications import envelope, push
from receiver_process import TOKEN, ReceiverProcess, post
from waiting import wait_until

pytestmark = pytest.mark.integration

CONNECTIONS = 10_000


@pytest.fixture
def open_files() -> None:
    """Room for the client's ends of the connections; the receiver makes its own."""
    needed = CONNECTIONS + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS * 9 // 8 + 500:
        pytest.skip(f"this machine allows a process {hard} open files, {CONNECTIONS} connections need more")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def test_ten_thousand_connections_hold_nobody_up(
    open_files: None, bootstrap: str, unique: str, tmp_path: Path
) -> None:
    environ = {"FARSHORE_RECEIVER_HEAD_TIMEOUT": "60", "FARSHORE_RECEIVER_MAX_CONNECTIONS": str(CONNECTIONS + 100)}
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=environ) as receiver:
        with ExitStack() as held:
            for _ in range(CONNECTIONS):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=300))
                connection.sendall(b"POST /v1/notifications/")

            async def all_are_open() -> bool:
                return await receiver.metric("farshore_receiver_connections") >= CONNECTIONS

            await wait_until(all_are_open, 60, f"{CONNECTIONS} open connections")
            assert (await post(receiver, unique, envelope(push()))).status == 202

        async def all_are_closed() -> bool:
            return await receiver.metric("farshore_receiver_connections") < 100

        await wait_until(all_are_closed, 60, "the connections' end")


async def test_while_tokens_rotate_no_valid_one_is_refused_and_a_revoked_one_never_comes_back(
    receiver: ReceiverProcess, unique: str
) -> None:
    old, new = f"{TOKEN}-{unique}", "the-token-that-follows"
    answers: dict[str, list[int]] = {old: [], new: []}
    after: dict[str, list[int]] = {old: [], new: []}
    turns = {old: 401, new: 202}
    done = asyncio.Event()

    async def sender(token: str) -> None:
        while not done.is_set():
            turned = turns[token] in answers[token]
            status = (await post(receiver, unique, envelope(push()), token=token)).status
            answers[token].append(status)
            if turned:
                after[token].append(status)

    def replace(text: str) -> None:
        """As Kubernetes does it: at once, by another file."""
        fresh = receiver.token_file(unique).with_suffix(".fresh")
        fresh.write_text(text)
        os.replace(fresh, receiver.token_file(unique))  # noqa: PTH105

    senders = [asyncio.create_task(sender(token)) for token in (old, new) for _ in range(3)]
    try:
        await wait_until(lambda: len(answers[old]) > 10, 60, "notifications")
        replace(f"{old}\n{new}\n")
        await wait_until(lambda: 202 in answers[new], 60, "the new token")
        seen = len(answers[old])
        await wait_until(lambda: len(answers[old]) > seen + 10, 60, "more notifications")
        assert set(answers[old]) == {202}
        replace(f"{new}\n")
        await wait_until(lambda: 401 in answers[old], 60, "the old token's end")
        await wait_until(lambda: len(after[old]) > 10 and len(after[new]) > 10, 60, "more notifications")
    finally:
        done.set()
        await asyncio.gather(*senders)
    # sent only after somebody had the other answer, which those that were on their way may still follow
    assert {token: set(statuses) for token, statuses in after.items()} == {old: {401}, new: {202}}
