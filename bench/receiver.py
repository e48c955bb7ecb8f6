"""The receiver against a bare FastAPI handler that only reads the same body: requests a second, both in one run.

Each server is a process of its own (uvicorn, httptools, uvloop); the receiver writes to a real Kafka and answers when
Kafka has acknowledged. The load comes from this process over plain sockets, `--connections` at a time. Rounds alternate
between the two, so that whatever else the machine does falls on both. The servers' own CPU time is shown beside the
rates: it hardly depends on what else runs, while Kafka and the load share the cores with them. Exit code 1 below
`--least`.

    uv run --all-packages python bench/receiver.py
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from process_usage import cpu_seconds
from receiver_load import listens, rate, requests
from receiver_process import ReceiverProcess
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port

BARE = """
import sys, uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()

@app.post("/v1/notifications/{registry}", status_code=202)
async def notify(registry: str, request: Request) -> Response:
    await request.body()
    return Response(status_code=202)

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop",
            log_level="warning", access_log=False)
"""


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    port = free_port()
    with Broker(folder / "kafka", folder / "kafka.log") as broker:
        await create_missing_topics(Bus(broker.bootstrap))
        bare = spawn([sys.executable, "-c", BARE, str(port)], log_file=folder / "bare.log")
        try:
            async with ReceiverProcess(folder / "receiver", broker.bootstrap, {"main": ""}) as receiver:
                await wait_until(lambda: listens(port), 20, "the bare handler")
                rates: dict[str, list[float]] = {"bare": [], "receiver": []}
                latencies: list[float] = []
                pids = {"bare": bare.pid, "receiver": receiver.pid}
                before = {name: cpu_seconds(pid) for name, pid in pids.items()}
                for _ in range(options.rounds + 1):
                    for name, where in (("bare", port), ("receiver", receiver.port)):
                        found, seconds = await rate(where, list(requests(options.requests)), options.connections)
                        rates[name].append(found)
                        if name == "receiver":
                            latencies += seconds
                sent = (options.rounds + 1) * options.requests
                used = {name: round((cpu_seconds(pid) - before[name]) / sent * 1e6) for name, pid in pids.items()}
        finally:
            end(bare, within_seconds=5)
    # The first round warms both up and doesn't count.
    pairs = list(zip(rates["bare"][1:], rates["receiver"][1:], strict=True))
    return {
        "name": "receiver",
        "reference": "bare FastAPI handler that reads the same body; the receiver also waits for Kafka",
        "bare_per_second": [round(bare) for bare, _ in pairs],
        "receiver_per_second": [round(receiver) for _, receiver in pairs],
        "ratio": round(statistics.median(receiver / bare for bare, receiver in pairs), 3),
        "cpu_microseconds": used,
        "receiver_p50_ms": round(statistics.median(latencies) * 1000, 2),
        "receiver_p99_ms": round(statistics.quantiles(latencies, n=100)[98] * 1000, 2),
        "connections": options.connections,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32, help="at most the receiver's 64 requests at once")
    parser.add_argument("--least", type=float, default=0.0, help="the ratio below which the exit code is 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = uvloop.run(measure(options, Path(folder)))
    print(json.dumps(result, indent=2))
    ratio = result["ratio"]
    if isinstance(ratio, float) and ratio < options.least:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
