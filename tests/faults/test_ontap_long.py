"""The long form of the faults of ONTAP clusters: random ones by seed, one upon the other, while events are announced.

`make faults` runs FARSHORE_FAULT_ROUNDS rounds of it, see docs/faults.md.
"""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from arrival_watch import ArrivalWatch
from auditor import judge_arrivals
from coalescer_world import World, coalescer_world
from evidence import collect
from fault_report import FaultReport
from ontap_operator import Operator

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.slow]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261124"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
FAULTS_A_ROUND = 60

ONCE: list[dict[str, Any]] = [
    {"kind": "drop_reply", "method": "POST"},
    {"kind": "drop_reply", "method": "GET"},
    {"kind": "drop_reply", "method": "DELETE"},
    {"kind": "refuse", "status": 503, "times": 5},
    {"kind": "refuse", "method": "POST", "status": 409, "code": 13303844, "message": "Another transfer is in progress"},
    {"kind": "refuse", "method": "GET", "path": "/api/cluster/jobs/*", "status": 404, "code": 4},
    {"kind": "slow", "method": "POST", "seconds": 5},
    {"kind": "fail_job", "code": 1638537},
    {"kind": "fail_transfer", "after_bytes": 4096},
    {"kind": "abort_transfer"},
    {"kind": "abort_transfer", "hard": True},
    {"kind": "reboot", "seconds": 0.5},
]
FOR_A_WHILE: list[dict[str, Any]] = [
    {"kind": "refuse", "status": 500, "times": 1_000_000},
    {"kind": "unreachable"},
    {"kind": "bandwidth", "bytes_per_second": 50_000},
    {"kind": "clock", "offset_seconds": 86_400},
    {"kind": "clock", "offset_seconds": -86_400},
    {"kind": "hold_transfer"},
]


@dataclass
class Trouble:
    """One round's faults, all drawn from one seed."""

    world: World
    watch: ArrivalWatch
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)

    async def cause_one(self) -> None:
        """Draw a fault, cause it, and mend it if it doesn't pass by itself."""
        kinds = {"once": 8, "a while": 5, "by hand": 4, "snapshot deleted": 1, "coalescer killed": 1}
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        match kind:
            case "once":
                self.done[self._arm(self.rng.choice(ONCE))] += 1
            case "a while":
                self.done[self._arm(self.rng.choice(FOR_A_WHILE))] += 1
                await self._linger()
                self.calm()
            case "by hand":
                self.done[await self._meddle(self.rng.choice(self.world.replicas))] += 1
            case "snapshot deleted":
                await asyncio.to_thread(self._delete_a_snapshot)
                self.done[kind] += 1
            case _:
                self.world.coalescer.kill()
                self.world.coalescer.start()
                self.done[kind] += 1
        await self._linger()

    def calm(self) -> None:
        """Take back all faults."""
        for simulator in self.world.simulators.values():
            simulator.disarm()

    async def _linger(self) -> None:
        await asyncio.sleep(self.rng.uniform(0.1, 2.0))

    def _arm(self, fault: dict[str, Any]) -> str:
        self.world.simulators[self.rng.choice(list(self.world.simulators))].arm(**fault)
        return str(fault["kind"])

    async def _meddle(self, site: str) -> str:
        """Somebody does something to a replica by hand, and mends it later."""
        operator, what = Operator(self.world.simulators[site]), self.rng.choice(["pause", "break", "delete", "offline"])
        self.calm()
        self.watch.meddled.add(site)
        match what:
            case "pause":
                await asyncio.to_thread(operator.set_state, "paused")
            case "break":
                await asyncio.to_thread(operator.set_state, "broken_off")
            case "delete":
                await asyncio.to_thread(operator.delete)
            case _:
                await asyncio.to_thread(operator.set_volume, "offline")
        await self._linger()
        if what == "delete":
            await asyncio.to_thread(operator.make_again, self.world.simulators[self.world.primary])
        elif what == "offline":
            await asyncio.to_thread(operator.set_volume, "online")
        else:
            await asyncio.to_thread(operator.set_state, "snapmirrored")
        await asyncio.to_thread(operator.update)
        await self.watch.until(site, within_seconds=300)
        self.watch.meddled.discard(site)
        return what

    def _delete_a_snapshot(self) -> None:
        operator = Operator(self.world.simulators[self.world.primary])
        uuids = sorted(operator.snapshots().values())
        if uuids:
            operator.delete_snapshot(self.rng.choice(uuids))


async def announce_until(world: World, enough: asyncio.Event, rng: random.Random) -> None:
    while not enough.is_set():
        await world.announce(size=rng.choice([1000, 20_000, 200_000]))
        await asyncio.sleep(rng.choice([0.02, 0.2, 1.0]))


async def run_round(folder: Path, seed: int) -> dict[str, Any]:
    """One world, its faults, and the auditor's verdict."""
    began = time.monotonic()
    world_of = coalescer_world(folder, ("nyc", "fra", "syd"), batching={"keep": 0}, timeout="4s")
    async with world_of as world, ArrivalWatch(world) as watch:
        trouble, enough = Trouble(world, watch, random.Random(f"faults {seed}")), asyncio.Event()
        announcing = asyncio.create_task(announce_until(world, enough, random.Random(f"events {seed}")))
        try:
            while trouble.done.total() < FAULTS_A_ROUND:
                await trouble.cause_one()
        finally:
            enough.set()
            await announcing
        trouble.calm()
        await world.announce()
        await watch.until(within_seconds=300)
        violations = [
            *(f"announced early: {one}" for one in watch.early),
            *judge_arrivals(await collect(world.bus), world.replicas),
        ]
        return {
            "seed": seed,
            "seconds": round(time.monotonic() - began),
            "events": len(world.announced_ids),
            "faults": dict(sorted(trouble.done.items())),
            "violations": violations,
        }


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(1200 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_long_random_faults_of_clusters(tmp_path: Path) -> None:
    report = FaultReport("ontap")
    for number in range(ROUNDS):
        report.add(await run_round(tmp_path / f"round-{number}", SEED + number))
    print(report.table())
    assert report.violations() == []
