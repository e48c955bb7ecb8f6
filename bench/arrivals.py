"""Events to arrivals for a backlog, against a plain exactly-once copy loop that decodes nothing: records a second.

Both read the same backlog from the same broker in the same run, 2,000 records a transaction, in processes of their own;
rounds alternate. Resident memory is the most that the publishing process ever had. Exit code 1 below `--least`.

    uv run --all-packages python bench/arrivals.py --events 1000000
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from farshore.bus.clients import Bus
from farshore.bus.exactly_once import ExactlyOnceStep
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import EVENTS, create_missing_topics
from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore.topology import Relationship
from farshore_cli.tools.kafka import Broker
from farshore_coalescer.messages import Publish
from farshore_coalescer.publish import CHUNK, Publisher
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import SnapshotId

REGISTRY = "main"
PARTITION = TopicPartition(EVENTS.name, 0)
COPY = "bench.copy"


async def fill(bootstrap: str, events: int) -> None:
    """Write the backlog."""
    await create_missing_topics(Bus(bootstrap))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(COPY, 4, 1)])
    await admin.close()
    producer = Bus(bootstrap).producer()
    await producer.start()
    now = datetime.now(UTC)
    pending = []
    for number in range(events):
        record = Event(
            id=f"0192d3a4-0000-7000-8000-{number:012d}",
            kind=EventKind.MANIFEST_PUSHED,
            registry=REGISTRY,
            repository=Repository(f"team/app-{number % 500}"),
            digest=Digest.of(str(number).encode()),
            tag=Tag(f"v{number}"),
            media_type="application/vnd.oci.image.manifest.v1+json",
            size=1234,
            occurred_at=now,
            accepted_at=now,
        ).to_cloudevent()
        pending.append(
            await producer.send(EVENTS.name, record.data, key=REGISTRY.encode(), headers=record.headers(), partition=0)
        )
        if len(pending) == 10_000:
            await asyncio.gather(*pending)
            pending.clear()
    await asyncio.gather(*pending)
    await producer.stop()


async def publish(bootstrap: str, events: int) -> None:
    """What the coalescer does once a snapshot has arrived."""
    bus, log = Bus(bootstrap), Log("0a1b2c3d", 0)
    relationship = Relationship(REGISTRY, "fra", "registry", "nyc", "registry")
    proof = SnapshotId(log.snapshot_name(events, 1, "0f1e2d3c"), "version")
    async with ExactlyOnceStep(bus, "bench.publish") as step, RangeReader(bus, PARTITION) as reader:
        producer = bus.producer()
        await producer.start()
        publisher = Publisher(log, PARTITION, reader, step, producer)
        async for _ in publisher.publish(relationship, Publish("fra", 0, events, proof, None)):
            pass
        await producer.stop()


async def copy(bootstrap: str, events: int) -> None:
    """The reference: consume, produce, send the offset, commit. Nothing is looked at."""
    bus = Bus(bootstrap)
    consumer, producer = bus.reader(), bus.transactional_producer("bench.copy")
    consumer.assign([PARTITION])
    await consumer.start()
    await producer.start()
    consumer.seek(PARTITION, 0)
    done = 0
    while done < events:
        batch = (await consumer.getmany(PARTITION, timeout_ms=500, max_records=CHUNK)).get(PARTITION, [])
        if not batch:
            continue
        async with producer.transaction():
            for record in batch:
                await producer.send(COPY, record.value, key=record.key, headers=list(record.headers))
            done = batch[-1].offset + 1
            await producer.send_offsets_to_transaction({PARTITION: done}, "bench.copy")
    await consumer.stop()
    await producer.stop()


def measure(work: str, bootstrap: str, events: int) -> dict[str, float]:
    """Run one side in its own process."""
    command = [sys.executable, __file__, "--work", work, "--bootstrap", bootstrap, "--events", str(events)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=1200)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def run_side(work: str, bootstrap: str, events: int) -> None:
    """In the child: do it and print the figures."""
    began = time.perf_counter()
    uvloop.run({"publish": publish, "copy": copy}[work](bootstrap, events))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"records_per_second": events / seconds, "peak_resident_bytes": peak}))


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="events to arrivals against a plain exactly-once copy")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.0, help="fail below this ratio")
    parser.add_argument("--work", choices=["publish", "copy"], help=argparse.SUPPRESS)
    parser.add_argument("--bootstrap", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        run_side(arguments.work, arguments.bootstrap, arguments.events)
        return 0
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "data", Path(folder) / "kafka.log") as broker:
        asyncio.run(fill(broker.bootstrap, arguments.events))
        small = measure("publish", broker.bootstrap, min(10_000, arguments.events))
        rounds = [
            {side: measure(side, broker.bootstrap, arguments.events) for side in ("copy", "publish")}
            for _ in range(arguments.rounds)
        ]
    ratios = [one["publish"]["records_per_second"] / one["copy"]["records_per_second"] for one in rounds]
    peak = max(one["publish"]["peak_resident_bytes"] for one in rounds)
    figures = {
        "name": "arrivals",
        "reference": "plain aiokafka exactly-once copy loop, 2,000 records a transaction",
        "events": arguments.events,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "records_per_second": round(statistics.median(one["publish"]["records_per_second"] for one in rounds)),
        "reference_records_per_second": round(statistics.median(one["copy"]["records_per_second"] for one in rounds)),
        "peak_resident_mib": round(peak / 2**20, 1),
        "peak_resident_mib_for_10000": round(small["peak_resident_bytes"] / 2**20, 1),
    }
    print(json.dumps(figures, indent=2))
    return 0 if figures["ratio"] >= arguments.least else 1


if __name__ == "__main__":
    raise SystemExit(main())
