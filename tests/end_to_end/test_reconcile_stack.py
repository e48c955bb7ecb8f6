"""The worst case of a registry that forgets: what its queue held is found by `farshore reconcile`, and gets ready."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from coalescer_world import read_all
from kafka_log import delete_before, read_topic
from local_stack import LocalStack, kill
from stack_images import push_image
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.topics import ARRIVALS, EVENTS, READINESS, Topic
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.demo.scenario import Push
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

SITES = {"fra", "syd"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One whose own reconciler would run by itself once an hour; its first run is over."""
    environ = {"FARSHORE_RECONCILER_GRACE": "1", "FARSHORE_RECONCILER_EVERY": "3600"}
    with LocalStack(tmp_path_factory.mktemp("reconcile") / "state", environ=environ) as stack:
        log = stack.state_dir / "logs" / "reconciler.log"
        await wait_until(lambda: log.exists() and '"reconciled"' in log.read_text(), 90, "the reconciler's first run")
        yield stack


def where(stack: LocalStack) -> tuple[str, ...]:
    return ("--topology", stack.endpoints["topology"], "--kafka", stack.endpoints["kafka"]["bootstrap_servers"])


async def push(stack: LocalStack, tools: Tools, folder: Path, name: str) -> Push:
    return (await push_image(stack, tools, folder, name)).push


async def ready_at(stack: LocalStack, push: Push) -> set[str]:
    """The sites whose last word on the image is ready, with this very digest."""
    last: dict[str, Readiness] = {}
    for record in await read_topic(Bus(stack.endpoints["kafka"]["bootstrap_servers"]), READINESS):
        said = Readiness.from_json(record.value or b"", "readiness")
        if (said.repository, said.tag) == (push.repository, push.tag):
            last[said.site] = said
    return {site for site, said in last.items() if said.state is ReadinessState.READY and said.digest == push.digest}


async def becomes_ready(stack: LocalStack, push: Push, sites: set[str] = SITES) -> None:
    async def everywhere() -> bool:
        return await ready_at(stack, push) >= sites

    await wait_until(everywhere, 90, f"{push.reference} ready at {sites}")


def reconcile(stack: LocalStack, *options: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "farshore_cli", "reconcile", *where(stack), "--grace", "1s", "--output", "json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    (report,) = json.loads(done.stdout)["registries"]
    return done.returncode, report


async def test_what_a_registry_forgot_gets_ready_after_a_reconcile(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    await becomes_ready(stack, await push(stack, tools, tmp_path, "team/known"))
    receiver = stack.pid_of("receiver")
    os.kill(receiver, 19)  # SIGSTOP: it is there and takes nothing in, so the registry's queue holds what comes
    forgotten = [await push(stack, tools, tmp_path, f"team/forgotten{number}") for number in range(3)]
    registry = stack.pid_of("registry-nyc")
    kill(registry)
    kill(receiver)

    def are_back() -> bool:
        pids = {process["name"]: process["pid"] for process in stack.endpoints["processes"]}
        fresh = pids.get("registry-nyc", registry) != registry and pids.get("receiver", receiver) != receiver
        return fresh and all(f"{part}: ready pid {pids[part]}" in stack.output for part in ("registry-nyc", "receiver"))

    await wait_until(are_back, 60, "registry and receiver again")
    code, report = reconcile(stack)
    assert (code, report["lost_notifications"]) == (0, 3), report
    for image in forgotten:
        await becomes_ready(stack, image)
    code, report = reconcile(stack, "--site", "all", "--sample", "5", "--dry-run")
    assert (code, report["lost_notifications"], report["damaged"]) == (0, 0, []), report


async def trim(stack: LocalStack, topic: Topic) -> None:
    """What retention does: nothing that is in the topic now is there afterwards."""
    bus = Bus(stack.endpoints["kafka"]["bootstrap_servers"])
    for number in range(topic.partitions):
        place = TopicPartition(topic.name, number)
        await delete_before(bus.bootstrap_servers, place, await end_of_log(bus, place))


async def limit_link(stack: LocalStack, site: str, bytes_per_second: int) -> None:
    url = f"{stack.endpoints['sites'][site]['ontap']['url']}/sim/links/cluster-nyc"
    limit = {"bandwidth_bytes_per_second": bytes_per_second}
    async with aiohttp.ClientSession() as session, session.put(url, json=limit) as answer:
        assert answer.ok, await answer.text()


async def test_a_site_that_fell_off_the_log_gets_everything_ready_all_the_same(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    await becomes_ready(stack, await push(stack, tools, tmp_path, "team/before"))
    await limit_link(stack, "fra", 1000)
    away = [await push(stack, tools, tmp_path, f"team/away{number}") for number in range(2)]
    for image in away:
        await becomes_ready(stack, image, {"syd"})
    await trim(stack, EVENTS)
    await limit_link(stack, "fra", 50_000_000)
    for image in [*away, await push(stack, tools, tmp_path, "team/after")]:
        await becomes_ready(stack, image)


async def test_arrivals_that_are_gone_before_a_site_decided_them_get_ready_all_the_same(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    await becomes_ready(stack, await push(stack, tools, tmp_path, "team/decided"))
    verifier = stack.pid_of("verifier")
    os.kill(verifier, signal.SIGSTOP)
    bus = Bus(stack.endpoints["kafka"]["bootstrap_servers"])
    before = len(await read_all(bus, ARRIVALS))
    lost = await push(stack, tools, tmp_path, "team/undecided")

    async def arrived() -> bool:
        return len(await read_all(bus, ARRIVALS)) >= before + len(SITES)

    await wait_until(arrived, 90, "its arrivals")
    await trim(stack, ARRIVALS)
    kill(verifier)
    await becomes_ready(stack, lost)
