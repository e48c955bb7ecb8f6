"""Wires the agent."""

import asyncio
from collections.abc import Awaitable, Callable

from farshore.service import PlainService, PlainSettings, serve_http
from farshore.together import together
from farshore_edge.agent.holds import HoldFolder
from farshore_edge.agent.nginx import Nginx
from farshore_edge.agent.reach import Reach
from farshore_edge.agent.rules import Rules
from farshore_edge.agent.settings import read_edge_settings
from farshore_edge.agent.status import status_app

RULES_SECONDS = 0.5
"""From one look at the topology file to the next."""
REACH_SECONDS = 5.0
"""From one look at the registries to the next."""


async def run(service: PlainService[PlainSettings]) -> None:
    """Keep the rules until the service stops; nginx goes on without the agent."""
    settings = read_edge_settings()
    async with Nginx(settings.nginx, settings.config, settings.agent_listen) as nginx:
        rules = Rules(settings.site, service.settings.topology, settings.config, settings.runtime(), nginx)
        reach, holds = Reach(nginx), HoldFolder(settings.hold_dir, nginx)

        async def keep_rules() -> None:
            await rules.look(asyncio.get_running_loop().time())
            # once nginx was seen to run what it should, it is ready for as long as it answers
            service.ready = rules.running is not None and (service.ready or rules.in_force)

        async def look_at_registries() -> None:
            await reach.look(rules.topology, rules.site)
            await holds.look()

        await together(
            serve_http(service, status_app(rules, reach, holds, nginx)),
            _repeat(keep_rules, RULES_SECONDS, service.stopping),
            _repeat(look_at_registries, REACH_SECONDS, service.stopping),
        )


async def _repeat(work: Callable[[], Awaitable[None]], pause_seconds: float, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        await work()
        try:
            await asyncio.wait_for(stopping.wait(), pause_seconds)
        except TimeoutError:
            continue
