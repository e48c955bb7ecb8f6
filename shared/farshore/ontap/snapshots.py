"""Snapshots of a volume."""

from netapp_ontap.host_connection import HostConnection
from netapp_ontap.resources.snapshot import Snapshot as SnapshotResource

from farshore.errors import RetryClass
from farshore.ontap import parse
from farshore.ontap.calls import Calls
from farshore.ontap.errors import Call, OntapError
from farshore.ontap.model import Snapshot


class SnapshotCalls(Calls):
    """`/storage/volumes/{uuid}/snapshots`."""

    async def list_snapshots(self, volume_uuid: str, pattern: str = "farshore-*") -> list[Snapshot]:
        """The volume's snapshots whose names match `pattern` (`*` stands for anything), oldest first."""
        found = await self._list(
            "list snapshots",
            f"/storage/volumes/{volume_uuid}/snapshots",
            parse.SNAPSHOT_FIELDS,
            parse.snapshot,
            name=pattern,
        )
        return sorted(found, key=lambda snapshot: snapshot.create_time)

    async def find_snapshot(self, volume_uuid: str, name: str) -> Snapshot | None:
        """The snapshot called `name`, if the volume has it."""
        return next((one for one in await self.list_snapshots(volume_uuid, name) if one.name == name), None)

    async def create_snapshot(self, volume_uuid: str, name: str, comment: str = "") -> Snapshot:
        """Take a snapshot, or return the one that already has that name: a name is unique on its volume, so a POST
        whose reply was lost is read again and may be repeated once without harm."""
        for last in (False, True):
            try:
                shown = await self._post_snapshot(volume_uuid, name, comment)
            except OntapError as error:
                # Rediscover: the name exists, or the job ended so long ago that it is gone.
                if not error.ambiguous and error.retry is not RetryClass.REDISCOVER:
                    raise
                found = await self.find_snapshot(volume_uuid, name)
                if found is not None:
                    return found
                if last or not error.ambiguous:
                    raise
            else:
                break
        found = shown or await self.find_snapshot(volume_uuid, name)
        if found is None:
            raise OntapError(
                "create snapshot",
                f"{name} at {self.site}",
                "the cluster said that it is there, but it isn't",
                retry=RetryClass.RETRY_SOON,
            )
        return found

    async def delete_snapshot(self, volume_uuid: str, snapshot_uuid: str) -> None:
        """Delete it; success too when it is gone already. A snapshot with an owner raises OntapError (retry soon)."""

        def delete(host: HostConnection) -> None:
            snapshot = SnapshotResource.from_dict({"uuid": snapshot_uuid}, volume_uuid)
            snapshot.set_connection(host)
            snapshot.delete(poll=False, return_timeout=0)  # slow at times: no thread is kept waiting

        try:
            reply = await self._change("delete snapshot", snapshot_uuid, Call.SNAPSHOT_DELETE, delete)
            await self._finish(reply, Call.SNAPSHOT_DELETE)
        except OntapError as error:
            if error.retry is not RetryClass.REDISCOVER:
                raise
            left = await self.list_snapshots(volume_uuid, "*")
            if any(snapshot.uuid == snapshot_uuid for snapshot in left):
                raise

    async def _post_snapshot(self, volume_uuid: str, name: str, comment: str) -> Snapshot | None:
        """The snapshot, where the cluster has taken it before it replied and shows all of it: that spares a request."""

        def post(host: HostConnection) -> None:
            body = {"name": name, "comment": comment} if comment else {"name": name}
            snapshot = SnapshotResource.from_dict(body, volume_uuid)
            snapshot.set_connection(host)
            snapshot.post(poll=False, return_timeout=self._return_timeout(), return_records="true")

        reply = await self._change("create snapshot", name, Call.SNAPSHOT_POST, post)
        if reply.job_uuid is not None:
            await self._finish(reply, Call.SNAPSHOT_POST)
            return None
        try:
            shown = parse.snapshot(reply.record)
        except (KeyError, ValueError, TypeError):
            return None
        return shown if shown.name == name else None
