"""Three brokers, replication 3, two in sync for an acknowledgement: whatever befalls them, no promise is broken.

Expected of each: while a quorum lives, everything goes on after the brokers' session time-out; without one nothing is
accepted (the registry keeps its notifications) and nothing goes on; once it is back, all that was pushed arrives and is
decided exactly once, positions never go back.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiokafka import TopicPartition
from broker_kills import BrokerKills
from fault_report import FaultReport
from fault_run import FaultRun
from local_stack import LocalStack
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS
from farshore_cli.tools.kafka import Cluster

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end, pytest.mark.slow]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261125"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
ENVIRON = {"FARSHORE_KAFKA_SESSION_TIMEOUT": "6"}
LANE = partition_of(b"main", range(EVENTS.partitions))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A test's own: what another pushed, by the same seed, was ready on other disks."""
    with Cluster(tmp_path / "kafka", tmp_path / "kafka-log") as cluster:
        yield cluster


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(tmp_path / "state", "--kafka", cluster.bootstrap, environ=ENVIRON) as stack:
        yield stack


async def choose(kills: BrokerKills, role: str, rng: random.Random) -> list[int]:
    """The nodes to kill."""
    match role:
        case "leader":
            return [await kills.leader(TopicPartition(EVENTS.name, LANE))]
        case "group coordinator":
            return [await kills.group_coordinator("farshore.coalescer.main.fra")]
        case "transaction coordinator":
            return [await kills.transaction_coordinator(f"farshore.coalescer.{EVENTS.name}.{LANE}")]
        case _:
            return rng.sample([1, 2, 3], k=2)


async def answers(management: str) -> Counter[str]:
    """How many notifications the receiver has answered, by outcome."""
    async with aiohttp.ClientSession() as session, session.get(f"{management}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples]
    counted: Counter[str] = Counter()
    for sample in samples:
        if sample.name == "farshore_receiver_requests_total":
            counted[sample.labels["outcome"]] += int(sample.value)
    return counted


async def nothing_is_accepted(run: FaultRun, management: str) -> None:
    """With one broker of three: not one 202 while pushes go on."""
    killed = await answers(management)

    async def refused() -> Counter[str] | None:
        """After two refusals in a row there's no acknowledgement left from before the kill."""
        now = await answers(management)
        return now if now["not-accepted"] >= killed["not-accepted"] + 2 else None

    before = await wait_until(refused, 60, "notifications to be refused")
    assert before is not None
    await run.until_pushed(len(run.pushed) + 2)
    after = await answers(management)
    assert after["accepted"] == before["accepted"]


async def kill_brokers(run: FaultRun, management: str, kills: BrokerKills, role: str, rng: random.Random) -> None:
    """Kill, let pushes go on, bring back."""
    nodes = await choose(kills, role, rng)
    for node in nodes:
        kills.kill(node, role)
    if len(nodes) == 1:  # the others take over, and events go on
        events = len(run.evidence.events)
        await run.until_events(events + 2)
    else:
        await nothing_is_accepted(run, management)
    await kills.bring_back(nodes)
    run.check_health()


async def slow_down(run: FaultRun, kills: BrokerKills, rng: random.Random, bursts: int) -> None:
    """All brokers stand still again and again, so that acknowledgements take a second and more; none counts as dead."""
    for _ in range(bursts):
        for node in (1, 2, 3):
            kills.stop(node)
        try:
            await asyncio.sleep(rng.uniform(0.3, 1.5))  # this is how slow Kafka is
        finally:
            for node in (1, 2, 3):
                kills.go_on(node)
        await asyncio.sleep(rng.uniform(0.1, 0.5))
    run.check_health()


async def make_a_zombie(run: FaultRun, kills: BrokerKills) -> None:
    """The leader stands still until others have taken over, and then goes on as if it still led."""
    leader = await kills.leader(TopicPartition(EVENTS.name, LANE))
    kills.stop(leader)
    try:
        await run.until_events(len(run.evidence.events) + 2)
    finally:
        kills.go_on(leader)
    await kills.bring_back([])


@pytest.mark.timeout(900)
async def test_no_promise_is_broken_when_a_coordinator_or_two_of_three_brokers_die(
    cluster: Cluster, stack: LocalStack
) -> None:
    rng, kills = random.Random(f"brokers {SEED}"), BrokerKills(cluster)
    async with FaultRun.of(stack, SEED) as run:
        await run.until_pushed(2)
        for role in ("transaction coordinator", "two of three"):
            await kill_brokers(run, stack.endpoints["receiver"]["management"], kills, role, rng)
        verdict = await run.verdict()
    assert verdict.violations == []
    assert kills.killed.total() == 3


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(1200 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_hundreds_of_dead_brokers(cluster: Cluster, stack: LocalStack) -> None:
    report, began = FaultReport("kafka-brokers"), time.monotonic()
    rng, kills = random.Random(f"brokers {SEED}"), BrokerKills(cluster)
    async with FaultRun.of(stack, SEED) as run:
        await run.until_pushed(2)
        for _ in range(ROUNDS):
            roles = ["leader", "group coordinator", "transaction coordinator", "two of three"] * 3
            rng.shuffle(roles)
            for role in roles:
                await kill_brokers(run, stack.endpoints["receiver"]["management"], kills, role, rng)
            await slow_down(run, kills, rng, bursts=20)
            await make_a_zombie(run, kills)
        verdict = await run.verdict()
    report.add(
        {
            "seed": SEED,
            "seconds": round(time.monotonic() - began),
            "kills": dict(sorted(kills.killed.items())),
            **verdict.figures,
            "violations": verdict.violations,
        }
    )
    assert report.violations() == []
