"""Kafka's disk fills up: nothing is accepted that Kafka doesn't have, and all goes on once there is room again.

Expected: Kafka gives up its log folder and ends; the receiver answers 503 while it is away, never 2xx for what isn't
written; what was answered 2xx is there afterwards; what the registry sends again comes behind it, with one id.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from fault_run import FaultRun
from local_stack import LocalStack
from notifications import envelope, push
from receiver_process import ReceiverProcess, post, records_of
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS, create_missing_topics
from farshore.records.events import Event
from farshore_cli.tools.kafka import Broker

pytestmark = [pytest.mark.faults, pytest.mark.integration]

ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
DISK_BYTES = 48 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; skips where mounting isn't allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            return


async def status_of(receiver: ReceiverProcess, registry: str, body: bytes) -> int:
    try:
        return (await post(receiver, registry, body)).status
    except aiohttp.ClientError:
        return 0


@pytest.mark.timeout(900)
async def test_a_full_disk_at_the_broker_gives_503_and_loses_nothing(
    small_disk: Path, tmp_path: Path, unique: str
) -> None:
    broker = Broker(small_disk / "kafka", tmp_path / "kafka.log").start()
    try:
        await create_missing_topics(Bus(broker.bootstrap))
        async with ReceiverProcess(tmp_path / "receiver", broker.bootstrap, {unique: ""}) as receiver:
            accepted = []
            ballast = small_disk / "ballast"
            number = 0
            while True:
                tag = f"v{number}"
                body = envelope(push(tag=tag))
                status = await status_of(receiver, unique, body)
                if status != 202:
                    break
                accepted.append(tag)
                number += 1
                if number == 3:
                    fill(ballast)
            assert status == 503
            assert number >= 3
            await wait_until(lambda: broker.pid is None, 60, "Kafka to give up its disk")
            assert await status_of(receiver, unique, body) == 503
            ballast.unlink()
            broker.launch()
            await asyncio.to_thread(broker.wait_until_ready)

            async def is_taken() -> bool:
                return await status_of(receiver, unique, body) == 202

            await wait_until(is_taken, 60, "the refused notification to be taken")
            records = await records_of(broker.bootstrap, EVENTS, unique)
            tags = [str(Event.from_json(record.value, "here").tag) for record in records]
            assert list(dict.fromkeys(tags)) == [*accepted, tag]
            assert tags[: len(accepted)] == accepted
    finally:
        broker.kill()


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(900)
async def test_a_full_disk_under_all_services_breaks_no_promise_and_all_go_on_by_themselves(
    small_disk: Path, tmp_path: Path
) -> None:
    """The disk fills while coalescer and verifier are in the middle of their transactions."""
    broker = Broker(small_disk / "kafka", tmp_path / "kafka.log").start()
    try:
        with LocalStack(tmp_path / "state", "--kafka", broker.bootstrap) as stack:
            async with FaultRun.of(stack, seed=1) as run:
                await run.until_pushed(4)
                before = {process["name"]: process["pid"] for process in stack.endpoints["processes"]}
                fill(small_disk / "ballast")
                await wait_until(lambda: broker.pid is None, 60, "Kafka to give up its disk")
                (small_disk / "ballast").unlink()
                broker.launch()
                await asyncio.to_thread(broker.wait_until_ready)
                await run.until_pushed(len(run.pushed) + 4)
                verdict = await run.verdict()
            after = {process["name"]: process["pid"] for process in stack.endpoints["processes"]}
        assert verdict.violations == []
        assert after == before, "no service had to be started again"
    finally:
        broker.kill()
