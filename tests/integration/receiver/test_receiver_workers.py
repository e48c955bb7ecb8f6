"""Several processes behind one port."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from notifications import envelope, push
from receiver_process import ReceiverProcess, post, records_of
from waiting import wait_until

from farshore.bus.topics import EVENTS
from farshore.records.events import Event

pytestmark = pytest.mark.integration


@pytest.fixture
async def pair(bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    """Two workers."""
    environ = {"FARSHORE_RECEIVER_WORKERS": "2"}
    async with ReceiverProcess(tmp_path / "pair", bootstrap, {unique: ""}, environ=environ) as process:
        await wait_until(lambda: len(logged(process, "connected to Kafka")) >= 2, 60, "two workers at work")
        yield process


def logged(receiver: ReceiverProcess, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in receiver.log().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in lines if line["message"] == message]


def workers(receiver: ReceiverProcess) -> set[int]:
    """The processes that were started and are there."""
    return {line["worker_pid"] for line in logged(receiver, "worker started") if is_there(line["worker_pid"])}


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def send_all(receiver: ReceiverProcess, registry: str, tags: list[str]) -> None:
    """Each tag on a connection of its own, again until it is accepted."""
    for tag in tags:
        body = envelope(push(tag=tag))
        while True:
            try:
                if (await post(receiver, registry, body)).status == 202:
                    break
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.02)


async def test_both_take_their_part_and_their_metrics_are_added_up(
    pair: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    tags = [f"v{number}" for number in range(60)]
    await send_all(pair, unique, tags)
    assert await pair.metric("farshore_receiver_events_total", registry=unique) == 60
    assert await pair.metric("farshore_receiver_requests_total", registry=unique, outcome="accepted") == 60
    # each tells of the first notification that it gets: of 60 connections both have some, but for one case in 2**59
    assert len(logged(pair, "first notification since start")) == 2
    async with aiohttp.ClientSession() as session:
        for url, path, status in (
            (pair.management_url, "/readyz", 200),
            (pair.management_url, "/livez", 200),
            (pair.url, "/metrics", 404),
        ):
            async with session.get(url + path) as answer:
                assert answer.status == status, (url, path)
    written = [Event.from_json(record.value, "here").tag for record in await records_of(bootstrap, EVENTS, unique)]
    assert sorted(map(str, written)) == sorted(tags)


async def test_a_killed_worker_is_replaced_nothing_accepted_is_lost_and_sigterm_ends_all(
    pair: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    tags = [f"v{number}" for number in range(150)]
    senders = [asyncio.create_task(send_all(pair, unique, tags[start::3])) for start in range(3)]
    for _ in range(2):
        before = workers(pair)
        os.kill(min(before), signal.SIGKILL)
        await wait_until(lambda: len(workers(pair) - {min(before)}) == 2, 60, "another worker")  # noqa: B023
    async with asyncio.timeout(300):
        await asyncio.gather(*senders)
    written = Counter(
        str(Event.from_json(record.value, "here").tag) for record in await records_of(bootstrap, EVENTS, unique)
    )
    assert set(written) == set(tags)
    assert len(logged(pair, "a worker ended, another one is started")) == 2
    await wait_until(lambda: len(logged(pair, "connected to Kafka")) >= 4, 60, "two workers at work")
    before = workers(pair)
    pair.terminate()
    await wait_until(lambda: pair.exit_code() is not None, 60, "the end")
    assert pair.exit_code() == 0, pair.log()
    assert not any(is_there(pid) for pid in before)
    assert len(logged(pair, "stopped")) == 3


async def test_a_worker_that_hangs_is_replaced_and_what_it_was_sent_is_accepted_by_others(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    environ = {"FARSHORE_RECEIVER_WORKERS": "2", "FARSHORE_RECEIVER_WORKER_TIMEOUT": "10"}
    async with ReceiverProcess(tmp_path / "pair", bootstrap, {unique: ""}, environ=environ) as pair:
        await wait_until(lambda: len(logged(pair, "connected to Kafka")) >= 2, 60, "two workers at work")
        hung, other = sorted(workers(pair))
        os.kill(hung, signal.SIGSTOP)
        tags = [f"v{number}" for number in range(20)]
        await asyncio.gather(*(send_all(pair, unique, [tag]) for tag in tags))
        await wait_until(lambda: len(logged(pair, "connected to Kafka")) >= 3, 60, "another worker")
        assert [line["worker_pid"] for line in logged(pair, "a worker hangs, it is killed")] == [hung]
        assert other in workers(pair) - {hung}
        assert await pair.metric("farshore_receiver_replaced_workers_total", cause="hung") == 1
        assert {
            str(Event.from_json(record.value, "here").tag) for record in await records_of(bootstrap, EVENTS, unique)
        } == set(tags)


async def test_no_worker_outlives_the_process_that_looks_after_it(pair: ReceiverProcess) -> None:
    before = workers(pair)
    pair.kill()
    await wait_until(lambda: not any(is_there(pid) for pid in before), 60, "the workers' end")


async def test_wrong_settings_of_the_workers_end_all_with_78(bootstrap: str, unique: str, tmp_path: Path) -> None:
    environ = {"FARSHORE_RECEIVER_WORKERS": "2"}
    receiver = ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=environ)
    receiver.token_file(unique).unlink()
    receiver.launch()
    await wait_until(lambda: receiver.exit_code() is not None, 60, "the end")
    assert receiver.exit_code() == 78, receiver.log()


async def test_a_worker_that_dies_while_the_topology_is_wrong_comes_back_when_it_is_mended(
    pair: ReceiverProcess, unique: str
) -> None:
    async def known_to_be_ready() -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"{pair.management_url}/readyz") as answer:
            return answer.status == 200

    await wait_until(known_to_be_ready, 60, "readiness")
    topology = pair.folder / "topology.yaml"
    good = topology.read_text()
    topology.write_text("version: 1\nsites: {}\n")
    os.kill(min(workers(pair)), signal.SIGKILL)
    ended = "a worker ended, another one is started"
    await wait_until(
        lambda: 78 in [line["code"] for line in logged(pair, ended)], 60, "a worker to refuse the topology"
    )
    await send_all(pair, unique, ["v1"])

    async def is_told() -> bool:
        return await pair.metric("farshore_topology_refused") == 1

    await wait_until(is_told, 60, "the other one to tell of it")
    topology.write_text(good)
    await wait_until(lambda: len(logged(pair, "connected to Kafka")) >= 3, 60, "two workers at work")
    assert pair.exit_code() is None
