"""Operations on volumes and their snapshots."""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.data.freeze import FreezeError, Writer
from farshore_ontap_simulator.errors import OntapError, refused
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Snapshot, Volume

LOG = logging.getLogger(__name__)

MAX_SNAPSHOTS = 1023
_VOLUME_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,202}")
_SNAPSHOT_NAME = re.compile(r"[A-Za-z0-9_.+\-@:,=%]{1,255}")
MINIMUM_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NewVolume:
    """What a volume is created with; sizes in bytes."""

    name: str
    svm: str
    type: str = "rw"
    size: int = 1 << 40
    junction: str | None = None
    comment: str = ""
    aggregate: str = "aggr1"
    dedupe: str = "inline"
    compression: str = "inline"


def check_new_volume(cluster: Cluster, new: NewVolume) -> None:
    """Raises OntapError for a volume that can't be made."""
    if cluster.store.svms.first(lambda svm: svm.name == new.svm) is None:
        raise refused(errors.SVM_UNKNOWN, f'SVM "{new.svm}" does not exist.')
    if not _VOLUME_NAME.fullmatch(new.name):
        raise refused(errors.BAD_VOLUME_NAME, f'The volume name "{new.name}" is not valid.')
    if new.size < MINIMUM_BYTES:
        raise refused(917534, f"The volume size {new.size} is too small: the minimum is 20MB.")
    if cluster.volume_at(f"{new.svm}:{new.name}") is not None:
        raise refused(
            errors.VOLUME_EXISTS,
            f'Volume "{new.name}" already exists on SVM "{new.svm}".',
            status=409,
        )
    if new.aggregate != "aggr1":
        raise refused(errors.AGGREGATE_UNKNOWN, f'Aggregate "{new.aggregate}" does not exist.')


def create_volume(cluster: Cluster, new: NewVolume, volume_uuid: str) -> Volume:
    """Create a volume; an rw volume can be written to at once. Raises OntapError."""
    with cluster.store.lock:
        check_new_volume(cluster, new)
        tree = "active" if new.type == "rw" else None
        data = cluster.data(volume_uuid)
        if tree is not None:
            data.tree(tree).mkdir(exist_ok=True)
        volume = Volume(
            uuid=volume_uuid,
            name=new.name,
            svm=new.svm,
            type=new.type,
            size=new.size,
            created=cluster.now(),
            junction=new.junction,
            comment=new.comment,
            aggregate=new.aggregate,
            dedupe=new.dedupe,
            compression=new.compression,
            tree=tree,
        )
        with cluster.store.transaction():
            cluster.store.volumes.put(volume)
        cluster.show(volume)
    return volume


def delete_volume(cluster: Cluster, volume_uuid: str) -> None:
    """Delete a volume with all its snapshots. Raises OntapError while a relationship needs it."""
    store = cluster.store
    with store.transaction():
        volume = cluster.volume(volume_uuid)
        if store.relationships.first(lambda item: item.volume == volume_uuid) or store.holds.first(
            lambda item: item.volume == volume_uuid
        ):
            raise refused(
                errors.VOLUME_BUSY,
                f'Volume "{volume.name}" is the source or destination endpoint of a SnapMirror relationship.',
                status=409,
            )
        for snapshot in cluster.snapshots_of(volume_uuid):
            store.snapshots.delete(snapshot.uuid)
        store.writers.delete(volume_uuid)
        store.volumes.delete(volume_uuid)
    cluster.export_path(volume).unlink(missing_ok=True)
    cluster.drop_data(volume_uuid)


def check_new_snapshot(cluster: Cluster, volume: Volume, name: str) -> None:
    """Raises OntapError for a snapshot that can't be taken."""
    if volume.type != "rw":
        raise refused(
            errors.NOT_READ_WRITE, f'Snapshots can only be created on read-write volumes: "{volume.name}" is not one.'
        )
    if volume.state != "online":
        raise errors.offline(errors.NO_SNAPSHOT_NOW, volume.path)
    if not _SNAPSHOT_NAME.fullmatch(name):
        raise refused(errors.BAD_SNAPSHOT_NAME, f'Invalid snapshot name "{name}".')
    snapshots = cluster.snapshots_of(volume.uuid)
    if any(snapshot.name == name for snapshot in snapshots):
        raise refused(
            errors.SNAPSHOT_EXISTS,
            f'Snapshot "{name}" already exists on volume "{volume.name}".',
            status=409,
        )
    if len(snapshots) >= MAX_SNAPSHOTS:
        raise refused(
            errors.TOO_MANY_SNAPSHOTS,
            f'Volume "{volume.name}" has the maximum number of snapshots ({MAX_SNAPSHOTS}).',
        )


