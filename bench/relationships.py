"""1,000 relationships in one coalescer at rest: CPU in percent of a core, and resident memory.

250 registries on one simulated cluster, each with replicas on four others. Each registry's one event has arrived
everywhere before the measurement begins; from then on nothing happens. All parts are real processes, Kafka too.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from process_usage import cpu_seconds, resident_mib

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS, create_missing_topics
from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore.topology import load_topology
from farshore_cli.applying.run import make_storage
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_ports

PRIMARY, REPLICAS = "nyc", ("fra", "syd", "sfo", "ams")
PASSWORD = "of-the-simulated-clusters"
PATIENCE_SECONDS = 900.0


@contextmanager
def simulated_clusters(folder: Path) -> Iterator[dict[str, Any]]:
    """The sites of a topology, each with a simulator's process behind it."""
    names = [PRIMARY, *REPLICAS]
    ports = free_ports(2 * len(names))
    inner = dict(zip(names, ports[len(names) :], strict=True))
    (folder / "password").write_text(PASSWORD)
    sites = {}
    with ExitStack() as stack:
        for name, port in zip(names, ports, strict=False):
            peers = [f"--peer=cluster-{other}=127.0.0.1:{inner[other]}" for other in names if other != name]
            command = [
                *(
                    sys.executable,
                    "-m",
                    "farshore_ontap_simulator",
                    "--name",
                    f"cluster-{name}",
                    "--svm",
                    f"svm_{name}",
                ),
                *("--state-dir", str(folder / name), "--listen", f"127.0.0.1:{port}"),
                *("--intercluster", f"127.0.0.1:{inner[name]}", "--password-file", str(folder / "password"), *peers),
            ]
            process = spawn(command, log_file=folder / f"{name}.log")
            stack.callback(end, process, within_seconds=20)
            ontap = {
                "url": f"http://127.0.0.1:{port}",
                "password": f"file:{folder / 'password'}",
                "svm": f"svm_{name}",
                "timeout": "60s",
            }
            sites[name] = {"model": "on-prem", "ontap": ontap}
        for name in names:
            _wait_until_it_answers(f"{sites[name]['ontap']['url']}/sim/health")  # type: ignore[index]
        yield sites


def _wait_until_it_answers(url: str) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


def write_topology(folder: Path, sites: dict[str, Any], registries: int) -> Path:
    """`registries` registries from the primary to every replica."""
    nowhere = "http://127.0.0.1:1"
    document = {
        "version": 1,
        "sites": sites,
        "registries": {
            f"r{number:04}": {
                "prefix": f"r{number:04}/",
                "primary": {"site": PRIMARY, "volume": f"r{number:04}", "url": nowhere},
                "replicas": [{"site": site, "volume": f"r{number:04}", "url": nowhere} for site in REPLICAS],
                "notifications": {"tokens": ["env:TOKEN"]},
            }
            for number in range(registries)
        },
    }
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


async def prepare(topology_file: Path, bootstrap: str) -> None:
    """Volumes, relationships, baselines, topics, and an event for each registry."""
    topology = load_topology(topology_file)
    await create_missing_topics(Bus(bootstrap))
    await make_storage(topology, within=3600)
    producer = Bus(bootstrap).producer()
    await producer.start()
    now = datetime.now(UTC)
    for name in topology.registries:
        record = Event(
            id=f"event-of-{name}",
            kind=EventKind.MANIFEST_PUSHED,
            registry=name,
            repository=Repository("team/app"),
            digest=Digest.of(name.encode()),
            tag=Tag("v1"),
            occurred_at=now,
            accepted_at=now,
        ).to_cloudevent()
        await producer.send_and_wait(EVENTS.name, record.data, key=name.encode(), headers=record.headers())
    await producer.stop()


def statuses(url: str) -> list[dict[str, Any]]:
    """What the coalescer says of its relationships; nothing while it doesn't answer."""
    try:
        with urllib.request.urlopen(f"{url}/v1/relationships", timeout=60) as reply:
            found: list[dict[str, Any]] = json.load(reply)
            return found
    except OSError:
        return []


def wait_for_rest(process: subprocess.Popen[bytes], url: str, relationships: int, log_file: Path) -> float:
    """Wait until everything has arrived; the seconds that it took."""
    began = time.monotonic()
    while True:
        found = statuses(url)
        at_rest = [one for one in found if one["activity"] == "idle" and one["why_behind"] is None]
        if len(at_rest) == relationships:
            return time.monotonic() - began
        if process.poll() is not None or time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit(f"{len(at_rest)} of {relationships} relationships came to rest\n{tail(log_file)}")
        time.sleep(2)


def run(registries: int, seconds: float) -> dict[str, Any]:
    """The figures of one run."""
    relationships = registries * len(REPLICAS)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(Broker(folder / "kafka", folder / "kafka.log"))
        topology = write_topology(folder, stack.enter_context(simulated_clusters(folder)), registries)
        asyncio.run(prepare(topology, broker.bootstrap))
        (port,) = free_ports(1)
        environ = {
            **os.environ,
            "FARSHORE_TOPOLOGY": str(topology),
            "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "FARSHORE_LISTEN": f"127.0.0.1:{port}",
        }
        log_file = folder / "coalescer.log"
        process = spawn([sys.executable, "-m", "farshore_coalescer"], log_file=log_file, environ=environ)
        stack.callback(end, process, within_seconds=20)
        until_rest = wait_for_rest(process, f"http://127.0.0.1:{port}", relationships, log_file)
        began, used = time.monotonic(), cpu_seconds(process.pid)
        time.sleep(seconds)
        percent = 100 * (cpu_seconds(process.pid) - used) / (time.monotonic() - began)
        resident = resident_mib(process.pid)
    return {
        "name": "relationships",
        "reference": "at most 5 % of a core",
        "figure": f"{percent:.1f} %, {resident:.0f} MiB",
        "relationships": relationships,
        "cpu_percent": round(percent, 2),
        "resident_mib": round(resident, 1),
        "measured_seconds": seconds,
        "seconds_until_all_had_arrived": round(until_rest, 1),
    }


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="many relationships in one coalescer at rest")
    parser.add_argument("--registries", type=int, default=250, help="each has four replicas")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the idle process is watched")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.registries, arguments.seconds), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
