"""Makes a plan's calls, and looks again after each round until nothing is left that can be done.

The world is the only memory: a call whose reply was lost is neither repeated nor believed, the next look tells. So it
can be killed at any moment and run again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farshore.errors import RetryClass
from farshore.ontap import OntapCluster, OntapError
from farshore.ontap.errors import Call, classify, hint_for
from farshore.ontap.model import Transfer, TransferState
from farshore.topology import Topology
from farshore_cli.applying.facts import World
from farshore_cli.applying.observe import observe
from farshore_cli.applying.steps import Kind, Plan, Step

ATTEMPTS = 5
"""How often one call is made before it counts as failed."""
SHOWS_WITHIN_SECONDS = 60.0
"""A baseline that was accepted has to be seen running, or done, within this."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

CALLS = {
    Kind.CREATE_VOLUME: Call.VOLUME_POST,
    Kind.CHANGE_VOLUME: Call.VOLUME_PATCH,
    Kind.MOUNT_VOLUME: Call.VOLUME_PATCH,
    Kind.UNMOUNT_VOLUME: Call.VOLUME_PATCH,
    Kind.DELETE_VOLUME: Call.VOLUME_DELETE,
    Kind.CREATE_POLICY: Call.POLICY_POST,
    Kind.CHANGE_POLICY: Call.POLICY_PATCH,
    Kind.CREATE_RELATIONSHIP: Call.RELATIONSHIP_POST,
    Kind.INITIALISE: Call.RELATIONSHIP_PATCH,
    Kind.BREAK_OFF: Call.RELATIONSHIP_PATCH,
    Kind.RESYNC: Call.RELATIONSHIP_PATCH,
    Kind.PAUSE: Call.RELATIONSHIP_PATCH,
    Kind.ABORT_TRANSFER: Call.TRANSFER_PATCH,
    Kind.DELETE_RELATIONSHIP: Call.RELATIONSHIP_DELETE,
    Kind.CREATE_EVENTS: Call.EMS_POST,
    Kind.CHANGE_EVENTS: Call.EMS_PATCH,
}


class Screen(Protocol):
    """Whoever shows what happens."""

    def sending(self, step: Step) -> None:
        """The call is made now."""

    def sent(self, step: Step, failure: OntapError | None) -> None:
        """It came back."""

    def looked(self, plan: Plan) -> None:
        """What is left."""


class Unshown:
    """The screen of those who only want the outcome."""

    def sending(self, step: Step) -> None:
        """Not shown."""

    def sent(self, step: Step, failure: OntapError | None) -> None:
        """Not shown."""

    def looked(self, plan: Plan) -> None:
        """Not shown."""


@dataclass(slots=True)
class Outcome:
    """How it ended: what is left, what was done, and what failed for good, by step key."""

    plan: Plan
    done: list[Step] = field(default_factory=list)
    failures: dict[str, OntapError] = field(default_factory=dict)
    out_of_time: bool = False


@dataclass(slots=True)
class _Begun:
    """A baseline that was accepted, and the transfers that had ended before."""

    at: float
    ended_before: frozenset[str]


