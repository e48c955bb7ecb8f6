"""Wires the verifier."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.startup import wait_for_topics
from farshore.bus.topics import ARRIVALS, READINESS
from farshore.follow_topology import follow_topology
from farshore.registry import MountedRegistry, RegistryClient, Storage
from farshore.registry.access import check_ca_files
from farshore.service import Service, serve_http, service_main
from farshore.settings import Collected
from farshore.together import together
from farshore.topology import Topology
from farshore_verifier.dirty import SnapshotRequests
from farshore_verifier.everywhere_lane import GROUP, EverywhereLane
from farshore_verifier.host import LaneHost
from farshore_verifier.lane import ArrivalLane
from farshore_verifier.settings import read_verifier_settings
from farshore_verifier.site import Site, replica_sites
from farshore_verifier.verify import SiteVerifier


async def run(service: Service) -> None:
    """Verify until the service stops, anew whenever the topology changed."""
    settings = read_verifier_settings()
    settings.storages(service.topology)  # at the start a mount that no replica has is refused, and so is a site
    settings.chosen(replica_sites(service.topology))

    async def work(ending: asyncio.Event) -> None:
        if await wait_for_topics(service.bus, ending):
            sites = settings.chosen(replica_sites(service.topology), strict=False)
            await _verify(service, sites, settings.storages(service.topology, strict=False), ending)

    await together(serve_http(service), follow_topology(service, work, needs=check_ca_files))


async def _verify(service: Service, sites: Sequence[str], mounts: Mapping[str, Storage], ending: asyncio.Event) -> None:
    bus, topology = service.bus, service.topology
    async with AsyncExitStack() as resources:
        snapshots = await resources.enter_async_context(SnapshotRequests(bus))
        hosts = [LaneHost(bus, READINESS.name, GROUP, lambda partition: EverywhereLane(bus, partition, topology))]
        for name in sites:
            site = await _site(service, name, mounts, snapshots, resources)
            hosts.append(LaneHost(bus, ARRIVALS.name, site.group, partial(_arrival_lane, bus, site)))
        await together(*(host.run(ending) for host in hosts), beside=[_report_ready(service, hosts)])


async def _report_ready(service: Service, hosts: list[LaneHost]) -> None:
    for host in hosts:
        await host.started.wait()
    service.ready = True


def _arrival_lane(bus: Bus, site: Site, partition: TopicPartition) -> ArrivalLane:
    return ArrivalLane(bus, partition, site)


async def _site(
    service: Service,
    name: str,
    mounts: Mapping[str, Storage],
    snapshots: SnapshotRequests,
    resources: AsyncExitStack,
) -> Site:
    sites = replica_sites(service.topology)
    verifiers = {}
    ready_within = {}
    for registry_name, registry in service.topology.registries.items():
        # of a primary too: the coalescer may know already that it is a replica by now
        place = registry.place_at(name)
        if place is None:
            continue
        timeout = registry.verification.timeout
        storage = mounts.get(f"{registry_name}.{name}")
        content = (
            MountedRegistry(storage, timeout_seconds=timeout)
            if storage is not None
            else RegistryClient(place.url, timeout_seconds=timeout, ca_file=place.ca_file)
        )
        await resources.enter_async_context(content)
        verifiers[registry_name] = SiteVerifier(content, registry.verification)
        if registry.objectives.ready_within is not None:
            ready_within[registry_name] = registry.objectives.ready_within
    return Site(
        name=name,
        verifiers=verifiers,
        ready_within=ready_within,
        others=frozenset(sites) - {name},
        takes_strays=name == sites[0],
        primaries={registry: entry.primary.site for registry, entry in service.topology.registries.items()},
        snapshots=snapshots,
    )


def _check_needs(topology: Topology) -> None:
    collected = Collected()
    collected.get(lambda: read_verifier_settings().storages(topology))
    collected.get(lambda: check_ca_files(topology))
    collected.raise_if_any()


main = service_main("farshore-verifier", run, own_settings=read_verifier_settings, needs=_check_needs)

if __name__ == "__main__":
    main()
