"""The client of one ONTAP cluster: everything that the pipeline asks of storage."""

from collections.abc import Mapping

from netapp_ontap.host_connection import HostConnection
from netapp_ontap.resources.ems_destination import EmsDestination as EmsDestinationResource
from netapp_ontap.resources.volume import Volume as VolumeResource

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

    async def ensure_volume(
        self,
        name: str,
        *,
        type: str = "rw",  # noqa: A002 - ONTAP's word
        size: int,
        junction_path: str | None = None,
        aggregate: str | None = None,
        dedupe: str | None = None,
        compression: str | None = None,
    ) -> Volume:
        """The volume `name` of our SVM, made where there is none.

        `type` is `rw` or `dp`, `size` in bytes, `dedupe` and `compression` one of `background`, `inline`, `both`,
        `none`; None stands for `both` on an rw volume, and for ONTAP's own choice on a dp volume, which keeps the
        savings of what it receives. New volumes are thin, have no snapshot policy (snapshots are farshore's), and lie
        in the SVM's emptiest aggregate unless `aggregate` names one. A volume of another type raises OntapError
        (final).
        """
        found = await self.volume(name)
        if found is None:
            wanted = {"dedupe": dedupe, "compression": compression}
            default = "both" if type == "rw" else None
            efficiency = {key: value or default for key, value in wanted.items() if value or default}
            body: dict[str, object] = {
                "name": name,
                "svm": {"name": self.settings.svm},
                "aggregates": [{"name": aggregate or await self._aggregate_for_a_volume()}],
                "type": type,
                "size": size,
                "guarantee": {"type": "none"},  # otherwise the whole size is taken at once
                "snapshot_policy": {"name": "none"},
            }
            if efficiency:
                body["efficiency"] = efficiency
            if junction_path is not None:
                body["nas"] = {"path": junction_path}
            await self._post_volume(name, body)
            found = await self.find_volume(name)
        if found.type != type:
            raise OntapError(
                "ensure volume",
                f"{self.settings.svm}:{name} at {self.site}",
                f"it is of type {found.type}, not {type}",
                retry=RetryClass.FINAL,
                hint="choose another name, or delete the volume",
            )
        return found

    async def mount_volume(self, volume: Volume, junction_path: str) -> None:
        """Give `volume` its place in the SVM's namespace; a DP volume can have it only once it is initialised."""
        if volume.junction_path == junction_path:
            return

        def patch(host: HostConnection) -> None:
            resource = VolumeResource.from_dict({"uuid": volume.uuid})
            resource.set_connection(host)
            resource.nas = {"path": junction_path}
            resource.patch(poll=False)

        reply = await self._change("mount volume", volume.name, Call.VOLUME_PATCH, patch)
        await self._finish(reply, Call.VOLUME_PATCH)

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

    async def create_ems_destination(self, name: str, url: str, *, filters: tuple[str, ...] = ()) -> None:
        """Have the cluster post its events to `url`, those that one of the EMS filters `filters` lets through. A
        destination of that name is left as it is."""
        if await self.ems_destination(name) is not None:
            return
        body: Mapping[str, object] = {
            "name": name,
            "type": "rest_api",
            "destination": url,
            "filters": [{"name": one} for one in filters],
        }

        def post(host: HostConnection) -> None:
            destination = EmsDestinationResource.from_dict(dict(body))
            destination.set_connection(host)
            destination.post(poll=False)

        reply = await self._change("create ems destination", name, Call.EMS_POST, post)
        await self._finish(reply, Call.EMS_POST)

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

    async def _aggregate_for_a_volume(self) -> str:
        """ONTAP doesn't choose: `aggregates` is required of a POST."""
        found = await self.emptiest_aggregate()
        if found is None:
            raise OntapError(
                "find aggregate",
                f"for {self.settings.svm} at {self.site}",
                "the SVM has none that is online",
                retry=RetryClass.OPERATOR,
                hint="assign an aggregate to the SVM",
            )
        return found

    async def _post_volume(self, name: str, body: dict[str, object]) -> None:
        def post(host: HostConnection) -> None:
            volume = VolumeResource.from_dict(body)
            volume.set_connection(host)
            volume.post(poll=False, return_timeout=self._return_timeout())

        try:
            reply = await self._change("create volume", name, Call.VOLUME_POST, post)
            await self._finish(reply, Call.VOLUME_POST)
        except OntapError as error:
            if not error.ambiguous and error.retry is not RetryClass.REDISCOVER:
                raise
            if await self.volume(name) is None:
                raise
