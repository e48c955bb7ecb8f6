"""Carries out a move: looks, does what can be done now, looks again, until nothing is left.

The world is the only memory: a call whose reply was lost is neither repeated nor believed, the next look tells. So it
can be killed at any moment and run again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.topics import create_missing_topics
from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore.records.moves import MoveMarked
from farshore.topology import Topology, TopologyError, load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.execute import CALLS
from farshore_cli.applying.run import opened
from farshore_cli.applying.steps import Consequence
from farshore_cli.fences.find import fences_up
from farshore_cli.moving.ask import Asker
from farshore_cli.moving.facts import Hold, MoveFacts
from farshore_cli.moving.holds import HoldFiles
from farshore_cli.moving.log import MoveLog
from farshore_cli.moving.loss import Loss, correction
from farshore_cli.moving.observe import Observer
from farshore_cli.moving.plan import AS_ASKED, Intent, is_switched, plan_move
from farshore_cli.moving.rewrite import rewritten
from farshore_cli.moving.steps import Act, MovePlan, MoveStep
from farshore_cli.moving.successor import successor
from farshore_cli.stack.files import write
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.read_log import LogReader

ATTEMPTS = 5
"""How often one step is tried, or accepted and still not so, before it counts as failed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
GO_BACK_SECONDS = 300.0
"""How long the way back may take, beyond the time for all of it."""
LOOK_SECONDS = 60.0
"""How long Kafka may be away before the mover ends."""


class MoveScreen(Protocol):
    """Whoever shows what happens."""

    def beginning(self, step: MoveStep) -> None:
        """The mover does it now."""

    def done(self, step: MoveStep, failure: FarshoreError | None) -> None:
        """It did, or couldn't."""

    def looked(self, plan: MovePlan) -> None:
        """What is left."""


@dataclass(frozen=True, slots=True)
class Request:
    """A move as it was asked for."""

    topology_file: Path
    bus: Bus
    intent: Intent
    hold_dir: str
    promote: Callable[[], Awaitable[None]] | None = None
    """Has the target's registry take writes and post notifications; may be called again. Raises FarshoreError."""


@dataclass(slots=True)
class MoveOutcome:
    """How it ended."""

    plan: MovePlan
    done: list[MoveStep] = field(default_factory=list)
    failures: dict[str, FarshoreError] = field(default_factory=dict)
    held_seconds: dict[str, float] = field(default_factory=dict)
    """By site: how long its edge held writes, where it was this run that released them."""
    loss: Loss | None = None
    """Of a forced move: what didn't come through."""
    given_up: str = ""
    out_of_time: bool = False

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "complete": self.exit_code == exit_codes.OK,
            "given_up": self.given_up or None,
            "done": [step.as_json() for step in self.done],
            "failures": [str(error) for error in self.failures.values()],
            "held_seconds": {site: round(seconds, 3) for site, seconds in self.held_seconds.items()},
            "loss": self.loss.as_json() if self.loss is not None else None,
            "left": self.plan.as_json(),
        }

    @property
    def exit_code(self) -> int:
        """0: all is done, or undone as was asked. 1: a person has to act. 75: not at its end; run it again."""
        if self.failures or self.plan.has(Consequence.BLOCKED):
            return exit_codes.FAILED
        if self.plan.steps or self.plan.has(Consequence.UNKNOWN):
            return exit_codes.UNKNOWN
        return exit_codes.OK if self.given_up in ("", AS_ASKED) else exit_codes.UNKNOWN


