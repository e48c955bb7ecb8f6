"""Makes the volumes and relationships of the generated topology."""

from contextlib import AsyncExitStack

from farshore.ontap import OntapCluster
from farshore.ontap.provision import provision
from farshore.topology import Topology

_BASELINE_WITHIN_SECONDS = 60.0


async def provision_volumes(topology: Topology) -> None:
    """Bring all clusters to what `topology` says; repeating it changes nothing. Raises OntapError."""
    async with AsyncExitStack() as opened:
        clusters = {
            name: await opened.enter_async_context(OntapCluster(name, site.ontap))
            for name, site in topology.sites.items()
        }
        await provision(topology, clusters, baseline_deadline=_BASELINE_WITHIN_SECONDS)
