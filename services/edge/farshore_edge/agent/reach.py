"""Which registries nginx reaches, asked through nginx itself: with its addresses, its certificates, its patience."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from farshore.topology import Topology
from farshore_edge.agent import metrics
from farshore_edge.agent.nginx import Nginx
from farshore_edge.routes import routes_of


class State(StrEnum):
    """Of a registry, as nginx sees it."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    """nginx doesn't answer, or doesn't run rules that have this registry."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of asking; `since` is when the state was found first."""

    state: State
    status: int | None
    since: datetime


def state_of(status: int | None) -> State:
    """What a status of `/v2/` says. 401 is a registry that wants credentials; 404 is nginx without such a rule."""
    if status is None or status == 404:
        return State.UNKNOWN
    return State.DOWN if status >= 500 else State.UP


class Reach:
    """The states, by upstream: `primary_main`, `local_main`."""

    def __init__(self, nginx: Nginx) -> None:
        self.found: dict[str, Found] = {}
        self._nginx = nginx

    async def look(self, topology: Topology, site: str) -> None:
        """Ask after every registry that `site`'s rules name, one after the other."""
        asked = {}
        for route in routes_of(topology, site):
            asked[f"primary_{route.registry}"] = await self._nginx.status_of(f"primary_{route.registry}")
            if route.local is not None:
                asked[f"local_{route.registry}"] = await self._nginx.status_of(f"local_{route.registry}")
        for upstream in self.found.keys() - asked.keys():
            self._count(upstream, was=self.found.pop(upstream).state, now=State.UNKNOWN)
        for upstream, status in asked.items():
            self._note(upstream, status)

    def _note(self, upstream: str, status: int | None) -> None:
        state, before = state_of(status), self.found.get(upstream)
        same = before is not None and before.state == state
        since = before.since if before is not None and same else datetime.now(UTC)
        self._count(upstream, was=before.state if before else State.UNKNOWN, now=state)
        self.found[upstream] = Found(state, status, since)

    def _count(self, upstream: str, *, was: State, now: State) -> None:
        change = (now == State.DOWN) - (was == State.DOWN)
        if change:
            role, _, registry = upstream.partition("_")
            metrics.unreachable.add(change, {"registry": registry, "role": "replica" if role == "local" else role})
