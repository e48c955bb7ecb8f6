"""kill -9 and standstills of a stack's processes, at moments that a seed decides."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from local_stack import LocalStack, children, kill

WEIGHTS: Mapping[str, float] = {
    "receiver": 2,
    "worker": 2,
    "coalescer": 3,
    "verifier": 3,
    "reconciler": 1,
    "edge": 1,
    "ontap": 2,
}
"""How likely each kind of process is hit; those that don't run aren't. A worker is one of several of a receiver's."""
TOGETHER = 0.1
"""How often all instances of a service are killed at once."""
CAN_STAND_STILL = ("receiver", "worker", "coalescer", "verifier", "reconciler")


@dataclass
class Killer:
    """Hits processes of `stack`.

    `killed` counts by the process's kind, `coalescer` for `coalescer-2` too, and `stood_still` likewise. `standstills`:
    how many of the hits stop a process for up to `longest_standstill_seconds` in place of killing it, so that it comes
    back as a zombie whose work others have taken over.
    """

    stack: LocalStack
    rng: random.Random
    mean_pause_seconds: float = 1.0
    standstills: float = 0.0
    longest_standstill_seconds: float = 8.0
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    killed: Counter[str] = field(default_factory=Counter)
    stood_still: Counter[str] = field(default_factory=Counter)
    _waking: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def run(self, count: int, each: Callable[[], None] = lambda: None) -> None:
        """Hit until `count` processes were killed and none stands still; `each` is called after each hit.

        Pauses are exponential: many hits come close upon one another, into a start or a hand-over, and some come late
        enough for the work to be under way again.
        """
        already = self.killed.total()
        try:
            while self.killed.total() - already < count:
                await asyncio.sleep(min(5.0, self.rng.expovariate(1 / self.mean_pause_seconds)))
                self.hit()
                each()
            await asyncio.gather(*self._waking)
        finally:
            for task in self._waking:
                task.cancel()
            await asyncio.gather(*self._waking, return_exceptions=True)

    def hit(self) -> None:
        """Kill or stop a process that runs now, or kill all instances of its service."""
        running: dict[str, list[int]] = {}
        for process in self.stack.endpoints["processes"]:
            kind = process["name"].partition("-")[0]
            running.setdefault(kind, []).append(process["pid"])
            if kind == "receiver":
                running.setdefault("worker", []).extend(children(process["pid"]))
        kinds = [kind for kind in self.weights if running.get(kind)]
        if not kinds:  # all of them are just being started again
            return
        (kind,) = self.rng.choices(kinds, [self.weights[kind] for kind in kinds])
        if kind in CAN_STAND_STILL and self.rng.random() < self.standstills:
            pid, seconds = self.rng.choice(running[kind]), self.rng.uniform(0, self.longest_standstill_seconds)
            self.stood_still[kind] += 1
            task = asyncio.create_task(_stand_still(pid, seconds), name=f"{kind} {pid} stands still")
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
            return
        for pid in running[kind] if self.rng.random() < TOGETHER else [self.rng.choice(running[kind])]:
            with contextlib.suppress(ProcessLookupError):  # endpoints.json is a moment behind
                kill(pid)
                self.killed[kind] += 1


async def _stand_still(pid: int, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):  # killed meanwhile; the supervisor reaps it at once
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
