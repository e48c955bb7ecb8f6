"""Replaces a stack's processes by those of another version, one after the other, as a rolling update does."""

import json
import os
import signal
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import next_version.sitecustomize as next_version
from kafka_log import read_topic
from live_log import whole_lines
from local_stack import LocalStack, children, is_running
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS, EVENTS, READINESS
from farshore_cli.stack.probes import http_answers

WORKER = "worker"
"""One of the receiver's, in place of the whole receiver: the other one goes on beside it."""
TOPICS = (EVENTS, ARRIVALS, READINESS)


class Rollout:
    """Which version starts is said by a file: what runs already goes on as it is."""

    def __init__(self, folder: Path) -> None:
        self._flag = folder / "next-version"
        self.environ = {
            "PYTHONPATH": str(Path(next_version.__file__).parent),
            "TESTS_NEXT_VERSION": str(self._flag),
        }
        """For the stack."""

    def choose(self, *, next_one: bool) -> None:
        """The version of what starts from now on."""
        if next_one:
            self._flag.touch()
        else:
            self._flag.unlink()

    async def replace(self, stack: LocalStack, name: str) -> None:
        """Have a process end in order, and wait until another one is at work in its place."""
        if name == WORKER:
            await self._replace_worker(stack)
            return
        before = stack.pid_of(name)
        os.kill(before, signal.SIGTERM)

        def another() -> bool:
            names = {process["name"]: process["pid"] for process in stack.endpoints["processes"]}
            return names.get(name, before) != before and not is_running(before)

        await wait_until(another, 60, f"another {name}")
        await wait_until(http_answers(_ready_url(stack, name)), 60, f"the new {name} to be ready")

    async def _replace_worker(self, stack: LocalStack) -> None:
        log = next(Path(one["log"]) for one in stack.endpoints["processes"] if one["name"] == "receiver")
        connected = log.read_text().count('"connected to Kafka"')
        os.kill(min(children(stack.pid_of("receiver"))), signal.SIGTERM)
        await wait_until(
            lambda: log.read_text().count('"connected to Kafka"') > connected, 60, "another worker of the receiver"
        )


def _ready_url(stack: LocalStack, name: str) -> str:
    kind, _, site = name.partition("-")
    if kind == "edge":
        return f"{stack.endpoints['sites'][site]['edge']}/edge/health"
    log = next(Path(one["log"]) for one in stack.endpoints["processes"] if one["name"] == name)
    lines = [json.loads(line) for line in whole_lines(log) if line.startswith("{")]
    at = next(line["at"] for line in lines if line["message"] == "listening")  # it has one address for good
    return f"http://{at}/readyz"


async def versions_by_topic(bus: Bus) -> Mapping[str, set[str]]:
    """Which versions wrote records: `this`, `next`."""
    found = defaultdict(set)
    for record in [record for topic in TOPICS for record in await read_topic(bus, topic)]:
        found[record.topic].add("next" if next_version.ATTRIBUTE in record.headers else "this")
    return found
