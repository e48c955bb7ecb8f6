"""The planner that the batching is measured against (bench/optimum.py) is exact, and the decisions come near it."""

import itertools
import random

import pytest
from bench.optimum import Event, Link, decided, fewest

from farshore_coalescer.state import Rules

SETTLE = 250
BURST = [Event(0, 0), Event(100, 0), Event(200, 0)]
SLOW = Link(1000, 1e6)


def every_plan(events: list[Event], link: Link) -> list[tuple[int, int]]:
    """Transfers and lag of each way to cut `events` into batches; each sets out when it has settled and can.

    Ways that would leave behind what has settled by then are none: a snapshot holds it.
    """
    plans = []
    for cuts in itertools.product((False, True), repeat=len(events) - 1):
        ends = [place + 1 for place, cut in enumerate(cuts) if cut] + [len(events)]
        free, first, lag, possible = 0, 0, 0, True
        for end in ends:
            batch, begin = events[first:end], max(free, events[end - 1].at + SETTLE)
            possible &= all(event.at + SETTLE > begin for event in events[end:])
            free = begin + link.takes(sum(event.size for event in batch))
            lag += sum(free - event.at for event in batch)
            first = end
        if possible:
            plans.append((len(ends), lag))
    return plans


def test_a_burst_needs_one_transfer_and_no_plan_is_quicker_than_what_events_take_alone() -> None:
    assert fewest(BURST, SLOW, SETTLE, most_lag=3 * 1450 - 300) == 1
    with pytest.raises(ValueError, match="so little lag"):
        fewest(BURST, SLOW, SETTLE, most_lag=3 * 1250 - 1)


@pytest.mark.parametrize("seed", range(30))
def test_the_planner_finds_what_trying_everything_finds(seed: int) -> None:
    rng = random.Random(seed)
    at = sorted(rng.randrange(4000) for _ in range(7))
    events = [Event(time, rng.choice([0, 100_000, 900_000])) for time in at]
    link = Link(rng.choice([50, 400, 1200]), 1e6)
    plans = every_plan(events, link)
    for most_lag in {lag for _, lag in plans}:
        assert fewest(events, link, SETTLE, most_lag) == min(count for count, lag in plans if lag <= most_lag)


def test_bursts_take_hardly_more_transfers_than_one_who_knows_the_future_would_need() -> None:
    bursts = [Event(start + step, 1000) for start in range(0, 60_000, 6000) for step in (0, 90, 200, 330, 400)]
    (outcome,) = decided(bursts, [SLOW], Rules())
    assert outcome.transfers <= 1.1 * fewest(bursts, SLOW, SETTLE, outcome.lag)
