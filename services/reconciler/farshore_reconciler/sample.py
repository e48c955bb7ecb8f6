"""Hashes some images of each site again, others in each run."""

import logging
import random

from farshore.registry import RegistryError
from farshore.telemetry import event as log_event
from farshore_reconciler import metrics
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.registry_run import RegistryRun
from farshore_reconciler.rehash import DamagedError, rehash

log = logging.getLogger(__name__)


class Sampler:
    """Goes around each site's images, which lie on a ring: a run goes on where this process's last one ended.

    The first begins anywhere, so that runs of a process each, as a CronJob makes them, don't read the same for ever.
    """

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], int] = {}

    async def sample(self, run: RegistryRun, knowledge: Knowledge, images: int) -> None:
        """Hash `images` images at each replica site of the run's registry; the run's report hears of it."""
        for site in run.replicas if images else ():
            await self._at(run, knowledge, site, images)

    async def _at(self, run: RegistryRun, knowledge: Knowledge, site: str, images: int) -> None:
        client = await run.client(site)
        place, labels = (run.name, site), {"registry": run.name, "site": site}
        start = self._next.get(place, random.getrandbits(32))
        for name, digest, ring in knowledge.ready_from(run.name, site, start, at_most=images):
            self._next[place] = ring + 1
            try:
                hashed = await rehash(client, site, name.repository, digest)
            except DamagedError as error:
                run.report.damaged.append(f"{name}: {error}")
                metrics.corrupt.labels(**labels).inc()
                message = "CORRUPT: a site serves damaged content"
                log_event(log, logging.ERROR, message, **labels, image=str(name), reason=str(error))
            except RegistryError as error:
                run.unknown(site, str(error))
            else:
                run.report.rehashed_images += 1
                run.report.rehashed_bytes += hashed
                metrics.rehashed.labels(**labels).inc(hashed)
