"""Looks at every cluster of a topology; changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from farshore.ontap import OntapCluster, OntapError
from farshore.ontap.model import Relationship
from farshore.topology import Topology
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.plan import OURS

Found = TypeVar("Found")


async def observe(topology: Topology, clusters: Mapping[str, OntapCluster]) -> World:
    """What is there, of what `topology` names, at all sites at once."""
    seen = await asyncio.gather(*(_site(topology, clusters[site]) for site in topology.sites))
    return dict(zip(topology.sites, seen, strict=True))


async def _site(topology: Topology, cluster: OntapCluster) -> SiteFacts | Unseen:
    try:
        return await _facts(topology, cluster)
    except OntapError as error:
        return Unseen(f"{error.operation}: {error.reason}", error.hint)


async def _facts(topology: Topology, cluster: OntapCluster) -> SiteFacts:
    names = [
        place.volume
        for registry in topology.registries.values()
        for place in (registry.primary, *registry.replicas)
        if place.site == cluster.site
    ]
    destinations = [one.volume for one in topology.all_relationships() if one.site == cluster.site]
    info = await cluster.info()
    volumes = await _each(names, cluster.volume)
    relationships = await _each(destinations, lambda name: cluster.find_relationship(f"{cluster.settings.svm}:{name}"))
    return SiteFacts(
        info.name,
        volumes,
        relationships,
        await usable_peers(cluster) if destinations else frozenset(),
        await cluster.emptiest_aggregate() if len(volumes) < len(names) else None,
        await cluster.policy(OURS) if destinations else None,
        await cluster.ems_destination(OURS) if cluster.settings.ems else None,
        {name: await _crossed(cluster, one) for name, one in relationships.items() if one.transferring},
    )


async def _each(names: list[str], look: Callable[[str], Awaitable[Found | None]]) -> dict[str, Found]:
    """What `look` finds of `names`, by name; the client bounds how many it asks for at once."""
    found = await asyncio.gather(*map(look, names))
    return {name: one for name, one in zip(names, found, strict=True) if one is not None}


async def _crossed(cluster: OntapCluster, relationship: Relationship) -> int:
    running = [one for one in await cluster.list_transfers(relationship.uuid) if one.active]
    return max((one.bytes_transferred for one in running), default=0)


async def usable_peers(cluster: OntapCluster) -> frozenset[tuple[str, str]]:
    """`(cluster, SVM)` that SnapMirror can reach from `cluster`."""
    reachable = {peer.name for peer in await cluster.cluster_peers() if peer.usable}
    return frozenset(
        (peer.cluster, peer.name)
        for peer in await cluster.svm_peers()
        if peer.usable and peer.cluster is not None and peer.cluster in reachable
    )
