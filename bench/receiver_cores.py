"""The receiver with a worker on each core against a small Go gateway (bench/go_gateway): requests a second, in one run.

The gateway (net/http and franz-go) parses the same notification, writes the same record and answers when Kafka has
acknowledged. Load, rounds and CPU time are as in bench/receiver.py. Needs Go, and says so where there is none.

    uv run --all-packages python bench/receiver_cores.py
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from process_usage import cpu_seconds
from receiver_load import listens, rate, requests
from receiver_process import TOKEN, ReceiverProcess
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS, create_missing_topics
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port

GATEWAY = Path(__file__).parent / "go_gateway"
NAME = "receiver_cores"
REFERENCE = "Go gateway (net/http, franz-go) that parses and acknowledges the same"


def build(program: Path) -> None:
    """Build the gateway from what go.sum names; raises CalledProcessError."""
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=GATEWAY, env=environ, check=True, timeout=900)


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    program = folder / "go_gateway"
    build(program)
    port = free_port()
    workers = os.cpu_count() or 1
    environ = {"FARSHORE_RECEIVER_WORKERS": str(workers)}
    with Broker(folder / "kafka", folder / "kafka.log") as broker:
        await create_missing_topics(Bus(broker.bootstrap))
        command = [str(program), f"127.0.0.1:{port}", broker.bootstrap, EVENTS.name, "main", f"{TOKEN}-main"]
        gateway = spawn(command, log_file=folder / "gateway.log")
        try:
            async with ReceiverProcess(
                folder / "receiver", broker.bootstrap, {"main": ""}, environ=environ
            ) as receiver:
                await wait_until(lambda: listens(port), 60, "the gateway")
                await wait_until(lambda: receiver.log().count("connected to Kafka") == workers, 60, "all workers")
                rates: dict[str, list[float]] = {"gateway": [], "receiver": []}
                pids = {"gateway": [gateway.pid], "receiver": family(receiver.pid)}
                before = {name: sum(map(cpu_seconds, some)) for name, some in pids.items()}
                for _ in range(options.rounds + 1):
                    for name, where in (("gateway", port), ("receiver", receiver.port)):
                        found, _seconds = await rate(where, list(requests(options.requests)), options.connections)
                        rates[name].append(found)
                sent = (options.rounds + 1) * options.requests
                used = {
                    name: round((sum(map(cpu_seconds, some)) - before[name]) / sent * 1e6)
                    for name, some in pids.items()
                }
        finally:
            end(gateway, within_seconds=5)
    # The first round warms both up and doesn't count.
    pairs = list(zip(rates["gateway"][1:], rates["receiver"][1:], strict=True))
    return {
        "name": NAME,
        "reference": REFERENCE,
        "workers": workers,
        "gateway_per_second": [round(gateway) for gateway, _ in pairs],
        "receiver_per_second": [round(receiver) for _, receiver in pairs],
        "ratio": round(statistics.median(receiver / gateway for gateway, receiver in pairs), 3),
        "cpu_microseconds": used,
        "connections": options.connections,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=8000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    if shutil.which("go") is None:
        print(json.dumps({"name": NAME, "reference": "there is no Go on this machine", "figure": "skipped"}))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(uvloop.run(measure(options, Path(folder))), indent=2))


if __name__ == "__main__":
    main()
