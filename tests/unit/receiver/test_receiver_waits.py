"""Waits that share a timer."""

import asyncio

from farshore_receiver.waits import Waits


async def test_a_wait_that_nobody_ends_runs_out() -> None:
    waits = Waits(0.05)
    first, second = waits.begin(), waits.begin()
    assert isinstance(await first, TimeoutError)
    assert isinstance(await second, TimeoutError)
    assert isinstance(await waits.begin(), TimeoutError), "the timer starts again"


async def test_a_wait_that_was_ended_keeps_its_outcome_and_holds_up_no_other() -> None:
    waits = Waits(0.05)
    ended, cancelled, left = waits.begin(), waits.begin(), waits.begin()
    ended.set_result(None)
    cancelled.cancel()
    assert isinstance(await left, TimeoutError)
    assert await ended is None


async def test_the_timer_goes_on_with_the_waits_that_began_later() -> None:
    waits = Waits(0.2)
    first = waits.begin()
    await asyncio.sleep(0.1)
    second = waits.begin()
    assert isinstance(await first, TimeoutError)
    assert isinstance(await second, TimeoutError)