class Mover:
    """Moves one registry; what it works with is entered by `opened_mover`."""

    def __init__(self, request: Request, observer: Observer, topology: Topology) -> None:
        self._request = request
        self.observer = observer
        self._topology = topology
        self._attempts: dict[str, int] = {}
        self._holds: dict[str, Hold | None] = {}
        self.outcome = MoveOutcome(MovePlan())

    async def look(self) -> MovePlan:
        """What is left to be done now; changes nothing."""
        return plan_move(self._topology, self._request.intent, await self._facts())

    async def _facts(self) -> MoveFacts:
        try:
            facts = await self.observer.look(self._topology, self._request.intent)
        except KAFKA_FAILURES as error:
            reason = str(error) or type(error).__name__
            raise FarshoreError("look", "at Kafka", reason, retry=RetryClass.RETRY_SOON) from error
        self._holds = dict(facts.holds)
        self.outcome.loss = facts.loss
        return facts

    async def _facts_in_time(self) -> MoveFacts:
        """Look again for a while where that fails: writes may be held meanwhile."""
        ends, pause = time.monotonic() + LOOK_SECONDS, FIRST_PAUSE
        while True:
            try:
                return await self._facts()
            except FarshoreError as error:
                if error.retry in (RetryClass.FINAL, RetryClass.OPERATOR) or time.monotonic() >= ends:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def run(self, screen: MoveScreen, within: float) -> MoveOutcome:
        """Return when nothing is left that can be done, or the time is over."""
        ends = time.monotonic() + within
        pause, outcome, intent = FIRST_PAUSE, self.outcome, self._request.intent
        while True:
            plan = outcome.plan = plan_move(self._topology, intent, await self._facts_in_time())
            screen.looked(plan)
            if plan.given_up:
                outcome.given_up = outcome.given_up or plan.given_up
                intent = replace(intent, abort=True)
            todo = [step for step in plan.ready if step.key not in outcome.failures]
            failed = len(todo) < len(plan.ready)
            if not plan.ready and not plan.awaited:
                return outcome
            outcome.out_of_time = outcome.out_of_time or time.monotonic() >= ends
            if failed or time.monotonic() >= ends:
                if intent.abort or is_switched(self._topology, intent):
                    return outcome
                # clients aren't kept waiting for somebody who has stopped
                outcome.given_up = "a step failed" if failed else "its time is over"
                intent, ends = replace(intent, abort=True), time.monotonic() + GO_BACK_SECONDS
                continue
            went_well = all(await asyncio.gather(*(self._do(step, screen) for step in todo)))
            if todo and went_well:
                pause = FIRST_PAUSE
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _do(self, step: MoveStep, screen: MoveScreen) -> bool:
        screen.beginning(step)
        attempts = self._attempts[step.key] = self._attempts.get(step.key, 0) + 1
        try:
            if attempts > ATTEMPTS:
                reason = f"done {ATTEMPTS} times, and still not so"
                raise FarshoreError(str(step.stage), step.words, reason, retry=RetryClass.OPERATOR)
            await self._perform(step)
        except KAFKA_FAILURES as error:
            failure = FarshoreError(
                str(step.stage), "Kafka", str(error) or type(error).__name__, retry=RetryClass.RETRY_SOON
            )
        except FarshoreError as error:
            failure = error
        else:
            self.outcome.done.append(step)
            screen.done(step, None)
            return True
        if failure.retry in (RetryClass.FINAL, RetryClass.OPERATOR) or attempts >= ATTEMPTS:
            self.outcome.failures[step.key] = failure
        screen.done(step, failure)
        return False

    async def _perform(self, step: MoveStep) -> None:
        intent, observer = self._request.intent, self.observer
        match step.act:
            case Act.HOLD:
                before = self._holds.get(step.site)
                since = before.since if before is not None and before.move else observer.now()
                observer.holds.write(step.site, Hold(step.move, intent.target, since))
            case Act.RELEASE:
                before = self._holds.get(step.site)
                observer.holds.remove(step.site)
                if before is not None:
                    self.outcome.held_seconds[step.site] = (observer.now() - before.since).total_seconds()
            case Act.MARK:
                entry, loss = self._topology.registries[intent.registry], self.outcome.loss
                await observer.log.mark(
                    MoveMarked(
                        move=step.move,
                        registry=intent.registry,
                        source=entry.primary.site,
                        target=intent.target,
                        epoch=entry.epoch + 1,
                        forced=intent.force,
                        cover=loss.cover if loss is not None and intent.force else None,
                        at=observer.now(),
                    )
                )
            case Act.ANNOUNCE:
                lost = self.outcome.loss.unannounced if self.outcome.loss is not None else []
                now = observer.now()
                await observer.log.write([correction(step.move, intent.registry, one, now) for one in lost])
            case Act.PROMOTE:
                if self._request.promote is not None:
                    await self._request.promote()
                observer.promoted = True
            case Act.SWITCH:
                self._switch()
            case Act.CALL:
                call = step.call
                if call is not None:
                    cluster = observer.clusters[call.site]
                    await cluster.send(
                        str(call.kind), call.subject, CALLS[call.kind], call.method, call.path, call.body
                    )

    def _switch(self) -> None:
        intent, file = self._request.intent, self._request.topology_file
        after = successor(self._topology, intent.registry, intent.target)
        try:
            text = rewritten(file.read_text(encoding="utf-8"), str(file), intent.registry, after)
            write(file.resolve(), text, mode=file.stat().st_mode & 0o777)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise FarshoreError("write topology", str(file), reason, retry=RetryClass.OPERATOR) from error
        except TopologyError as error:
            raise ConfigurationError("read topology", str(file), str(error)) from error
        self._topology = after


@asynccontextmanager
async def opened_mover(request: Request) -> AsyncIterator[Mover]:
    """A mover with its clients. Raises ConfigurationError, or FarshoreError where Kafka can't be reached."""
    topology = load_topology(request.topology_file)
    registry = request.intent.registry
    async with AsyncExitStack() as stack:
        clusters = await stack.enter_async_context(opened(topology))
        asker = await stack.enter_async_context(Asker())
        knowledge = stack.enter_context(Knowledge())
        try:
            await create_missing_topics(request.bus)
            producer = request.bus.producer()
            stack.push_async_callback(producer.stop)
            await producer.start()
            log = await stack.enter_async_context(MoveLog(request.bus, producer, registry))
            up = await fences_up(request.bus, [registry])
        except KAFKA_FAILURES as error:
            reason = str(error) or type(error).__name__
            raise FarshoreError("open", "Kafka", reason, retry=RetryClass.RETRY_SOON) from error
        observer = Observer(
            request.bus,
            clusters,
            asker,
            HoldFiles(request.hold_dir, registry),
            log,
            LogReader(request.bus, producer, [registry], knowledge),
            knowledge,
            tuple(standing.raised.fence for standing in up),
        )
        yield Mover(request, observer, topology)
