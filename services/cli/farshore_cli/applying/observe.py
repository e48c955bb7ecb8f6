"""Looks at every cluster of a topology; changes nothing."""

import asyncio
from collections.abc import Mapping

from farshore.ontap import OntapCluster, OntapError
from farshore.ontap.model import Relationship, Volume
from farshore.topology import Topology
from farshore_cli.applying.facts import (
    EventFacts,
    PolicyFacts,
    RelationshipFacts,
    SiteFacts,
    Unseen,
    VolumeFacts,
    World,
)
from farshore_cli.applying.plan import OURS


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
    volumes = {name: found for name in names if (found := await cluster.volume(name)) is not None}
    relationships: dict[str, RelationshipFacts] = {}
    for name in destinations:
        relationship = await cluster.find_relationship(f"{cluster.settings.svm}:{name}")
        if relationship is not None:
            relationships[name] = await _relationship(cluster, relationship)
    policy = await cluster.policy(OURS) if destinations else None
    events = await cluster.ems_destination(OURS) if cluster.settings.ems else None
    return SiteFacts(
        info.name,
        {name: _volume(volume) for name, volume in volumes.items()},
        relationships,
        await _peers(cluster) if destinations else frozenset(),
        await cluster.emptiest_aggregate() if len(volumes) < len(names) else None,
        PolicyFacts(policy.uuid, policy.network_compression, policy.copy_all_source_snapshots) if policy else None,
        EventFacts(events.url, events.filters) if events else None,
    )


def _volume(volume: Volume) -> VolumeFacts:
    return VolumeFacts(
        volume.uuid,
        volume.type,
        volume.state,
        volume.junction_path,
        volume.dedupe,
        volume.compression,
        volume.logical_used or volume.used,
    )


async def _relationship(cluster: OntapCluster, found: Relationship) -> RelationshipFacts:
    transferred = 0
    if found.transferring:
        running = [one for one in await cluster.list_transfers(found.uuid) if one.active]
        transferred = max((one.bytes_transferred for one in running), default=0)
    return RelationshipFacts(
        found.uuid,
        str(found.state),
        found.healthy,
        found.unhealthy_reasons,
        found.source_path,
        found.policy,
        found.transferring,
        transferred,
    )


async def _peers(cluster: OntapCluster) -> frozenset[tuple[str, str]]:
    reachable = {peer.name for peer in await cluster.cluster_peers() if peer.usable}
    return frozenset(
        (peer.cluster, peer.name)
        for peer in await cluster.svm_peers()
        if peer.usable and peer.cluster is not None and peer.cluster in reachable
    )
