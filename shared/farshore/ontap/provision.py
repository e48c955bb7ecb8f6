"""Makes storage as the topology says: volumes, a policy, relationships, baselines. Can be repeated at any time.

Clusters and SVMs are expected to be peered already.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from farshore.errors import RetryClass
from farshore.ontap.calls import FIRST_PAUSE, LONGEST_PAUSE
from farshore.ontap.cluster import OntapCluster
from farshore.ontap.errors import Call, OntapError, classify, hint_for
from farshore.ontap.model import TransferState
from farshore.ontap.relationships import ESTABLISHED
from farshore.topology import Relationship, Topology

POLICY = "farshore"
"""The asynchronous policy of farshore's relationships, in each destination SVM."""
DEFAULT_SIZE = 1 << 40

Report = Callable[[str], None]


async def provision(
    topology: Topology,
    clusters: Mapping[str, OntapCluster],
    report: Report = lambda _line: None,
    *,
    volume_size: int = DEFAULT_SIZE,
    baseline_deadline: float = 3600.0,
) -> None:
    """Make what `topology` needs on `clusters` (by site, each open), and wait until every replica has its baseline.

    `report` gets a line for each thing that is there. New volumes are thin and get `volume_size` bytes; each is mounted
    at `/<its name>`. A cascade waits for its upstream replica. Raises OntapError; what was made stays, and the next run
    goes on from there.
    """
    await asyncio.gather(
        *(
            _primary_volume(clusters[registry.primary.site], registry.primary.volume, volume_size, report)
            for registry in topology.registries.values()
        )
    )
    for hop in topology.relationships_by_hop():
        await asyncio.gather(
            *(_replicate(topology, clusters, one, volume_size, baseline_deadline, report) for one in hop)
        )


async def _primary_volume(cluster: OntapCluster, name: str, size: int, report: Report) -> None:
    volume = await cluster.ensure_volume(name, type="rw", size=size, junction_path=f"/{name}")
    report(f"{cluster.site}: volume {volume.svm}:{volume.name} is there")


async def _replicate(
    topology: Topology,
    clusters: Mapping[str, OntapCluster],
    wanted: Relationship,
    size: int,
    deadline: float,
    report: Report,
) -> None:
    source, destination = clusters[wanted.source_site], clusters[wanted.site]
    source_path = f"{topology.sites[wanted.source_site].ontap.svm}:{wanted.source_volume}"
    destination_path = f"{topology.sites[wanted.site].ontap.svm}:{wanted.volume}"
    volume = await destination.ensure_volume(wanted.volume, type="dp", size=size)
    report(f"{wanted.site}: volume {volume.svm}:{volume.name} is there")
    await destination.ensure_policy(POLICY)
    peer, here = (await source.info()).name, (await destination.info()).name
    relationship = await destination.ensure_relationship(
        source_path, "" if peer == here else peer, destination_path, POLICY
    )
    report(f"{wanted.name}: relationship {source_path} -> {destination_path} is there")
    if relationship.state not in ESTABLISHED:
        await _baseline(destination, relationship.uuid, wanted.name, deadline)
        report(f"{wanted.name}: the baseline has arrived")
    await destination.mount_volume(volume, f"/{wanted.volume}")


async def _baseline(cluster: OntapCluster, uuid: str, name: str, deadline: float) -> None:
    ends = time.monotonic() + deadline
    pause = FIRST_PAUSE
    ended_before = {one.uuid for one in await cluster.list_transfers(uuid) if not one.active}
    now = await cluster.initialize(uuid)
    while now.state not in ESTABLISHED:
        if not now.transferring:
            new = [one for one in await cluster.list_transfers(uuid) if one.uuid not in ended_before]
            if new and not new[-1].active and new[-1].state is not TransferState.SUCCESS:
                message = new[-1].error_message or f"the transfer ended as {new[-1].state}"
                retry = classify(Call.TRANSFER_POST, new[-1].error_code, None, message)
                hint = hint_for(retry, new[-1].error_code, message) or "run it again"
                raise OntapError("initialise", f"{name} at {cluster.site}", message, retry=retry, hint=hint)
        if time.monotonic() >= ends:
            raise OntapError(
                "initialise",
                f"{name} at {cluster.site}",
                f"still {now.state} after {deadline:g} s",
                retry=RetryClass.REDISCOVER,
                hint="the transfer goes on by itself; run it again to go on waiting",
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        now = await cluster.read_relationship(uuid)
