"""Wires the reconciler as a service: a run, a pause or a request, the next."""

import asyncio
import logging
from collections.abc import Sequence

from farshore.bus.startup import wait_for_topics
from farshore.errors import FarshoreError
from farshore.follow_topology import follow_topology
from farshore.registry.access import check_ca_files
from farshore.service import Service, serve_http, service_main
from farshore.telemetry import event
from farshore.together import together
from farshore_reconciler.reconcile import Reconciler
from farshore_reconciler.report import RegistryReport
from farshore_reconciler.settings import read_reconciler_settings
from farshore_reconciler.watch import Watch

log = logging.getLogger(__name__)


async def run(service: Service) -> None:
    """Reconcile every registry of the topology again and again until the service stops, anew whenever it changed."""
    settings = read_reconciler_settings()

    async def work(ending: asyncio.Event) -> None:
        service.ready = await wait_for_topics(service.bus, ending)
        if not service.ready:
            return
        options = settings.options(frozenset(service.topology.sites))
        reconciler = Reconciler(service.bus, service.topology, options)
        watch = Watch(reconciler, list(service.topology.registries), settings.every, _log_reports, _log_failure)
        await together(ending.wait(), beside=[watch.run()])

    await together(serve_http(service), follow_topology(service, work, needs=check_ca_files))


def _log_reports(reports: Sequence[RegistryReport]) -> None:
    for report in reports:
        values = report.as_json()
        del values["images"]
        event(log, logging.INFO, "reconciled", **values)


def _log_failure(error: FarshoreError) -> None:
    event(log, logging.WARNING, "a run was given up", reason=str(error))


main = service_main("farshore-reconciler", run, own_settings=read_reconciler_settings, needs=check_ca_files)

if __name__ == "__main__":
    main()
