"""What a Kafka client was asked for ends by itself, without a complaint, when nobody waits any more."""

import asyncio
import gc
from typing import Any

import pytest

from farshore.bus.closing import asked_for


async def test_a_failure_that_nobody_waits_for_any_more_is_not_complained_of() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    answers: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future()]

    async def ask() -> None:
        await asyncio.shield(answers[0])  # as aiokafka does

    asking = asyncio.create_task(asked_for(ask()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    answers[0].set_exception(RuntimeError("fenced"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers.clear()
    gc.collect()
    assert asking.cancelled()
    assert complaints == []


async def test_a_failure_that_is_waited_for_is_raised() -> None:
    async def ask() -> None:
        raise RuntimeError("fenced")

    with pytest.raises(RuntimeError, match="fenced"):
        await asked_for(ask())