def take_snapshot(
    cluster: Cluster, volume_uuid: str, name: str, *, snapshot_uuid: str = "", comment: str = "", label: str = ""
) -> Snapshot:
    """Take a snapshot of a read-write volume's tree as it is at one moment. Raises OntapError."""
    data = cluster.data(volume_uuid)
    with data.in_use(), data.snapshot_lock:
        volume = cluster.volume(volume_uuid)
        check_new_snapshot(cluster, volume, name)
        writers = cluster.store.writers.get(volume_uuid)
        processes = [Writer(*process) for process in writers.processes] if writers is not None else []
        version = str(uuid.uuid4())
        tree = volume.tree or "active"
        try:
            taken = data.snapshotter.take(data.tree(tree), processes, version)
        except FreezeError as error:
            # ONTAP has no such failure; "outcome unknown" is its refusal that is worth another try.
            data.expect_remains()
            raise refused(errors.SNAPSHOT_UNCERTAIN, f'Snapshot "{name}" could not be taken: {error}.') from error
        with cluster.store.transaction():
            check_new_snapshot(cluster, cluster.volume(volume_uuid), name)
            cluster.store.identity.put(cluster.identity.but(snapshots_taken=cluster.identity.snapshots_taken + 1))
            snapshot = cluster.store.snapshots.put(
                Snapshot(
                    uuid=snapshot_uuid or str(uuid.uuid4()),
                    volume=volume_uuid,
                    name=name,
                    version_uuid=version,
                    create_time=cluster.now(),
                    sequence=cluster.next_sequence(),
                    comment=comment,
                    label=label,
                    logical_bytes=taken.table.logical_bytes,
                )
            )
    LOG.info(
        "snapshot %s of %s: %d files, %d bytes read in %d rounds, writers stopped for %.1f ms%s",
        name,
        volume.path,
        taken.table.files,
        taken.bytes_read,
        taken.rounds,
        taken.stopped_seconds * 1000,
        "" if taken.settled else "; the tree never held still: not a point in time",
    )
    return snapshot


def owners_of(cluster: Cluster, snapshot: Snapshot) -> list[str]:
    """Who keeps a snapshot from being deleted: ["snapmirror"] for a base, at the source or the destination."""
    volume = cluster.store.volumes.get(snapshot.volume)
    held = cluster.store.holds.first(
        lambda hold: hold.volume == snapshot.volume and hold.version_uuid == snapshot.version_uuid
    )
    exported = volume is not None and volume.type == "dp" and volume.exported == snapshot.version_uuid
    return ["snapmirror"] if held is not None or exported else []


def snapshot_busy(snapshot: Snapshot) -> OntapError:
    """A base snapshot can't be deleted."""
    return refused(
        errors.SNAPSHOT_BUSY,
        f'Snapshot "{snapshot.name}" is in use by SnapMirror and cannot be deleted: it has an owner.',
        status=409,
    )


def delete_snapshot(cluster: Cluster, volume_uuid: str, snapshot_uuid: str) -> None:
    """Delete a snapshot that nobody owns. Raises OntapError."""
    with cluster.store.transaction():
        snapshot = cluster.store.snapshots.get(snapshot_uuid)
        if snapshot is None or snapshot.volume != volume_uuid:
            raise refused(errors.SNAPSHOT_GONE, "The snapshot does not exist.", status=404)
        if owners_of(cluster, snapshot):
            raise snapshot_busy(snapshot)
        cluster.store.snapshots.delete(snapshot_uuid)
    cluster.reclaim_soon(volume_uuid)
