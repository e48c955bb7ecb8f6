"""Every service is replaced by one of another version while images are pushed: nothing is lost, nothing is doubled.

Both versions serve the same topics side by side meanwhile; the other one's records have what this one doesn't know.
"""

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from fault_report import FaultReport
from fault_run import FaultRun, Verdict
from local_stack import LocalStack
from rollout import TOPICS, WORKER, Rollout, versions_by_topic

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end, pytest.mark.slow]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261128"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
# In the order of the records' way, so that each service of this version reads what the next one before it writes.
DOWNSTREAM = (WORKER, "receiver", "coalescer", "coalescer-2", "verifier", "verifier-2", "reconciler")
EDGES = ("edge-nyc", "edge-fra", "edge-syd")
BOTH = {topic.name: {"this", "next"} for topic in TOPICS}
ENVIRON = {"FARSHORE_KAFKA_SESSION_TIMEOUT": "3", "FARSHORE_RECEIVER_WORKERS": "2"}


async def replace_while_pushing(folder: Path, seed: int, *orders: Sequence[str]) -> tuple[Verdict, dict[str, set[str]]]:
    """Replace in each order, in turn by the next version and by this one again; which versions wrote which topic."""
    rollout = Rollout(folder.parent)
    with LocalStack(folder, "--instances", "2", environ=ENVIRON | rollout.environ) as stack:
        async with FaultRun.of(stack, seed) as run:
            await run.until_ready()
            for turn, order in enumerate(orders):
                rollout.choose(next_one=turn % 2 == 0)
                for name in order:
                    await rollout.replace(stack, name)
                    await run.until_pushed(len(run.pushed) + 1)
            await run.until_pushed(len(run.pushed) + 2)
            return await run.verdict(), dict(await versions_by_topic(run.bus))


@pytest.mark.timeout(600)
async def test_every_service_is_replaced_by_the_next_version_and_no_promise_is_broken(tmp_path: Path) -> None:
    verdict, versions = await replace_while_pushing(tmp_path / "state", SEED, DOWNSTREAM)
    assert verdict.violations == []
    assert versions == BOTH


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(1200 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_upgrades_and_ways_back_in_any_order(tmp_path: Path) -> None:
    report = FaultReport("rolling-upgrade")
    for number in range(ROUNDS):
        seed = SEED + number
        rng = random.Random(f"rollout {seed}")
        orders = [rng.sample(names, len(names)) for names in [DOWNSTREAM + EDGES] * 3]
        folder = tmp_path / f"round-{number}" / "state"
        folder.parent.mkdir()
        verdict, versions = await replace_while_pushing(folder, seed, *orders)
        replaced = sum(map(len, orders))
        report.add({"seed": seed, "replaced": replaced, **verdict.figures, "violations": verdict.violations})
        assert versions == BOTH, seed
        if verdict.violations:
            print(f"what it left is in {folder}", flush=True)
        else:
            shutil.rmtree(folder.parent)
    print(report.table())
    assert report.violations() == []
