"""Looks at one arrival again and again until it is decided, without holding anybody else up."""

import asyncio
import logging
import random
from collections.abc import Callable

from opentelemetry import trace

from farshore.records.arrivals import Arrival
from farshore.records.readiness import ReadinessState
from farshore.telemetry import current_traceparent, event
from farshore.telemetry.spans import detail, fail
from farshore_verifier import metrics
from farshore_verifier.course import Course
from farshore_verifier.dirty import SnapshotRequests
from farshore_verifier.door import Entry
from farshore_verifier.outcome import Decided, Failed, Finding, Proven
from farshore_verifier.supersede import Reach
from farshore_verifier.verify import SiteVerifier

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("farshore.verifier")


class Attempts:
    """The looks at one arrival. `touch` and `hurry` may be called while `until_decided` runs."""

    def __init__(
        self, arrival: Arrival, verifier: SiteVerifier, snapshots: SnapshotRequests, jitter: random.Random
    ) -> None:
        self._arrival = arrival
        self._verifier = verifier
        self._snapshots = snapshots
        self._course = Course(verifier.policy.retry_for, jitter.random)
        self._hurry = asyncio.Event()
        self._entry: Entry | None = None
        self._labels = {"site": arrival.site, "registry": arrival.event.registry}

    def touch(self, reach: Reach) -> None:
        """A newer event bears on this arrival."""
        self._course.touch(reach)
        self.hurry()

    def hurry(self) -> None:
        """Something changed at the site: look again at once."""
        self._hurry.set()
        if self._entry is not None and not self._entry.done():
            self._entry.set_result(None)

    async def until_decided(self) -> Decided:
        """Look until the arrival is decided."""
        clock: Callable[[], float] = asyncio.get_running_loop().time
        alarmed = False
        self._course.begin(clock())
        while True:
            self._hurry.clear()
            finding = await self._look()
            self._verifier.door.told(finding)
            alarmed = self._count(finding, alarmed)
            step = self._course.see(finding, clock())
            if isinstance(step, Decided):
                return step
            if step.ask_for_snapshot and await self._snapshots.ask(self._arrival, current_traceparent()):
                self._course.asked()
            await self._pause(step.seconds)
            await self._wait_at_the_door(self._course.patience(clock()))
            if self._hurry.is_set():
                self._course.hurried()

    async def _look(self) -> Finding:
        """With the wait for its turn."""
        with detail(_tracer, "look at site") as looking:
            finding = await self._verifier.look(self._arrival.event, again=self._course.looked)
            if isinstance(finding, Proven):
                looking.set_attribute("farshore.level", finding.level)
                looking.set_attribute("farshore.bytes_verified", finding.bytes_verified)
            if isinstance(finding, Failed):
                fail(looking, finding.state.value, finding.reason)
            return finding

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _wait_at_the_door(self, patience_seconds: float) -> None:
        """Leave it to another arrival to find that the registry is back; who has no more patience looks once more."""
        entry = None if self._hurry.is_set() else self._verifier.door.wait()
        if entry is None:
            return
        self._entry = entry
        try:
            async with asyncio.timeout(max(0.0, patience_seconds)):
                await entry
        except TimeoutError:
            return
        finally:
            self._entry = None
            self._verifier.door.leave(entry)

    def _count(self, finding: Finding, alarmed: bool) -> bool:
        """Count what was seen; damage is an alarm, raised once for the arrival. Returns whether it has been raised."""
        if isinstance(finding, Proven):
            metrics.hashed_bytes.add(finding.bytes_verified, self._labels)
        if not isinstance(finding, Failed):
            return alarmed
        metrics.failed_looks.add(1, {**self._labels, "state": finding.state})
        if finding.state is not ReadinessState.CORRUPT or alarmed:
            return alarmed
        metrics.corrupt.add(1, self._labels)
        event(
            log,
            logging.ERROR,
            "CORRUPT: a site serves damaged content",
            **self._labels,
            image=self._arrival.event.image,
            snapshot=self._arrival.passage.snapshot,
            reason=finding.reason,
        )
        return True
