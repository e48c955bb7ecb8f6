"""What follows from one look: only proof makes ready."""

import random
from itertools import product

import pytest

from farshore.records.readiness import ReadinessState
from farshore.registry import RegistryAnsweredError
from farshore_verifier.outcome import (
    LONGEST_PAUSE_SECONDS,
    Decided,
    Explained,
    Failed,
    FailureState,
    Gone,
    LookAgain,
    Proven,
    judge,
    pause_seconds,
)
from farshore_verifier.supersede import Reach
from farshore_verifier.verify import failure

STATES: tuple[FailureState, ...] = (
    ReadinessState.NOT_FOUND,
    ReadinessState.CORRUPT,
    ReadinessState.TIMED_OUT,
    ReadinessState.UNREACHABLE,
    ReadinessState.REGISTRY_ERROR,
)


@pytest.mark.parametrize("touched", [None, *Reach])
def test_proof_is_ready_and_absence_of_the_deleted_is_revoked_whatever_came_later(touched: Reach | None) -> None:
    proven = judge(Proven("content", (), 1, "r"), touched, 1e9, 1)
    gone = judge(Gone(), touched, 1e9, 1)
    assert isinstance(proven, Decided)
    assert isinstance(gone, Decided)
    assert (proven.state, gone.state) == (ReadinessState.READY, ReadinessState.REVOKED)
    assert not proven.given_up
    assert not gone.given_up


def test_no_failure_is_ever_ready_and_each_keeps_its_own_answer() -> None:
    for state, explained, touched, waited in product(STATES, Explained, [None, *Reach], [0, 0.5, 1, 9, 10, 1e9]):
        verdict = judge(Failed(state, "why", explained), touched, waited, 10)
        if isinstance(verdict, LookAgain):
            assert waited < 10
            assert touched is not Reach.NAME
        elif verdict.state is ReadinessState.SUPERSEDED:
            assert touched is Reach.NAME or explained is Explained.BY_LAG
            assert not verdict.given_up
        else:
            assert verdict.state is state
            assert verdict.given_up
            assert explained is Explained.NEVER_HEALS or waited >= 10


def test_a_reason_that_quotes_a_registry_is_short_and_fits_into_a_record() -> None:
    said = failure(RegistryAnsweredError("GET x", 500, "\udcff" * 100_000))
    assert said.state is ReadinessState.REGISTRY_ERROR
    assert len(said.reason.encode()) < 10_000
    assert "500 " in said.reason


def test_only_a_lag_of_a_second_asks_for_a_snapshot() -> None:
    for state, explained, waited in product(STATES, Explained, [0, 0.9, 1.0, 5]):
        verdict = judge(Failed(state, "why", explained), None, waited, 10)
        wants = isinstance(verdict, LookAgain) and verdict.wants_snapshot
        assert wants == (explained is Explained.BY_LAG and waited >= 1)


def test_pauses_begin_short_and_stay_below_ten_seconds() -> None:
    chance = random.Random(1).random
    pauses = [pause_seconds(attempt, chance()) for attempt in range(1, 60)]
    assert pauses[0] <= 0.05
    assert all(0 < pause <= LONGEST_PAUSE_SECONDS for pause in pauses)
    assert min(pauses[20:]) >= LONGEST_PAUSE_SECONDS / 2