class Execution:
    """Carries out the plans that `planner` makes of what is seen, for at most `within` seconds."""

    def __init__(
        self,
        topology: Topology,
        clusters: Mapping[str, OntapCluster],
        planner: Callable[[World], Plan],
        screen: Screen,
        within: float,
    ) -> None:
        self._topology = topology
        self._clusters = clusters
        self._planner = planner
        self._screen = screen
        self._within = within
        self._attempts: dict[str, int] = {}
        self._begun: dict[str, _Begun] = {}
        self._outcome = Outcome(Plan())

    async def run(self) -> Outcome:
        """Return when nothing is left that can be done now, or the time is over."""
        ends = time.monotonic() + self._within
        pause = FIRST_PAUSE
        outcome = self._outcome
        while True:
            outcome.plan = self._planner(await observe(self._topology, self._clusters))
            self._screen.looked(outcome.plan)
            todo = [step for step in outcome.plan.ready if step.key not in outcome.failures]
            todo = [step for step in todo if not await self._awaited(step)]
            waiting = outcome.plan.baselines or any(self._is_awaited(step) for step in outcome.plan.ready)
            if not todo and not waiting:
                return outcome
            if time.monotonic() >= ends:
                outcome.out_of_time = True
                return outcome
            went_well = await self._send_all(todo)
            if went_well:
                pause = FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _is_awaited(self, step: Step) -> bool:
        return step.key in self._begun and step.key not in self._outcome.failures

    async def _awaited(self, step: Step) -> bool:
        """Whether `step` is a baseline of ours that isn't seen running yet, or failed for good. One that failed by
        what may pass, a link or a source snapshot that was deleted meanwhile, is begun again."""
        begun = self._begun.get(step.key)
        if begun is None:
            return False
        try:
            transfers = await self._transfers(step)
        except OntapError:
            transfers = []  # the next look tells
        new = [one for one in transfers if one.uuid not in begun.ended_before]
        bad = [one for one in new if not one.active and one.state is not TransferState.SUCCESS]
        if bad:
            error = _transfer_error(step, bad[-1])
            if error.retry not in (RetryClass.FINAL, RetryClass.OPERATOR) and self._attempts[step.key] < ATTEMPTS:
                del self._begun[step.key]
                self._screen.sent(step, error)
                return False
            self._fail(step, error)
        elif time.monotonic() - begun.at > SHOWS_WITHIN_SECONDS:
            reason = f"accepted {SHOWS_WITHIN_SECONDS:g} s ago, and no transfer runs"
            self._fail(step, OntapError(str(step.kind), step.subject, reason, retry=RetryClass.REDISCOVER))
        return True

    async def _send_all(self, steps: list[Step]) -> bool:
        """Clusters side by side, the calls of each in their order; whether some call went well."""
        by_site: dict[str, list[Step]] = {}
        for step in steps:
            by_site.setdefault(step.site, []).append(step)
        return any(await asyncio.gather(*(self._send_in_order(some) for some in by_site.values())))

    async def _send_in_order(self, steps: list[Step]) -> bool:
        results = [await self._send(step) for step in steps]
        return any(results)

    async def _send(self, step: Step) -> bool:
        self._screen.sending(step)
        try:
            await self._try(step)
        except OntapError as error:
            attempts = self._attempts[step.key] = self._attempts.get(step.key, 0) + 1
            if error.retry in (RetryClass.FINAL, RetryClass.OPERATOR) or attempts >= ATTEMPTS:
                self._fail(step, error)
            else:
                self._screen.sent(step, error)
            return False
        self._attempts[step.key] = self._attempts.get(step.key, 0) + 1
        if self._attempts[step.key] > ATTEMPTS:
            reason = f"accepted {ATTEMPTS} times, and still not so"
            self._fail(step, OntapError(str(step.kind), step.subject, reason, retry=RetryClass.OPERATOR))
            return False
        self._outcome.done.append(step)
        self._screen.sent(step, None)
        return True

    async def _try(self, step: Step) -> None:
        cluster = self._clusters[step.site]
        before: frozenset[str] = frozenset()
        if step.kind is Kind.INITIALISE:
            before = frozenset(one.uuid for one in await self._transfers(step))
        await cluster.send(str(step.kind), step.subject, CALLS[step.kind], step.method, step.path, step.body)
        if step.kind is Kind.INITIALISE:
            self._begun[step.key] = _Begun(time.monotonic(), before)

    async def _transfers(self, step: Step) -> list[Transfer]:
        return await self._clusters[step.site].list_transfers(step.path.rpartition("/")[2])

    def _fail(self, step: Step, error: OntapError) -> None:
        self._outcome.failures[step.key] = error
        self._screen.sent(step, error)


def _transfer_error(step: Step, ended: Transfer) -> OntapError:
    message = ended.error_message or f"the transfer ended as {ended.state}"
    retry = classify(Call.TRANSFER_POST, ended.error_code, None, message)
    hint = hint_for(retry, ended.error_code, message) or "run it again"
    return OntapError(str(step.kind), step.subject, message, retry=retry, hint=hint, code=ended.error_code)
