"""Tasks that end together."""

import asyncio

import pytest

from farshore.together import Together, together


class _Endless:
    """Work that ends only when it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


async def _fail() -> None:
    raise ValueError("on purpose")


async def test_a_failure_ends_the_others_and_is_raised_as_it_is() -> None:
    work, companion = _Endless(), _Endless()
    with pytest.raises(ValueError, match="on purpose"):
        await together(work.run(), _fail(), beside=[companion.run()])
    assert work.cancelled
    assert companion.cancelled


async def test_after_a_failure_time_outs_are_still_time_outs() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        await together(_Endless().run(), _fail())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_what_runs_beside_ends_with_the_others() -> None:
    companion = _Endless()
    await together(asyncio.sleep(0), asyncio.sleep(0.01), beside=[companion.run()])
    assert companion.cancelled


async def test_what_was_started_later_fails_all_too() -> None:
    tasks, endless = Together(), _Endless()

    async def work() -> None:
        tasks.start(_fail())
        await endless.run()

    tasks.start(work())
    with pytest.raises(ValueError, match="on purpose"):
        await tasks.wait()
    assert endless.cancelled


async def test_who_is_cancelled_cancels_all() -> None:
    work, companion = _Endless(), _Endless()
    waiting = asyncio.create_task(together(work.run(), beside=[companion.run()]))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled
    assert companion.cancelled


async def test_what_ends_as_cancelled_though_nobody_asked_fails_the_others() -> None:
    async def stray() -> None:
        raise asyncio.CancelledError

    work = _Endless()
    with pytest.raises(RuntimeError, match=r"stray.*was cancelled, and nobody asked for that"):
        await together(work.run(), stray())
    assert work.cancelled
