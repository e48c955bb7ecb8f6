"""Carries out the decisions on ONTAP and turns what it answers into observations."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from farshore.errors import FarshoreError, RetryClass
from farshore.ontap.cluster import OntapCluster
from farshore.ontap.errors import Call, OntapError, classify
from farshore.ontap.model import Relationship as OntapRelationship
from farshore.ontap.model import RelationshipState, Transfer
from farshore.ontap.model import Snapshot as OntapSnapshot
from farshore.topology import Primary, Relationship
from farshore_coalescer.messages import ReplicaRead, RunningTransfer
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Snapshot, SnapshotId

_REFUSING = {
    RelationshipState.PAUSED: "the relationship is paused: resume it",
    RelationshipState.BROKEN_OFF: "the relationship is broken off: resynchronise it, or remove the replica",
}


class SourceStorage:
    """The registry's primary volume."""

    def __init__(self, cluster: OntapCluster, primary: Primary, log: Log) -> None:
        self._cluster = cluster
        self._volume_name = primary.volume
        self._log = log
        self._volume_uuid: str | None = None

    async def read(self) -> tuple[Snapshot, ...]:
        """All snapshots of the volume."""
        snapshots = await self._cluster.list_snapshots(await self._volume(), "*")
        return tuple(self._seen(snapshot) for snapshot in snapshots)

    async def take(self, name: str) -> Snapshot:
        """Take a snapshot; one that has this name already is the same, taken before an answer was lost."""
        return self._seen(await self._cluster.create_snapshot(await self._volume(), name))

    async def delete(self, snapshot: Snapshot) -> None:
        """Delete a snapshot; gone is as good as deleted."""
        await self._cluster.delete_snapshot(await self._volume(), snapshot.uuid)

    def forget(self) -> None:
        """Look the volume up anew before the next call."""
        self._volume_uuid = None

    async def _volume(self) -> str:
        if self._volume_uuid is None:
            self._volume_uuid = (await self._cluster.find_volume(self._volume_name)).uuid
        return self._volume_uuid

    def _seen(self, snapshot: OntapSnapshot) -> Snapshot:
        return Snapshot.seen(SnapshotId(snapshot.name, snapshot.version_uuid), snapshot.uuid, self._log)


@dataclass(slots=True)
class _View:
    """What the destination was last seen to export; good as long as the exported name stays the same."""

    exported_name: str | None = None
    exported: SnapshotId | None = None


@dataclass(slots=True)
class ReplicaReading:
    """An observation, and the transfer that was looked at, for the record of transfers."""

    observation: ReplicaRead
    transfer: Transfer | None


@dataclass(slots=True)
class ReplicaStorage:
    """One relationship and its destination volume."""

    cluster: OntapCluster
    relationship: Relationship
    _relationship_uuid: str | None = None
    _volume_uuid: str | None = None
    _view: _View = field(default_factory=_View)
    _preparing: str | None = None
    _before: frozenset[str] | None = None

    async def read(self, watched: str | None, *, with_progress: bool) -> ReplicaReading:
        """Read the relationship; `watched` is the transfer whose end is of interest.

        While a transfer runs, its own record is read only where it isn't the watched one, or for progress.
        """
        relationship = await self.cluster.read_relationship(await self._find())
        running = relationship.transfer_uuid if _is_active(relationship) else None
        wanted = watched if running is None else running if running != watched or with_progress else None
        looking = asyncio.create_task(self._look(relationship.exported_snapshot, again=running is None))
        try:
            transfer = await self._transfer(relationship.uuid, wanted)
            await looking
        finally:
            looking.cancel()
        return ReplicaReading(
            ReplicaRead(
                site=self.relationship.site,
                exported=self._view.exported,
                running=RunningTransfer(running, transfer.snapshot if transfer else None) if running else None,
                failed=None if running else _failure(transfer),
                refusing=_REFUSING.get(relationship.state),
            ),
            transfer,
        )

    async def prepare(self, snapshot: str) -> None:
        """Ask already while `snapshot` is being taken what has to be known before a transfer of it is started."""
        self._preparing, self._before = snapshot, None
        before = await self.cluster.transfers_before(await self._find(), snapshot)
        if self._preparing == snapshot:
            self._before = before

    async def start(self, snapshot: str) -> Transfer:
        """Start a transfer of `snapshot`."""
        before = self._before if self._preparing == snapshot else None
        self._preparing = self._before = None  # good for one start
        return await self.cluster.start_transfer(await self._find(), snapshot, before=before)

    def forget(self) -> None:
        """Look relationship and volume up anew before the next call."""
        self._relationship_uuid = self._volume_uuid = None
        self._preparing = self._before = None
        self._view = _View()

    async def _find(self) -> str:
        if self._relationship_uuid is None:
            path = f"{self.cluster.settings.svm}:{self.relationship.volume}"
            found = await self.cluster.find_relationship(path)
            if found is None:
                raise FarshoreError(
                    "find relationship",
                    f"{path} at {self.relationship.site}",
                    "there is none",
                    retry=RetryClass.OPERATOR,
                    hint="create it, as docs/runbooks.md describes",
                )
            self._relationship_uuid = found.uuid
        return self._relationship_uuid

    async def _transfer(self, relationship_uuid: str, transfer_uuid: str | None) -> Transfer | None:
        if transfer_uuid is None:
            return None
        try:
            return await self.cluster.read_transfer(relationship_uuid, transfer_uuid)
        except OntapError as error:
            if error.retry is RetryClass.REDISCOVER:  # ONTAP keeps ended transfers for a day only
                return None
            raise

    async def _look(self, exported_name: str | None, *, again: bool) -> None:
        if exported_name == self._view.exported_name and not again:
            return
        if self._volume_uuid is None:
            self._volume_uuid = (await self.cluster.find_volume(self.relationship.volume)).uuid
        found = None
        if exported_name is not None:
            found = await self.cluster.find_snapshot(self._volume_uuid, exported_name)
        self._view = _View(exported_name, SnapshotId(found.name, found.version_uuid) if found is not None else None)


def _is_active(relationship: OntapRelationship) -> bool:
    state = relationship.transfer_state
    return relationship.transfer_uuid is not None and state is not None and state in ("queued", "transferring")


def _failure(transfer: Transfer | None) -> tuple[RetryClass, str] | None:
    """Why a transfer ended badly, with its class; None where it ended well, runs, or isn't known."""
    if transfer is None or transfer.active or transfer.state == "success":
        return None
    message = transfer.error_message or f"the transfer is {transfer.state}"
    retry = classify(Call.TRANSFER_POST, transfer.error_code, None, message)
    return (RetryClass.RETRY_SOON if transfer.error_code is None else retry, message)


def storages(
    clusters: Mapping[str, OntapCluster], primary: Primary, relationships: list[Relationship], log: Log
) -> tuple[SourceStorage, dict[str, ReplicaStorage]]:
    """The storage of one registry: its primary volume, and each replica by site."""
    source = SourceStorage(clusters[primary.site], primary, log)
    replicas = {entry.site: ReplicaStorage(clusters[entry.site], entry) for entry in relationships}
    return source, replicas
