"""Which fences are up: raised within the last days, not lifted, and not said to be over."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS, TRANSFERS
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.fences import LIFTED_TYPE, LONGEST_SECONDS, RAISED_TYPE, FenceLifted, FenceRaised
from farshore_cli.fences.raise_and_lift import status_of
from farshore_cli.recent import recent_records

_LOOK_BACK_SECONDS = 2 * LONGEST_SECONDS
"""Fences last a day at most; the other day is for clocks that differ and restarts that prolong one."""


@dataclass(slots=True)
class Standing:
    """A fence that is up; `held` once the coalescer has said so."""

    raised: FenceRaised
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self.raised.model_dump(mode="json"), "state": self.state}

    @property
    def state(self) -> str:
        """`held`, or `raised` while no coalescer has said that it holds."""
        return "held" if self.held else "raised"


async def fences_up(bus: Bus, registries: Collection[str]) -> list[Standing]:
    """The fences of these registries that are up, oldest first."""
    found: dict[str, Standing] = {}
    async for kind, value in recent_records(bus, EVENTS, _LOOK_BACK_SECONDS):
        try:
            if kind == RAISED_TYPE.encode():
                raised = FenceRaised.from_json(value, EVENTS.name)
                if raised.registry in registries:
                    found.setdefault(raised.fence, Standing(raised))
            elif kind == LIFTED_TYPE.encode():
                found.pop(FenceLifted.from_json(value, EVENTS.name).fence, None)
        except MalformedRecordError:
            continue
    async for kind, value in recent_records(bus, TRANSFERS, _LOOK_BACK_SECONDS):
        status = status_of(kind, value)
        if status is None or status.fence not in found:
            continue
        if status.phase == "held":
            found[status.fence].held = True
        else:
            del found[status.fence]
    return list(found.values())
