"""The verifier's promises under many seeded schedules: ready once and never early, revoked, superseded, everywhere."""

import os

import pytest
from many import run_all
from verifier_campaign import reachable
from verifier_schedule import run_range, run_schedule


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_schedule_keeps_the_verifiers_promises_and_together_they_reach_all_that_is_listed() -> None:
    failure, reached = run_all(run_range, int(os.environ.get("FARSHORE_VERIFIER_SCHEDULES", "2000")))
    assert failure is None, failure
    missed = reachable() - set(reached)
    assert not missed, f"{sorted(missed)}; if that is right: python tests/simulation/verifier_campaign.py --list"


def test_the_same_seed_gives_the_same_schedule_of_the_verifier() -> None:
    assert run_schedule(7) == run_schedule(7)
    assert run_schedule(7) != run_schedule(9)


def test_a_former_owner_of_a_lane_that_goes_on_is_refused() -> None:
    assert sum(run_schedule(seed).fenced for seed in range(1, 100)) > 0
