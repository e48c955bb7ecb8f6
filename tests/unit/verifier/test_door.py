"""Many arrivals wait for one registry that lets nobody in."""

import asyncio
import random

from record_examples import ARRIVAL
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.records.events import Event
from farshore.records.readiness import ReadinessState
from farshore.registry import RegistryAnsweredError, RegistryClient, TimedOutError, UnreachableError
from farshore.topology import Verification
from farshore_verifier.attempts import Attempts
from farshore_verifier.dirty import SnapshotRequests
from farshore_verifier.outcome import Decided, Failed, Finding, Proven
from farshore_verifier.supersede import Reach
from farshore_verifier.verify import SiteVerifier, failure

MANY = 100
DOWN = Failed(ReadinessState.UNREACHABLE, "refused", of_registry=True)


class Scripted(SiteVerifier):
    """A registry that answers what it is told to."""

    def __init__(self, retry_for: str = "15m") -> None:
        super().__init__(RegistryClient("http://fra.invalid"), Verification.model_validate({"retry_for": retry_for}))
        self.finding: Finding = DOWN
        self.looks = 0

    async def look(self, event: Event, *, again: bool = False) -> Finding:
        self.looks += 1
        return self.finding


def attempts(verifier: SiteVerifier) -> Attempts:
    return Attempts(ARRIVAL, verifier, SnapshotRequests(Bus("127.0.0.1:1")), random.Random(1))


async def waiting_arrivals(verifier: Scripted) -> tuple[list[Attempts], "list[asyncio.Task[Decided]]"]:
    """MANY of which each has looked once, and some again, by themselves."""
    all_of_them = [attempts(verifier) for _ in range(MANY)]
    tasks = [asyncio.create_task(one.until_decided()) for one in all_of_them]
    await wait_until(lambda: verifier.looks >= MANY + 4, 30, "four to be let in again")
    return all_of_them, tasks


async def test_one_at_a_time_tries_a_registry_that_is_down_and_when_it_is_back_all_look_at_once() -> None:
    verifier = Scripted()
    _, tasks = await waiting_arrivals(verifier)
    assert verifier.looks < MANY + 10, "the others wait"
    verifier.finding = Proven("manifest", (), 0, "0" * 64)
    decided = await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert {one.state for one in decided} == {ReadinessState.READY}
    assert verifier.looks < 2 * MANY + 10, "each by a look of its own"


async def test_who_has_no_more_patience_looks_once_more_and_decides_by_that() -> None:
    verifier = Scripted(retry_for="1s")
    decided = await asyncio.wait_for(asyncio.gather(*(attempts(verifier).until_decided() for _ in range(MANY))), 60)
    assert {one.state for one in decided} == {ReadinessState.UNREACHABLE}
    assert verifier.looks >= 2 * MANY


async def test_a_newer_event_is_heard_at_the_door() -> None:
    verifier = Scripted()
    all_of_them, tasks = await waiting_arrivals(verifier)
    for one in all_of_them:
        one.touch(Reach.NAME)
    decided = await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert {one.state for one in decided} == {ReadinessState.SUPERSEDED}


async def test_what_content_alone_lacks_keeps_the_door_open() -> None:
    verifier = Scripted()
    verifier.finding = Failed(ReadinessState.NOT_FOUND, "no such blob")
    tasks = [asyncio.create_task(attempts(verifier).until_decided()) for _ in range(MANY)]
    await wait_until(lambda: verifier.looks >= 3 * MANY, 30, "each to look again")
    for task in tasks:
        task.cancel()


def test_which_failures_any_look_would_meet() -> None:
    of_registry = [UnreachableError("GET x", "refused"), TimedOutError("GET x", "silence")]
    of_registry += [RegistryAnsweredError("GET x", status, "") for status in (401, 429, 503)]
    assert all(failure(error).of_registry for error in of_registry)
    assert not failure(RegistryAnsweredError("GET x", 500, "")).of_registry
