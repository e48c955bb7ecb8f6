"""The coalescer's promises under many seeded schedules: nothing lost, nothing announced early, no needless transfer."""

import os

import pytest
from diagram import PAGE, SCHEDULES, draw, drawn, reachable
from many import run_all
from schedule import run_range, run_schedule


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_schedule_keeps_every_promise_and_together_they_reach_all_that_can_be_reached() -> None:
    failure, reached = run_all(run_range, int(os.environ.get("FARSHORE_SCHEDULES", SCHEDULES)))
    assert failure is None, failure
    missed = reachable() - set(reached)
    assert not missed, f"no longer reached: {sorted(missed)}; if that is right: python tests/simulation/diagram.py"


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert run_schedule(7, faulty=True) == run_schedule(7, faulty=True)
    assert run_schedule(7, faulty=True) != run_schedule(8, faulty=True)


def test_while_all_replicas_are_busy_events_collect_into_one_batch() -> None:
    outcomes = [run_schedule(seed, faulty=False) for seed in range(50)]
    assert sum(outcome.snapshots for outcome in outcomes) < sum(outcome.events for outcome in outcomes) / 2


def test_a_former_owner_that_goes_on_is_refused_by_kafka() -> None:
    assert sum(run_schedule(seed, faulty=True).fenced for seed in range(100)) > 0


def test_the_documented_steps_are_the_listed_ones() -> None:
    assert drawn(PAGE.read_text(encoding="utf-8")) == draw(reachable()), "run: python tests/simulation/diagram.py"
