"""One transfer, from asking the source what it has to showing clients the new view."""

from __future__ import annotations

import logging
import uuid

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.data.blocks import Table
from farshore_ontap_simulator.data.view import build
from farshore_ontap_simulator.errors import OntapError, refused
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Policy, Relationship, Snapshot, TransferState, Volume
from farshore_ontap_simulator.transfer import messages, plan
from farshore_ontap_simulator.transfer.outcome import Outcome
from farshore_ontap_simulator.transfer.plan import Offered
from farshore_ontap_simulator.transfer.receive import Receiver
from farshore_ontap_simulator.transfer.running import Running, RunningTransfers
from farshore_ontap_simulator.transfer.session import SourceSession, UnreachableError
from farshore_ontap_simulator.transfer.source import offered

LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 0.1


class StoppedError(Exception):
    """The transfer was aborted, or the cluster rebooted."""


def open_session(cluster: Cluster, running: Running, relationship: Relationship, policy: Policy) -> messages.Opened:
    """Connect a transfer to its source, and hear what that has. Raises UnreachableError or OntapError."""

    def throttle() -> float:
        return cluster.transfer(running.transfer).throttle * 1024.0

    session = SourceSession(cluster, relationship.source_cluster, throttle)
    running.session = session
    return session.ask(
        messages.Open(
            cluster=cluster.settings.name,
            relationship=relationship.uuid,
            source=relationship.source_path,
            destination=relationship.destination_path,
            compression=policy.network_compression_enabled,
            limits=session.limits_message(),
        ),
        messages.Opened,
    )


