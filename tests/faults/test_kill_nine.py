"""kill -9 of everything but Kafka and the registries while images are pushed: no promise is broken.

In short with `make test`; `make faults` runs FARSHORE_FAULT_ROUNDS rounds of it, in which services also stand still for
longer than their session with Kafka lasts. See docs/faults.md.
"""

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from fault_report import FaultReport
from fault_run import FaultRun, Verdict
from kills import Killer
from local_stack import LocalStack

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end, pytest.mark.slow]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261124"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
KILLS_IN_SHORT = 6
KILLS_A_ROUND = 40
# The shortest session that the local Kafka allows is a second; a dead instance's share has to move on within a round.
ENVIRON = {"FARSHORE_KAFKA_SESSION_TIMEOUT": "3"}


async def kill_while_pushing(
    folder: Path, instances: int, kills: int, seed: int, standstills: float = 0.0
) -> tuple[Verdict, Killer]:
    workers = {"FARSHORE_RECEIVER_WORKERS": str(min(instances, 2))}
    with LocalStack(folder, "--instances", str(instances), environ=ENVIRON | workers) as stack:
        killer = Killer(stack, random.Random(f"kills {seed}"), standstills=standstills)
        async with FaultRun.of(stack, seed) as run:
            await run.until_pushed(4)
            await killer.run(kills, run.check_health)
            return await run.verdict(), killer


@pytest.mark.timeout(900)
@pytest.mark.parametrize("instances", [1, 3])
async def test_no_promise_is_broken_however_services_are_killed(tmp_path: Path, instances: int) -> None:
    verdict, killer = await kill_while_pushing(tmp_path / "state", instances, KILLS_IN_SHORT, SEED)
    assert verdict.violations == []
    assert killer.killed.total() >= KILLS_IN_SHORT
    assert verdict.figures["checked_on_disk"] >= 4


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(600 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_hundreds_of_kills(tmp_path: Path) -> None:
    report = FaultReport("kill-nine")
    for number in range(ROUNDS):
        seed = SEED + number
        instances = (1, 3)[seed % 2]
        began = time.monotonic()
        folder = tmp_path / f"round-{number}"
        verdict, killer = await kill_while_pushing(folder, instances, KILLS_A_ROUND, seed, standstills=0.15)
        report.add(
            {
                "seed": seed,
                "instances": instances,
                "seconds": round(time.monotonic() - began),
                "kills": dict(sorted(killer.killed.items())),
                "standstills": dict(sorted(killer.stood_still.items())),
                **verdict.figures,
                "violations": verdict.violations,
            }
        )
        if verdict.violations:
            print(f"what it left is in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    print(report.table())
    assert report.violations() == []
