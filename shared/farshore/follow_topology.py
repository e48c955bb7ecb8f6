"""Has a service take up a changed topology without ending its process: its work ends in order and begins anew."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from farshore.service import Service
from farshore.telemetry import event
from farshore.together import result_of
from farshore.topology import Topology
from farshore.topology.watch import LOOK_SECONDS, TopologyWatch

log = logging.getLogger(__name__)


async def follow_topology(
    service: Service,
    work: Callable[[asyncio.Event], Awaitable[None]],
    *,
    needs: Callable[[Topology], object],
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Do `work` with `service.topology`, and anew with what the file says whenever that is something else.

    `work` is given the event that asks it to end soon: the service stops, or the topology changed; it mustn't end
    before. `needs` raises ConfigurationError where a changed topology can't be used; then the work goes on with the one
    before.
    """
    watch = TopologyWatch(service.settings.topology, needs)
    service.topology = watch.topology
    while True:
        ending = asyncio.Event()
        working = asyncio.ensure_future(work(ending))
        stopped = asyncio.create_task(service.stopping.wait())
        changed = asyncio.create_task(watch.changed(look_seconds=look_seconds))
        try:
            await asyncio.wait({working, stopped, changed}, return_when=asyncio.FIRST_COMPLETED)
            asked_to_end = service.stopping.is_set() or changed.done()
            ending.set()
            await asyncio.wait({working})
        finally:
            for task in (working, stopped, changed):
                task.cancel()
            await asyncio.wait({working, stopped, changed})
        result_of(working)
        if not asked_to_end:  # the service would go on answering that it is alive
            raise RuntimeError("the service's work ended, and nobody asked for that")
        if service.stopping.is_set():
            return
        service.topology = result_of(changed)
        service.ready = False
        event(log, logging.INFO, "begins anew with the changed topology", sites=list(service.topology.sites))
