"""Every answer that a sender can get, over real HTTP, and what is in Kafka afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from notifications import CONTENT_TYPE, envelope, push
from receiver_process import TOKEN, Answer, ReceiverProcess, post, records_of
from receiver_topology import topology_text
from waiting import wait_until

from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.records.cloudevent import CloudEvent
from farshore.records.events import Event, EventKind
from farshore.records.reconciles import RECONCILE_TYPE, ReconcileRequested

pytestmark = pytest.mark.integration


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"] == f"urn:farshore:problem:{code}"
    assert answer.body["status"] == status
    assert answer.body["title"]
    assert answer.body["detail"]


async def test_an_accepted_event_is_in_kafka_with_its_trace(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    trace = "0123456789abcdef0123456789abcdef"
    event = push("lib/app")
    answer = await post(receiver, unique, envelope(event), headers={"traceparent": f"00-{trace}-00000000000000aa-01"})
    assert (answer.status, answer.counts) == (202, (1, 0, 0))
    (record,) = await records_of(bootstrap, EVENTS, unique)
    written = Event.from_json(record.value, "here")
    cloudevent = CloudEvent.from_record(record.headers, record.value, "here")
    assert (written.kind, written.repository, written.tag) == (EventKind.MANIFEST_PUSHED, "lib/app", "v1")
    assert written.digest == event["target"]["digest"]
    assert cloudevent.id == written.id
    assert cloudevent.traceparent is not None
    assert cloudevent.traceparent.startswith(f"00-{trace}-")
    assert "00000000000000aa" not in cloudevent.traceparent


async def test_an_event_without_a_trace_starts_one(receiver: ReceiverProcess, bootstrap: str, unique: str) -> None:
    await post(receiver, unique, envelope(push()))
    (record,) = await records_of(bootstrap, EVENTS, unique)
    assert CloudEvent.from_record(record.headers, record.value, "here").traceparent


async def test_an_envelope_keeps_its_order_and_loses_only_its_bad_event(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    good = [push(tag=f"v{number}") for number in range(20)]
    bad = push(tag="not a tag")
    answer = await post(receiver, unique, envelope(*good[:10], bad, *good[10:]))
    assert (answer.status, answer.counts) == (202, (20, 0, 1))
    records = await records_of(bootstrap, EVENTS, unique)
    assert [Event.from_json(record.value, "here").tag for record in records] == [f"v{number}" for number in range(20)]
    (letter,) = await records_of(bootstrap, DEADLETTER, unique)
    assert json.loads(letter.value) == {"events": [bad]}
    headers = dict(letter.headers)
    assert headers["farshore_code"] == b"malformed-event"
    assert headers["original_content-type"] == CONTENT_TYPE.encode()
    assert not any(TOKEN.encode() in value for value in headers.values())


async def test_a_notification_that_is_sent_again_is_not_written_again(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    first, second = envelope(push(tag="v1")), envelope(push(tag="v2"))
    for body in (first, second, first, first, second):
        assert (await post(receiver, unique, body)).status == 202
    records = await records_of(bootstrap, EVENTS, unique)
    assert [Event.from_json(record.value, "here").tag for record in records] == ["v1", "v2"]
    assert await receiver.metric("farshore_receiver_duplicate_events_total", registry=unique) == 3


async def test_a_registry_that_restarted_is_to_be_reconciled(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    for number, process in enumerate(["process-1", "process-2", "process-2", "process-1", "process-3"]):
        body = envelope(push(tag=f"v{number}", source={"instanceID": process}))
        assert (await post(receiver, unique, body)).counts == (1, 0, 0)
    records = await records_of(bootstrap, EVENTS, unique)
    asked = [record for record in records if dict(record.headers)["ce_type"] == RECONCILE_TYPE.encode()]
    requests = [ReconcileRequested.from_json(record.value, "here") for record in asked]
    again = ReconcileRequested.because(unique, "instance process-2", "", requests[0].at)
    assert [request.registry for request in requests] == [unique, unique]
    assert requests[0].id == again.id != requests[1].id
    assert len(records) == 7


async def test_a_body_that_cannot_be_parsed_is_kept_byte_for_byte(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    bodies = [b"", b"\xff", b"{", b"[" * 100_000, b'{"events": 1}', b"null"]
    for body in bodies:
        answer = await post(receiver, unique, body)
        assert (answer.status, answer.counts) == (202, (0, 0, 1))
    assert [letter.value for letter in await records_of(bootstrap, DEADLETTER, unique)] == bodies


async def test_a_body_of_nothing_but_bad_events_is_one_dead_letter_and_holds_nobody_up(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    body = json.dumps({"events": [1] * 100_000 + [push("lib/app")]}).encode()
    answer = await post(receiver, unique, body)
    assert (answer.status, answer.counts) == (202, (1, 0, 1))
    (letter,) = await records_of(bootstrap, DEADLETTER, unique)
    assert letter.value == body[:900_000]
    assert dict(letter.headers)["farshore_code"] == b"malformed-event"
    assert b"100000 of its events" in dict(letter.headers)["farshore_reason"]
    assert len(await records_of(bootstrap, EVENTS, unique)) == 1


async def test_an_event_of_another_registrys_repository_is_a_dead_letter(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    answer = await post(receiver, unique, envelope(push("team/app"), push("lib/app")))
    assert answer.counts == (1, 0, 1)
    (letter,) = await records_of(bootstrap, DEADLETTER, unique)
    assert dict(letter.headers)["farshore_code"] == b"wrong-registry"
    assert (await post(receiver, f"{unique}-team", envelope(push("team/app")))).counts == (1, 0, 0)


async def test_json_of_an_unknown_format_is_kept(receiver: ReceiverProcess, bootstrap: str, unique: str) -> None:
    answer = await post(receiver, unique, b'{"type": "PUSH_ARTIFACT"}', headers={"Content-Type": "application/json"})
    assert answer.status == 202
    (letter,) = await records_of(bootstrap, DEADLETTER, unique)
    assert dict(letter.headers)["farshore_code"] == b"unknown-format"


async def test_pulls_and_empty_envelopes_are_accepted_and_leave_nothing(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    assert (await post(receiver, unique, envelope(push(action="pull")))).counts == (0, 1, 0)
    assert (await post(receiver, unique, envelope())).status == 202
    assert not await records_of(bootstrap, EVENTS, unique)
    assert not await records_of(bootstrap, DEADLETTER, unique)
    assert await receiver.metric("farshore_receiver_dropped_total", registry=unique, reason="pull") == 1


async def test_a_sender_without_a_good_token_is_refused(receiver: ReceiverProcess, unique: str) -> None:
    missing = await post(receiver, unique, envelope(push()), token="")
    assert_problem(missing, 401, "no-token")
    assert missing.headers["WWW-Authenticate"].startswith("Bearer")
    wrong = await post(receiver, unique, envelope(push()), token="guess")
    assert_problem(wrong, 401, "wrong-token")
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer")
    other = await post(receiver, unique, envelope(push()), token=f"{TOKEN}-{unique}-team")
    assert_problem(other, 403, "other-registry")


async def test_only_a_good_token_learns_that_a_registry_does_not_exist(receiver: ReceiverProcess, unique: str) -> None:
    assert_problem(await post(receiver, "nothing", b"", token=f"{TOKEN}-{unique}"), 404, "unknown-registry")
    assert_problem(await post(receiver, "nothing", b"", token="guess"), 401, "wrong-token")
    assert_problem(await post(receiver, "nothing", b"", token=""), 401, "no-token")


async def test_other_paths_methods_and_types_are_problems(receiver: ReceiverProcess, unique: str) -> None:
    method = await post(receiver, unique, None, method="PUT")
    assert_problem(method, 405, "wrong-method")
    assert method.headers["Allow"] == "POST"
    assert_problem(await post(receiver, f"{unique}/more", b""), 404, "unknown-path")
    plain = await post(receiver, unique, b"x", headers={"Content-Type": "text/plain"})
    assert_problem(plain, 415, "not-a-notification")


async def test_a_new_process_of_a_registry_is_counted_and_logged(receiver: ReceiverProcess, unique: str) -> None:
    for instance in ("one", "one", "two"):
        await post(receiver, unique, envelope(push(source={"instanceID": instance})))
    assert await receiver.metric("farshore_receiver_registry_restarts_total", registry=unique) == 1
    assert "registry restarted, notifications may be lost" in receiver.log()


async def test_tokens_rotate_without_a_restart_and_are_never_logged(receiver: ReceiverProcess, unique: str) -> None:
    old, new = f"{TOKEN}-{unique}", "a-token-to-rotate-to"

    async def works(token: str) -> bool:
        return (await post(receiver, unique, envelope(push()), token=token)).status == 202

    receiver.token_file(unique).write_text(f"{old}\n{new}\n")
    await wait_until(lambda: works(new), 10, "the new token")
    assert await works(old)
    receiver.token_file(unique).write_text(f"{new}\n")

    async def refused() -> bool:
        return not await works(old)

    await wait_until(refused, 10, "the old token's end")
    assert await works(new)
    assert old not in receiver.log()
    assert new not in receiver.log()


async def send_raw(receiver: ReceiverProcess, head: str, body: bytes) -> bytes:
    """Send bytes as they are and read the answer's first bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    try:
        writer.write(head.encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(120):
            return await reader.read(4096)
    finally:
        writer.close()


def head_of(registry: str, *lines: str) -> str:
    return "\r\n".join(
        [
            f"POST /v1/notifications/{registry} HTTP/1.1",
            "Host: receiver",
            f"Authorization: Bearer {TOKEN}-{registry}",
            f"Content-Type: {CONTENT_TYPE}",
            *lines,
        ]
    )


@pytest.fixture
async def narrow(bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    """A receiver with small limits."""
    limits = {
        "FARSHORE_RECEIVER_MAX_BODY_BYTES": "4096",
        "FARSHORE_RECEIVER_MAX_DEAD_LETTER_BYTES": "2048",
        "FARSHORE_RECEIVER_BODY_TIMEOUT": "2",
    }
    async with ReceiverProcess(tmp_path / "narrow", bootstrap, {unique: ""}, environ=limits) as process:
        yield process


async def test_too_long_a_body_is_kept_in_part_and_never_refused(
    narrow: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    async def pieces() -> Any:
        for _ in range(1000):
            yield b"x" * 1000

    assert (await post(narrow, unique, b"x" * 1_000_000)).status == 202
    assert (await post(narrow, unique, pieces())).status == 202
    for letter in await records_of(bootstrap, DEADLETTER, unique):
        assert letter.value == b"x" * 2048
        assert dict(letter.headers)["farshore_code"] == b"too-large"
    assert await narrow.metric("farshore_receiver_dead_letters_total", registry=unique, code="too-large") == 2


async def test_reading_stops_at_the_limit_of_a_body_that_has_not_ended(narrow: ReceiverProcess, unique: str) -> None:
    answer = await send_raw(narrow, head_of(unique, "Content-Length: 999999999"), b"x" * 10_000)
    assert answer.startswith(b"HTTP/1.1 202")


async def test_a_slow_body_is_refused_in_time(narrow: ReceiverProcess, bootstrap: str, unique: str) -> None:
    answer = await send_raw(narrow, head_of(unique, "Content-Length: 100"), b'{"events":')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert not await records_of(bootstrap, DEADLETTER, unique)


async def test_too_many_requests_at_once_are_told_to_come_back(bootstrap: str, unique: str, tmp_path: Path) -> None:
    one_at_a_time = {"FARSHORE_RECEIVER_MAX_REQUESTS": "1", "FARSHORE_RECEIVER_BODY_TIMEOUT": "60"}
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=one_at_a_time) as receiver:
        slow = asyncio.create_task(send_raw(receiver, head_of(unique, "Content-Length: 100"), b"{"))

        async def is_underway() -> bool:
            return await receiver.metric("farshore_receiver_requests_underway") == 1

        await wait_until(is_underway, 20, "the slow request")
        refused = await post(receiver, unique, envelope(push()))
        assert_problem(refused, 503, "too-busy")
        assert refused.headers["Retry-After"] == "1"
        slow.cancel()

        async def accepted() -> bool:
            return (await post(receiver, unique, envelope(push()))).status == 202

        await wait_until(accepted, 20, "an answer 202 once the slow sender is gone")


async def test_a_registry_that_the_topology_gets_is_taken_in_without_a_restart(
    receiver: ReceiverProcess, unique: str
) -> None:
    other = f"{unique}-new"
    receiver.token_file(other).write_text(f"{TOKEN}-{other}\n")
    assert_problem(await post(receiver, other, envelope(push())), 401, "wrong-token")
    file = receiver.folder / "topology.yaml"
    names = {unique: "", f"{unique}-team": "team/", other: "new/"}
    file.write_text(topology_text(names, tokens={name: f"file:{receiver.token_file(name)}" for name in names}))

    async def is_taken() -> bool:
        return (await post(receiver, other, envelope(push("new/app")))).status == 202

    await wait_until(is_taken, 20, "the new registry")
    assert (await post(receiver, unique, envelope(push()))).status == 202
