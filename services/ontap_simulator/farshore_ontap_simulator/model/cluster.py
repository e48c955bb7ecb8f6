"""One cluster: its records, its volumes' files, its jobs, its faults, and how it comes back after a kill."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from farshore_ontap_simulator.data import freeze
from farshore_ontap_simulator.data.view import switch
from farshore_ontap_simulator.errors import PEER_UNREACHABLE, missing_entry
from farshore_ontap_simulator.faults import Faults
from farshore_ontap_simulator.model.jobs import Jobs
from farshore_ontap_simulator.model.records import (
    ACTIVE,
    EmsEvent,
    Identity,
    Peer,
    Policy,
    Relationship,
    RelationshipState,
    Retention,
    Snapshot,
    Svm,
    Transfer,
    TransferState,
    Volume,
)
from farshore_ontap_simulator.model.store import Store
from farshore_ontap_simulator.model.volume_data import VolumeData
from farshore_ontap_simulator.settings import Settings
from farshore_ontap_simulator.transfer.link import Limits, Pipe

MAX_TRANSFERS = 100  # about what one node runs at once; more are queued
_EVENTS_KEPT = 1000


class Cluster:
    """Everything that one process simulates, apart from its sockets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self.faults = Faults()
        self.store = Store(settings.state_dir / "state.db")
        self.jobs = Jobs(self.store, self.faults, self.now, settings.job_seconds)
        self.transfers = ThreadPoolExecutor(MAX_TRANSFERS, thread_name_prefix="transfer")
        self.background = ThreadPoolExecutor(2, thread_name_prefix="background")
        self._data: dict[str, VolumeData] = {}
        self._data_lock = threading.Lock()
        self._pipes: dict[str, Pipe] = {}
        self.intercluster_address = str(settings.intercluster)
        self._recover()

    # the clock and the names

    def now(self) -> datetime:
        """The cluster's own clock, which a fault may have moved."""
        return datetime.now(UTC) + timedelta(seconds=self.faults.clock_offset_seconds())

    @property
    def identity(self) -> Identity:
        identity = self.store.identity.get("cluster")
        if identity is None:
            raise RuntimeError("the cluster has no identity yet")
        return identity

    def next_sequence(self) -> int:
        """A number that only grows; inside a transaction."""
        identity = self.identity
        self.store.identity.put(identity.but(sequence=identity.sequence + 1))
        return identity.sequence + 1

    def volume(self, volume_uuid: str) -> Volume:
        """Raises OntapError 4."""
        volume = self.store.volumes.get(volume_uuid)
        if volume is None:
            raise missing_entry("uuid")
        return volume

    def volume_at(self, path: str) -> Volume | None:
        """The volume at `svm:name`."""
        return self.store.volumes.first(lambda volume: volume.path == path)

    def snapshots_of(self, volume_uuid: str) -> list[Snapshot]:
        """A volume's snapshots, oldest first."""
        return sorted(
            self.store.snapshots.where(lambda snapshot: snapshot.volume == volume_uuid),
            key=lambda snapshot: snapshot.sequence,
        )

    def relationship(self, relationship_uuid: str) -> Relationship:
        """Raises OntapError 4."""
        relationship = self.store.relationships.get(relationship_uuid)
        if relationship is None:
            raise missing_entry("uuid")
        return relationship

    def policy(self, policy_uuid: str) -> Policy:
        """Raises OntapError 4."""
        policy = self.store.policies.get(policy_uuid)
        if policy is None:
            raise missing_entry("policy")
        return policy

    def transfer(self, transfer_uuid: str) -> Transfer:
        """Raises OntapError 4."""
        transfer = self.store.transfers.get(transfer_uuid)
        if transfer is None:
            raise missing_entry("uuid")
        return transfer

    # files

    def data(self, volume_uuid: str) -> VolumeData:
        """The files of a volume."""
        with self._data_lock:
            data = self._data.get(volume_uuid)
            if data is None:
                folder = self.settings.state_dir / "volumes" / volume_uuid
                data = VolumeData(folder, lambda: self.reclaim_soon(volume_uuid))
                self._data[volume_uuid] = data
            return data

    def drop_data(self, volume_uuid: str) -> None:
        """Delete a volume's files."""
        data = self.data(volume_uuid)
        with self._data_lock:
            self._data.pop(volume_uuid, None)
        data.destroy()

    def export_path(self, volume: Volume) -> Path:
        """What clients of the volume see: a symbolic link to its current tree."""
        return self.settings.state_dir / "export" / volume.svm / volume.name

    def show(self, volume: Volume) -> None:
        """Switch what clients see to the volume's current tree; nothing while it has none or is offline."""
        link = self.export_path(volume)
        if volume.tree is None or volume.state != "online":
            link.unlink(missing_ok=True)
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        switch(link, Path(os.path.relpath(self.data(volume.uuid).tree(volume.tree), link.parent)))

    def reclaim_soon(self, volume_uuid: str) -> None:
        """Free what no snapshot of the volume needs, in the background and once nothing uses it."""
        self.background.submit(self._reclaim, volume_uuid)

    def _reclaim(self, volume_uuid: str) -> None:
        volume = self.store.volumes.get(volume_uuid)
        if volume is None:
            return
        relationship = self.store.relationships.first(lambda item: item.volume == volume_uuid)
        if relationship is not None and relationship.checkpoint_bytes:
            return
        self.data(volume_uuid).reclaim(snapshot.version_uuid for snapshot in self.snapshots_of(volume_uuid))

    # peers

    def peer(self, name: str) -> Peer:
        """A peer, or this cluster as its own. Raises OntapError 13303892 for one that isn't known."""
        if name == self.settings.name:
            return Peer(uuid=self.identity.uuid, name=name, address=self.intercluster_address)
        peer = self.store.peers.first(lambda item: item.name == name)
        if peer is None:
            error = missing_entry()
            error.code, error.status = PEER_UNREACHABLE, 400
            error.message = f'Cluster "{name}" is not peered with this cluster.'
            raise error
        return peer

    def set_peer(self, name: str, address: str) -> Peer:
        """Add a peer or change its address."""
        with self.store.transaction():
            peer = self.store.peers.first(lambda item: item.name == name)
            if peer is None:
                peer = Peer(uuid=str(uuid.uuid4()), name=name, address=address)
            return self.store.peers.put(peer.but(address=address))

    def pipe(self, peer: str) -> Pipe:
        """The shared capacity of the link to a peer."""
        with self._data_lock:
            return self._pipes.setdefault(peer, Pipe())

    def limits(self, peer: str) -> Limits:
        """The limits of the link to a peer, by settings and faults."""
        record = self.store.peers.first(lambda item: item.name == peer)
        limits = Limits()
        if record is not None:
            limits = Limits(record.latency_ms / 1000, record.bandwidth_bytes_per_second)
        return limits.tightened(Limits(0.0, self.faults.bandwidth(peer)))

    # events

    def record_event(self, name: str, severity: str, message: str, parameters: dict[str, str]) -> EmsEvent:
        """Keep an EMS event; inside a transaction."""
        index = self.next_sequence()
        event = EmsEvent(
            index=index,
            time=self.now(),
            name=name,
            severity=severity,
            log_message=f"{name}: {message}",
            parameters=tuple(parameters.items()),
        )
        self.store.ems_events.put(event)
        events = self.store.ems_events.all()
        for old in events[: max(0, len(events) - _EVENTS_KEPT)]:
            self.store.ems_events.delete(old.key)
        return event

    # coming back

    def _recover(self) -> None:
        with self.store.transaction():
            if self.store.identity.get("cluster") is None:
                self.store.identity.put(Identity(uuid=str(uuid.uuid4()), name=self.settings.name))
            for policy in _BUILT_IN_POLICIES:
                if self.store.policies.first(lambda known, name=policy.name: known.name == name) is None:  # type: ignore[misc]
                    self.store.policies.put(policy.but(uuid=str(uuid.uuid4())))
            if self.settings.svm and not self.store.svms.all():
                self.store.svms.put(Svm(uuid=str(uuid.uuid4()), name=self.settings.svm))
        for name, address in self.settings.peers.items():
            self.set_peer(name, str(address))
        for writers in self.store.writers.all():
            freeze.resume(freeze.Writer(*process) for process in writers.processes)
        self.jobs.recover()
        self.fail_active_transfers("The transfer was interrupted by a reboot.")
        folders = self.settings.state_dir / "volumes"
        if folders.is_dir():
            for folder in folders.iterdir():
                if self.store.volumes.get(folder.name) is None:
                    shutil.rmtree(folder, ignore_errors=True)
        for volume in self.store.volumes.all():
            data = self.data(volume.uuid)
            self.show(volume)
            data.remove_trees_but(volume.tree)
            self.reclaim_soon(volume.uuid)

    def fail_active_transfers(self, reason: str) -> None:
        """What a reboot does to transfers: they fail, and a baseline loses its checkpoint."""
        with self.store.transaction():
            for transfer in self.store.transfers.where(lambda item: item.state in ACTIVE):
                self.store.transfers.put(
                    transfer.but(
                        state=TransferState.FAILED,
                        ended=self.now(),
                        error_code=PEER_UNREACHABLE,
                        error_message=reason,
                    )
                )
                relationship = self.store.relationships.get(transfer.relationship)
                if relationship is None:
                    continue
                baseline = relationship.state is RelationshipState.UNINITIALIZED
                self.store.relationships.put(
                    relationship.but(
                        healthy=False,
                        unhealthy_code=PEER_UNREACHABLE,
                        unhealthy_message=reason,
                        checkpoint_bytes=0 if baseline else transfer.bytes_transferred,
                    )
                )

    def close(self) -> None:
        """Stop taking work; what is under way is left as a kill would leave it."""
        self.jobs.close()
        self.transfers.shutdown(wait=False, cancel_futures=True)
        self.background.shutdown(wait=False, cancel_futures=True)


_BUILT_IN_POLICIES = (
    Policy(
        uuid="",
        name="Asynchronous",
        comment="A unified Asynchronous SnapMirror policy.",
        retention=(Retention(label="sm_created", count=1), Retention(label="daily", count=7)),
        built_in=True,
    ),
    Policy(
        uuid="",
        name="MirrorAllSnapshots",
        comment="Asynchronous SnapMirror policy for mirroring all snapshots.",
        copy_all_source_snapshots=True,
        built_in=True,
    ),
    Policy(
        uuid="",
        name="MirrorLatest",
        comment="Asynchronous SnapMirror policy for mirroring the latest snapshot.",
        copy_latest_source_snapshot=True,
        built_in=True,
    ),
)
