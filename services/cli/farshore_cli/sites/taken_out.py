"""Waits until nobody works for a site any more: the topology file doesn't have it, and its verifiers are gone."""

import asyncio
import time
from pathlib import Path

from farshore.bus.clients import Bus
from farshore.topology import TopologyError, load_topology
from farshore_cli.sites.plan import replicas_at

LOOK_SECONDS = 0.5
_REQUEST_MS = 10_000
_NOBODY = ("Empty", "Dead")
"""What Kafka calls a group without members, and one that it doesn't know."""


async def until_taken_out(file: Path, site: str, ends: float) -> bool:
    """Whether the topology `file` has no replica at `site` by then (seconds of the monotonic clock)."""
    while True:
        try:
            if not replicas_at(load_topology(file), site):
                return True
        except TopologyError:
            pass  # somebody is writing it
        if time.monotonic() >= ends:
            return False
        await asyncio.sleep(LOOK_SECONDS)


async def until_nobody_verifies(bus: Bus, site: str, ends: float) -> bool:
    """Whether no verifier of `site` is left by then: none that could still call an image ready there."""
    admin = bus.admin(timeout_ms=_REQUEST_MS)
    await admin.start()
    try:
        while True:
            (answer,) = await admin.describe_consumer_groups([f"farshore.verifier.{site}"])
            if all(group[2] in _NOBODY for group in answer.groups):
                return True
            if time.monotonic() >= ends:
                return False
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await admin.close()
