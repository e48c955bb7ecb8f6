"""Blocking calls of one cluster share a bounded set of threads."""

import asyncio
import threading

import pytest

from farshore.errors import FarshoreError
from farshore.workers import Workers


async def test_no_more_than_its_threads_run_at_once_and_all_are_used() -> None:
    workers: Workers[int] = Workers("fra", 3, threading.get_ident)
    full = threading.Barrier(3)
    lock = threading.Lock()
    running = most = 0

    def work(_connection: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(10)  # breaks unless three run together
        with lock:
            running -= 1

    await asyncio.gather(*(workers.run(work) for _ in range(9)))
    assert most == 3
    workers.close()


async def test_a_connection_is_never_used_by_two_threads() -> None:
    workers: Workers[int] = Workers("fra", 4, threading.get_ident)
    pairs = await asyncio.gather(*(workers.run(lambda owner: (owner, threading.get_ident())) for _ in range(50)))
    assert all(owner == user for owner, user in pairs)
    workers.close()


async def test_one_thread_serves_calls_that_come_one_by_one() -> None:
    workers: Workers[int] = Workers("fra", 8, threading.get_ident)
    assert len({await workers.run(lambda owner: owner) for _ in range(20)}) == 1
    workers.close()


async def test_what_the_work_raises_reaches_its_caller_and_the_thread_lives_on() -> None:
    workers: Workers[int] = Workers("fra", 1, threading.get_ident)

    def fail(_connection: int) -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await workers.run(fail)
    assert await workers.run(lambda _connection: "on") == "on"
    workers.close()


async def test_work_whose_caller_gave_up_while_it_waited_is_spared() -> None:
    workers: Workers[int] = Workers("fra", 1, threading.get_ident)
    release, begun = threading.Event(), threading.Event()
    done: list[str] = []

    def hold(_connection: int) -> bool:
        begun.set()
        return release.wait(10)

    holding = asyncio.create_task(workers.run(hold))
    await asyncio.to_thread(begun.wait, 10)
    waiting = asyncio.create_task(workers.run(lambda _connection: done.append("spared")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await holding
    await workers.run(lambda _connection: done.append("last"))
    assert done == ["last"]
    workers.close()


async def test_a_hanging_call_of_one_cluster_holds_up_no_other() -> None:
    slow: Workers[int] = Workers("syd", 1, threading.get_ident)
    quick: Workers[int] = Workers("fra", 1, threading.get_ident)
    release = threading.Event()
    hanging = asyncio.create_task(slow.run(lambda _connection: release.wait(10)))
    assert await quick.run(lambda _connection: "answer") == "answer"
    assert not hanging.done()
    release.set()
    await hanging
    slow.close()
    quick.close()


async def test_a_closed_client_refuses_and_its_threads_end() -> None:
    workers: Workers[threading.Thread] = Workers("fra", 2, threading.current_thread)
    thread = await workers.run(lambda owner: owner)
    workers.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    with pytest.raises(FarshoreError, match="closed"):
        await workers.run(lambda _connection: None)


async def test_a_connection_that_could_not_be_made_is_tried_again_by_the_next_call() -> None:
    failures = [OSError("no room")]

    def connect() -> int:
        if failures:
            raise failures.pop()
        return threading.get_ident()

    workers: Workers[int] = Workers("fra", 1, connect)
    async with asyncio.timeout(60):
        with pytest.raises(OSError, match="no room"):
            await workers.run(lambda ident: ident)
        assert await workers.run(lambda ident: ident) != threading.get_ident()
    workers.close()
