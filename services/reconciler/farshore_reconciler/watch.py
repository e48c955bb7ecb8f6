"""Again and again: every registry after each pause, and between them those that somebody asked for."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Never

from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import FarshoreError, RetryClass
from farshore_reconciler import metrics
from farshore_reconciler.pace import Pace
from farshore_reconciler.reconcile import Reconciler
from farshore_reconciler.report import RegistryReport
from farshore_reconciler.requests import Requests

AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class Watch:
    """`every_seconds` from the end of a run of all registries to the next. `tell` hears what each run found, `gave_up`
    what ended one before it was done."""

    reconciler: Reconciler
    registries: Collection[str]
    every_seconds: float
    tell: Callable[[Sequence[RegistryReport]], None]
    gave_up: Callable[[FarshoreError], None]

    async def run(self) -> Never:
        """Until cancelled."""
        paces = {name: Pace(self.every_seconds) for name in self.registries}
        full_at = asyncio.get_running_loop().time()
        while True:
            try:
                async with Requests(self.reconciler.bus, self.registries) as requests:
                    while True:
                        full_at = await self._turn(requests, paces, full_at)
            except FarshoreError as error:
                self.gave_up(error)
            except KAFKA_FAILURES as error:
                reason = str(error) or type(error).__name__
                self.gave_up(FarshoreError("follow", "requests", reason, retry=RetryClass.RETRY_SOON))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _turn(self, requests: Requests, paces: dict[str, Pace], full_at: float) -> float:
        """Wait for what is due next, and run it; returns when all registries are due."""
        clock: Callable[[], float] = asyncio.get_running_loop().time
        asked = [name for name in self.registries if name in requests.asked]
        if clock() >= full_at:
            await self._run(list(self.registries), requests, paces)
            return clock() + self.every_seconds
        due = [name for name in asked if clock() >= paces[name].not_before]
        if due:
            await self._run(due, requests, paces)
        else:
            times = [paces[name].not_before for name in asked]
            await requests.wait(min([full_at, *times]) - clock())
        return full_at

    async def _run(self, names: list[str], requests: Requests, paces: dict[str, Pace]) -> None:
        await requests.catch_up()
        asked = requests.asked & set(names)
        places = await requests.places()
        for name in asked:
            metrics.requested.labels(name).inc()
        try:
            reports = await self.reconciler.run(names)
        except FarshoreError as error:
            self.gave_up(error)
        else:
            self.tell(reports)
            done = asked & {report.registry for report in reports if not report.is_unknown}
            commit = not self.reconciler.options.dry_run
            await requests.met({name: places[name] for name in done}, commit=commit)
        for name in asked:
            paces[name].ran(asyncio.get_running_loop().time())
