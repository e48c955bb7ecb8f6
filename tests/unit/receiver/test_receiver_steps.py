"""The small steps: bodies, dead letters, restarts, quiet logs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from farshore_receiver.adapters import Rejected
from farshore_receiver.give_up import dead_letter
from farshore_receiver.quieter import Quieter
from farshore_receiver.read_body import Body, SenderGoneError, SlowBodyError, read_body
from farshore_receiver.restarts import Instances

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def chunks(*pieces: bytes, then: dict[str, Any] | None = None) -> Any:
    """An ASGI receive of these pieces; it counts what was taken."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append(then or {"type": "http.request", "body": b"", "more_body": False})

    async def generate() -> AsyncIterator[dict[str, Any]]:
        for message in messages:
            yield message

    return generate().__anext__


async def test_a_body_in_pieces_is_put_together() -> None:
    body = await read_body(chunks(b"ab", b"", b"cd"), limit_bytes=4, timeout_seconds=5)
    assert body == Body(b"abcd")


async def test_reading_stops_at_the_limit() -> None:
    taken = 0

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    body = await read_body(endless, limit_bytes=25, timeout_seconds=5)
    assert body == Body(b"x" * 25, cut=True)
    assert taken == 3


async def test_a_sender_that_goes_away_leaves_nothing_half_read() -> None:
    with pytest.raises(SenderGoneError):
        await read_body(chunks(b"ab", then={"type": "http.disconnect"}), limit_bytes=9, timeout_seconds=5)


async def test_a_body_that_never_ends_is_given_up() -> None:
    async def silent() -> dict[str, Any]:
        return await asyncio.Future()

    with pytest.raises(SlowBodyError):
        await read_body(silent, limit_bytes=9, timeout_seconds=0.01)


def letter(value: bytes, headers: list[tuple[bytes, bytes]], limit: int = 100) -> Any:
    return dead_letter(Rejected("code", "why"), registry="main", value=value, headers=headers, at=NOW, limit=limit)


def test_a_dead_letter_has_no_secret() -> None:
    headers = [(b"authorization", b"Bearer s3cret"), (b"content-type", b"a/b"), (b"x-auth-token", b"s3cret")]
    assert letter(b"", headers).original_headers == (("content-type", b"a/b"),)
    assert not any(b"s3cret" in value for _, value in letter(b"", headers).headers())


def test_a_dead_letter_keeps_the_beginning_of_what_is_too_long() -> None:
    kept = letter(b"x" * 101, [])
    assert kept.value == b"x" * 100
    assert kept.reason == "why (only the first 100 bytes are kept)"


def test_headers_of_a_dead_letter_are_bounded() -> None:
    kept = letter(b"", [(b"a", b"x" * 10_000), (b"b", b"x" * 10_000)])
    assert [name for name, _ in kept.original_headers] == ["a"]


def test_the_first_process_of_a_registry_is_no_restart_and_the_next_is() -> None:
    instances = Instances("main")
    assert [instances.saw(name) for name in ["a", "a", "b", "a", "b", "c"]] == [False, False, True, False, False, True]


def test_asking_whether_it_is_a_restart_takes_no_note_of_it() -> None:
    instances = Instances("main")
    assert not instances.is_restart("a")
    instances.saw("a")
    assert [instances.is_restart(name) for name in ["a", "b", "b"]] == [False, True, True]


def test_a_message_is_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    quieter = Quieter(logging.getLogger("quiet"), monotonic=lambda: now)
    for _ in range(5):
        quieter.say(logging.ERROR, "refused", "main")
    quieter.say(logging.ERROR, "refused", "team")
    assert len(caplog.records) == 2
    now = 10.0
    quieter.say(logging.ERROR, "refused", "main")
    assert caplog.records[-1].farshore_fields["left_out"] == 4  # type: ignore[attr-defined]
