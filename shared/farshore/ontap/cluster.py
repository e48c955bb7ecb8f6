"""The client of one ONTAP cluster: everything that the pipeline asks of storage."""

from collections.abc import Mapping

from farshore.errors import RetryClass
from farshore.ontap import parse
from farshore.ontap.errors import Call, OntapError
from farshore.ontap.model import ClusterInfo, EmsDestination, Peer, Volume
from farshore.ontap.relationships import RelationshipCalls
from farshore.ontap.snapshots import SnapshotCalls


class OntapCluster(SnapshotCalls, RelationshipCalls):
    """One cluster and its SVM, as `settings` names them.

    `async with OntapCluster("fra", topology.sites["fra"].ontap) as cluster: …`. Calls run in the cluster's own threads,
    at most `settings.max_requests` at once, and each reply is waited for at most `settings.timeout` seconds: a dead
    cluster costs its callers that long and others nothing. Every failure is an OntapError.
    """

    async def info(self) -> ClusterInfo:
        """Which cluster answers: the first call of a connection check."""
        return await self._read("read cluster", "/cluster", "name,version,uuid", parse.cluster_info)

    async def find_volume(self, name: str) -> Volume:
        """The volume `name` of our SVM. Raises OntapError (rediscover) when there is none."""
        found = await self.volume(name)
        if found is None:
            raise OntapError(
                "find volume",
                f"{self.settings.svm}:{name} at {self.site}",
                "there is none",
                retry=RetryClass.REDISCOVER,
                hint="check the names of SVM and volume in the topology, or make it",
            )
        return found

    async def cluster_peers(self) -> list[Peer]:
        """The clusters that this one knows."""
        return await self._list(
            "list cluster peers", "/cluster/peers", "uuid,name,status.state,peer_applications", parse.cluster_peer
        )

    async def svm_peers(self) -> list[Peer]:
        """The SVMs that our SVM may exchange data with."""
        return await self._list(
            "list svm peers",
            "/svm/peers",
            "uuid,name,state,applications,svm.name,peer.svm.name,peer.cluster.name",
            parse.svm_peer,
            **{"svm.name": self.settings.svm},
        )

    async def ems_destination(self, name: str) -> EmsDestination | None:
        """The destination `name` of the cluster's events, if there is one."""
        found = await self._list(
            "find ems destination",
            "/support/ems/destinations",
            "name,destination,filters.name",
            parse.ems_destination,
            name=name,
        )
        return next((one for one in found if one.name == name), None)

    async def send(
        self, operation: str, subject: str, call: Call, method: str, path: str, body: Mapping[str, object] | None
    ) -> None:
        """Send exactly this request (`path` below `/api`), and wait for its job. Raises OntapError; where that is
        `ambiguous` it may have been carried out."""
        reply = await self._run(
            operation, lambda connection: connection.send(operation, subject, call, method, path, body)
        )
        await self._finish(reply, call)

    async def volume(self, name: str) -> Volume | None:
        """The volume `name` of our SVM, if there is one."""
        found = await self._list(
            "find volume",
            "/storage/volumes",
            parse.VOLUME_FIELDS,
            parse.volume,
            **{"name": name, "svm.name": self.settings.svm},
        )
        return next((one for one in found if one.name == name), None)

    async def emptiest_aggregate(self) -> str | None:
        """Where a new volume of our SVM goes; None where there is none that is online."""
        assigned = await self._list(
            "find svm", "/svm/svms", "name,aggregates.name", parse.svm_aggregates, name=self.settings.svm
        )
        usable = {name for names in assigned for name in names}
        found = await self._list(
            "list aggregates",
            "/storage/aggregates",
            "name,space.block_storage.available",
            parse.aggregate,
            state="online",
        )
        # An SVM to which none is assigned may use them all.
        candidates = [one for one in found if one.name in usable or not usable]
        return max(candidates, key=lambda one: one.available).name if candidates else None