class TransferRun:
    """The work of one transfer, in a thread of its own."""

    def __init__(
        self, cluster: Cluster, book: RunningTransfers, running: Running, opened: messages.Opened | None
    ) -> None:
        self._cluster = cluster
        self._book = book
        self._running = running
        self._opened = opened
        self._outcome = Outcome(cluster)
        self._relationship = cluster.relationship(running.relationship)
        self._policy = cluster.policy(self._relationship.policy)
        self._data = cluster.data(self._relationship.volume)
        self._receiver: Receiver | None = None

    def run(self) -> None:
        """Do it; every end is recorded."""
        try:
            with self._data.in_use():
                self._transfer()
        except StoppedError:
            self._early(self._running.stop or TransferState.ABORTED, 0, self._running.stop_reason)
        except UnreachableError as error:
            # An abort cuts the connection: then the abort is the reason.
            if self._running.stop is not None:
                self._early(self._running.stop, 0, self._running.stop_reason)
            else:
                self._early(TransferState.FAILED, errors.TRANSFER_NETWORK, str(error))
        except OntapError as error:
            self._early(TransferState.FAILED, error.code, error.message)
        except Exception:  # the transfer's outermost frame: a bug must end the transfer, not the worker
            LOG.exception("transfer failed")
            self._early(TransferState.FAILED, errors.INTERNAL, "Internal error.")
        finally:
            if self._running.session is not None:
                self._running.session.close()
            self._book.remove(self._running)
        self._cluster.reclaim_soon(self._relationship.volume)

    def _early(self, state: TransferState, code: int, message: str) -> None:
        self._data.expect_remains()
        with self._cluster.store.lock:
            self._outcome.ended_early(self._running, self._receiver, state, code, message)
            self._book.remove(self._running)

    def _transfer(self) -> None:
        self._note(state=TransferState.TRANSFERRING)
        self._running.fault = self._cluster.faults.on_transfer(self._relationship.destination_path)
        if self._opened is None:
            self._opened = open_session(self._cluster, self._running, self._relationship, self._policy)
        opened, session = self._opened, self._running.session
        if session is None:
            raise UnreachableError("There is no session with the source.")
        receiver = self._receiver = Receiver(session, self._data.blocks, self._progress)
        self._progress()
        volume = self._cluster.volume(self._relationship.volume)
        if volume.type != "dp":
            volume = self._revert(volume, opened)
        mine = {snapshot.version_uuid for snapshot in self._cluster.snapshots_of(volume.uuid)}
        source = list(opened.snapshots)
        if self._running.source_snapshot is None and opened.type == "rw" and self._policy.create_snapshot_on_source:
            source.append(self._create_at_source(session))
        chosen = plan.select(self._policy, source, mine, self._running.source_snapshot)
        self._note(snapshot=chosen[-1].name)
        session.ask(messages.Hold(versions=[item.version_uuid for item in chosen]), messages.Done)
        complete = self._complete_chunks(mine)
        for item in chosen:
            self._note(snapshot=item.name)
            if item.version_uuid not in mine:
                complete.update(receiver.fetch(item.version_uuid, complete).chunks)
            self._progress()
        self._finish(chosen, source, session, receiver)

    def _note(self, **changes: object) -> None:
        """Change the transfer's record."""
        with self._cluster.store.transaction():
            transfer = self._cluster.transfer(self._running.transfer)
            self._cluster.store.transfers.put(transfer.but(updated=self._cluster.now(), **changes))

    def _progress(self) -> None:
        """After every batch: note the bytes, obey aborts and faults. Raises StoppedError or OntapError."""
        receiver, destination = self._receiver, self._relationship.destination_path
        moved = receiver.bytes_transferred if receiver is not None else 0
        ratio = receiver.ratio if receiver is not None and self._policy.network_compression_enabled else None
        since = self._cluster.now() - self._cluster.transfer(self._running.transfer).updated
        if abs(since.total_seconds()) >= _PROGRESS_SECONDS:
            self._note(bytes_transferred=moved, ratio=ratio)
        if self._cluster.faults.held(destination, moved):
            self._note(bytes_transferred=moved, ratio=ratio)
            while self._cluster.faults.held(destination, moved) and self._running.stop is None:
                self._cluster.faults.wait_for_change(0.1)
        if self._running.stop is not None:
            raise StoppedError
        fault = self._running.fault
        if fault is not None and moved >= fault.after_bytes:
            raise OntapError(fault.code, fault.message)

    def _create_at_source(self, session: SourceSession) -> Offered:
        """A snapshot of the transfer's own, named as ONTAP names them."""
        store = self._cluster.store
        with store.transaction():
            relationship = self._cluster.relationship(self._relationship.uuid)
            number = relationship.auto_number + 1
            store.relationships.put(relationship.but(auto_number=number))
        stamp = self._cluster.now().strftime("%Y-%m-%d_%H%M%S")
        name = f"snapmirror.{self._relationship.uuid}_{number}.{stamp}"
        return session.ask(messages.Create(name=name), messages.Created).snapshot

    def _complete_chunks(self, versions: set[str]) -> set[bytes]:
        """The chunks of snapshots that are here: all their blocks are here too."""
        tables = (self._data.blocks.table(version) for version in versions)
        return {chunk for table in tables if table is not None for chunk in table.chunks}

    def _table(self, version: str) -> Table:
        table = self._data.blocks.table(version)
        if table is None:
            raise refused(errors.INTERNAL, "The snapshot's table is missing.")
        return table

    def _revert(self, volume: Volume, opened: messages.Opened) -> Volume:
        """Before a resync: the destination becomes what it was at the newest common snapshot."""
        store = self._cluster.store
        snapshots = self._cluster.snapshots_of(volume.uuid)
        base = plan.common(opened.snapshots, {snapshot.version_uuid for snapshot in snapshots})
        if base is None:
            raise refused(errors.RESYNC_FAILED, "No common snapshot found between the source and the destination.")
        number = volume.number + 1
        tree = f"views/{number}"
        # Built from blocks alone: the tree that was writable until now may share files with nothing.
        build(self._data.blocks, self._table(base.version_uuid), self._data.tree(tree))
        with store.transaction():
            newer = False
            for snapshot in snapshots:
                if newer:
                    store.snapshots.delete(snapshot.uuid)
                newer = newer or snapshot.version_uuid == base.version_uuid
            volume = store.volumes.put(volume.but(type="dp", tree=tree, exported=base.version_uuid, number=number))
            self._cluster.show(volume)
        self._data.snapshotter.forget()
        self._data.remove_trees_before(number)
        return volume

    def _finish(self, chosen: list[Offered], source: list[Offered], session: SourceSession, receiver: Receiver) -> None:
        store = self._cluster.store
        newest = chosen[-1]
        volume = self._with_view(self._cluster.volume(self._relationship.volume), newest.version_uuid)
        with store.transaction():
            if self._running.stop is not None:
                raise StoppedError
            self._change_snapshots(volume, chosen, {item.version_uuid for item in source})
            current = self._cluster.volume(volume.uuid)
            current = store.volumes.put(current.but(tree=volume.tree, exported=volume.exported, number=volume.number))
            self._outcome.success(self._running, self._policy, receiver, session.wire_bytes, newest.name, len(chosen))
            self._cluster.show(current)
            self._book.remove(self._running)
        try:
            session.ask(messages.Commit(base=newest.version_uuid), messages.Done)
        except (UnreachableError, OntapError) as error:
            LOG.warning("the source doesn't know the new base of %s: %s", volume.path, error)
        self._data.remove_trees_before(volume.number)

    def _with_view(self, volume: Volume, version: str) -> Volume:
        """The volume with a tree of this snapshot built, but not yet shown."""
        if volume.exported == version:
            return volume
        number = volume.number + 1
        tree = f"views/{number}"
        old = None
        if volume.exported is not None and volume.tree is not None:
            old = (self._table(volume.exported), self._data.tree(volume.tree))
        build(self._data.blocks, self._table(version), self._data.tree(tree), old)
        return volume.model_copy(update={"tree": tree, "exported": version, "number": number})

    def _change_snapshots(self, volume: Volume, chosen: list[Offered], source: set[str]) -> None:
        """Add what came, delete what the policy gives up; inside a transaction."""
        store = self._cluster.store
        mine = {snapshot.version_uuid for snapshot in self._cluster.snapshots_of(volume.uuid)}
        for item in chosen:
            if item.version_uuid not in mine:
                store.snapshots.put(
                    Snapshot(
                        uuid=str(uuid.uuid4()),
                        volume=volume.uuid,
                        name=item.name,
                        version_uuid=item.version_uuid,
                        create_time=item.create_time,
                        sequence=self._cluster.next_sequence(),
                        comment=item.comment,
                        label=item.label,
                        logical_bytes=item.logical_bytes,
                    )
                )
        snapshots = self._cluster.snapshots_of(volume.uuid)
        held = {hold.version_uuid for hold in store.holds.where(lambda hold: hold.volume == volume.uuid)}
        retired = plan.retire(self._policy, [offered(item) for item in snapshots], source, chosen[-1].version_uuid)
        # A cascade from this volume still needs its base.
        gone = {item.version_uuid for item in retired} - held
        for snapshot in snapshots:
            if snapshot.version_uuid in gone:
                store.snapshots.delete(snapshot.uuid)
