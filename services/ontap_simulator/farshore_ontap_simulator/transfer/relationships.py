"""What can be done to a relationship: create, initialise, pause, resume, break, resync, reverse, delete."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.data.view import build
from farshore_ontap_simulator.errors import OntapError, busy, refused
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Policy, Relationship, RelationshipState, Volume
from farshore_ontap_simulator.model.volumes import NewVolume, create_volume
from farshore_ontap_simulator.transfer import messages, plan
from farshore_ontap_simulator.transfer.session import SourceSession, UnreachableError, describe, unreachable_error
from farshore_ontap_simulator.transfer.transfers import Transfers

_QUIESCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class NewRelationship:
    """What a relationship is created with; paths are `svm:volume`."""

    source_path: str
    destination_path: str
    source_cluster: str | None = None
    policy: str | None = None
    create_destination: bool = False
    initialize: bool = False
    throttle: int = 0


class Relationships:
    """Operations on the relationships whose destination is on this cluster."""

    def __init__(self, cluster: Cluster, transfers: Transfers) -> None:
        self._cluster = cluster
        self._transfers = transfers

    # creating

    def check_new(self, new: NewRelationship) -> str:
        """The source's cluster for a relationship that can be made. Raises OntapError. Asks the source."""
        if new.source_path.count(":") != 1 or new.destination_path.count(":") != 1:
            raise errors.invalid_value("source.path", new.source_path)
        store = self._cluster.store
        if store.relationships.first(lambda item: item.destination_path == new.destination_path) is not None:
            raise refused(
                errors.RELATIONSHIP_EXISTS,
                f'Relationship with destination "{new.destination_path}" already exists.',
                status=409,
            )
        self._find_policy(new.policy)
        volume = self._cluster.volume_at(new.destination_path)
        if volume is None and not new.create_destination:
            raise refused(errors.ENTRY_MISSING, f'Volume "{new.destination_path}" does not exist.', status=404)
        if volume is not None and new.create_destination:
            raise refused(errors.VOLUME_EXISTS, f'Volume "{new.destination_path}" already exists.', status=409)
        source_cluster = new.source_cluster or self._find_source_cluster(new.source_path)
        if source_cluster == self._cluster.settings.name and new.source_path == new.destination_path:
            raise refused(errors.SAME_VOLUME, "The source and the destination are the same volume.")
        source = self._source_volume(source_cluster, new)
        if volume is not None and volume.type != "dp" and (new.initialize or not self._is_related(volume, source)):
            raise refused(errors.NOT_A_DP_VOLUME, f'Volume "{new.destination_path}" is not of type DP.')
        return source_cluster

    def _is_related(self, volume: Volume, source: messages.Opened) -> bool:
        """Whether a writable volume has a snapshot in common with the source, so that a resync can make it a copy."""
        mine = {snapshot.version_uuid for snapshot in self._cluster.snapshots_of(volume.uuid)}
        return plan.common(source.snapshots, mine) is not None

    def _find_policy(self, name: str | None) -> Policy:
        wanted = name or "Asynchronous"
        policy = self._cluster.store.policies.first(lambda item: wanted in (item.name, item.uuid))
        if policy is None:
            raise refused(errors.POLICY_UNKNOWN, f'Policy "{wanted}" does not exist.')
        return policy

    def _find_source_cluster(self, source_path: str) -> str:
        """The peered cluster that has the source's SVM, as SVM peering finds it."""
        svm = source_path.partition(":")[0]
        if self._cluster.volume_at(source_path) is not None:
            return self._cluster.settings.name
        unreachable: UnreachableError | None = None
        for peer in self._cluster.store.peers.all():
            try:
                if svm in describe(self._cluster, peer.name).svms:
                    return peer.name
            except UnreachableError as error:
                unreachable = error
        if unreachable is not None:
            raise unreachable_error(unreachable)
        raise refused(errors.NOT_PEERED, f'SVM "{svm}" is not peered with an SVM of this cluster.')

    def _source_volume(self, cluster_name: str, new: NewRelationship) -> messages.Opened:
        if cluster_name != self._cluster.settings.name and not self._cluster.store.peers.first(
            lambda item: item.name == cluster_name
        ):
            raise refused(errors.NOT_PEERED, f'Cluster "{cluster_name}" is not peered with this cluster.')
        try:
            session = SourceSession(self._cluster, cluster_name, lambda: 0.0)
            try:
                return session.ask(
                    messages.Open(
                        cluster=self._cluster.settings.name,
                        relationship="",
                        source=new.source_path,
                        destination=new.destination_path,
                    ),
                    messages.Opened,
                )
            finally:
                session.close()
        except UnreachableError as error:
            raise unreachable_error(error) from error

    def create(self, new: NewRelationship, source_cluster: str, relationship_uuid: str) -> None:
        """Make it, with its destination volume if asked, and start the baseline if asked. Raises OntapError."""
        store = self._cluster.store
        if new.create_destination:
            svm, _, name = new.destination_path.partition(":")
            create_volume(self._cluster, NewVolume(name=name, svm=svm, type="dp"), str(uuid.uuid4()))
        with store.transaction():
            if store.relationships.first(lambda item: item.destination_path == new.destination_path) is not None:
                raise refused(
                    errors.RELATIONSHIP_EXISTS,
                    f'Relationship with destination "{new.destination_path}" already exists.',
                    status=409,
                )
            volume = self._cluster.volume_at(new.destination_path)
            if volume is None:
                raise errors.missing_entry("destination.path")
            store.relationships.put(
                Relationship(
                    uuid=relationship_uuid,
                    source_path=new.source_path,
                    source_cluster=source_cluster,
                    destination_path=new.destination_path,
                    volume=volume.uuid,
                    policy=self._find_policy(new.policy).uuid,
                    throttle=new.throttle,
                    state=_initial_state(volume),
                )
            )
        if new.initialize:
            self._transfers.start(relationship_uuid, "initialize")

    # changing

    def modify(self, relationship_uuid: str, policy: str | None, throttle: int | None) -> None:
        """Change policy or throttle (KB/s). Raises OntapError."""
        with self._cluster.store.transaction():
            relationship = self._cluster.relationship(relationship_uuid)
            if policy is not None:
                relationship = relationship.but(policy=self._find_policy(policy).uuid)
            if throttle is not None:
                relationship = relationship.but(throttle=throttle)
            self._cluster.store.relationships.put(relationship)

    def to_snapmirrored(self, relationship_uuid: str) -> None:
        """Initialise, resume or resync, by the state it is in. Raises OntapError."""
        relationship = self._cluster.relationship(relationship_uuid)
        match relationship.state:
            case RelationshipState.UNINITIALIZED:
                self._transfers.start(relationship_uuid, "initialize")
            case RelationshipState.PAUSED:
                volume = self._cluster.volume(relationship.volume)
                state = (
                    RelationshipState.SNAPMIRRORED if volume.exported is not None else RelationshipState.UNINITIALIZED
                )
                self._set_state(relationship_uuid, state)
            case RelationshipState.BROKEN_OFF:
                self._transfers.start(relationship_uuid, "resync")
            case RelationshipState.SNAPMIRRORED:
                raise refused(errors.ALREADY_INITIALIZED, "The relationship is already initialized.")

    def check_state_change(self, relationship_uuid: str, state: str) -> None:
        """What ONTAP refuses at once. Raises OntapError."""
        relationship = self._cluster.relationship(relationship_uuid)
        allowed = {
            "snapmirrored": (
                RelationshipState.UNINITIALIZED,
                RelationshipState.PAUSED,
                RelationshipState.BROKEN_OFF,
            ),
            "paused": (RelationshipState.SNAPMIRRORED, RelationshipState.UNINITIALIZED, RelationshipState.PAUSED),
            "broken_off": (RelationshipState.SNAPMIRRORED, RelationshipState.PAUSED),
        }
        if state not in allowed:
            raise refused(13303817, f'"{state}" is not a state that an asynchronous relationship can be set to.')
        if self._transfers.running.get(relationship_uuid) is not None and state != "paused":
            code = errors.BREAK_FAILED if state == "broken_off" else errors.RESYNC_FAILED
            if relationship.state is RelationshipState.UNINITIALIZED and state == "snapmirrored":
                code = errors.INITIALIZE_FAILED
            raise busy(code, relationship.destination_path)
        if relationship.state not in allowed[state]:
            if state == "snapmirrored":
                raise refused(errors.ALREADY_INITIALIZED, "The relationship is already initialized.")
            raise refused(
                errors.INVALID_STATE_CHANGE,
                f'The relationship cannot go from state "{relationship.state}" to "{state}".',
            )

    def _set_state(self, relationship_uuid: str, state: RelationshipState) -> None:
        with self._cluster.store.transaction():
            self._cluster.store.relationships.put(self._cluster.relationship(relationship_uuid).but(state=state))

    def pause(self, relationship_uuid: str) -> None:
        """Let the running transfer end, then refuse further ones. Raises OntapError 13303823 if it takes too long."""
        if not self._transfers.running.wait_until_idle(relationship_uuid, _QUIESCE_SECONDS):
            raise refused(13303823, "Quiesce timed out: a transfer is still active.")
        self._set_state(relationship_uuid, RelationshipState.PAUSED)

    def break_off(self, relationship_uuid: str, restore_to: str | None = None) -> Volume:
        """Make the destination writable, as it is or as it was at the snapshot `restore_to`. Raises OntapError."""
        store = self._cluster.store
        relationship = self._cluster.relationship(relationship_uuid)
        if self._transfers.running.get(relationship_uuid) is not None:
            raise busy(errors.BREAK_FAILED, relationship.destination_path)
        volume = self._cluster.volume(relationship.volume)
        data = self._cluster.data(volume.uuid)
        tree, number, exported = volume.tree, volume.number, volume.exported
        snapshots = self._cluster.snapshots_of(volume.uuid)
        newer: list[str] = []
        if restore_to is not None:
            wanted = next((item for item in snapshots if item.name == restore_to), None)
            if wanted is None:
                raise refused(errors.BREAK_FAILED, f'Snapshot "{restore_to}" does not exist on the destination volume.')
            newer = [item.uuid for item in snapshots if item.sequence > wanted.sequence]
            table = data.blocks.table(wanted.version_uuid)
            if table is None:
                raise refused(errors.INTERNAL, "The snapshot's table is missing.", status=500)
            number += 1
            tree, exported = f"views/{number}", wanted.version_uuid
            with data.in_use():
                build(data.blocks, table, data.tree(tree))
        with store.transaction():
            if self._transfers.running.get(relationship_uuid) is not None:
                raise busy(errors.BREAK_FAILED, relationship.destination_path)
            for snapshot in newer:
                store.snapshots.delete(snapshot)
            volume = store.volumes.put(volume.but(type="rw", tree=tree, number=number, exported=exported))
            self._set_state(relationship_uuid, RelationshipState.BROKEN_OFF)
            self._cluster.show(volume)
        data.snapshotter.forget()
        self._cluster.background.submit(data.remove_trees_before, number)
        return volume

    # reversing

    def check_reversal(self, relationship_uuid: str, source: str, destination: str) -> None:
        """Raises OntapError for a reversal that can't work."""
        relationship = self._cluster.relationship(relationship_uuid)
        if (source, destination) != (relationship.destination_path, relationship.source_path):
            raise refused(errors.PATHS_DIFFER, "The paths do not match those of the relationship.")
        if relationship.source_cluster == self._cluster.settings.name:
            raise refused(13304003, "A relationship within one cluster cannot be reversed.")
        policy = self._cluster.store.policies.get(relationship.policy)
        if policy is not None and not policy.create_snapshot_on_source:
            raise refused(
                13304086, 'The policy has "create_snapshot_on_source" false: the direction cannot be reversed.'
            )
        if relationship.state is RelationshipState.UNINITIALIZED:
            raise refused(errors.INVALID_STATE_CHANGE, "The relationship is not initialized.")
        if self._transfers.running.get(relationship_uuid) is not None:
            raise busy(errors.RESYNC_FAILED, relationship.destination_path)

    def reverse(self, relationship_uuid: str) -> None:
        """Break, and let the old source become the destination: its cluster keeps the relationship from then on.

        Raises OntapError.
        """
        relationship = self._cluster.relationship(relationship_uuid)
        policy = self._cluster.store.policies.get(relationship.policy)
        if policy is None:
            raise errors.missing_entry("policy")
        # Reaching the peer comes first: a break without a partner would leave two writable volumes.
        try:
            describe(self._cluster, relationship.source_cluster)
            if relationship.state is not RelationshipState.BROKEN_OFF:
                self.break_off(relationship_uuid)
            session = SourceSession(self._cluster, relationship.source_cluster, lambda: 0.0)
            try:
                session.ask(
                    messages.Reverse(
                        cluster=self._cluster.settings.name,
                        relationship=relationship_uuid,
                        source=relationship.destination_path,
                        destination=relationship.source_path,
                        policy=policy,
                    ),
                    messages.Done,
                )
            finally:
                session.close()
        except UnreachableError as error:
            raise unreachable_error(error) from error
        with self._cluster.store.transaction():
            self._cluster.store.relationships.delete(relationship_uuid)

    def accept_reversal(self, request: messages.Reverse) -> None:
        """This cluster had the source; its volume becomes the destination. Raises OntapError."""
        store = self._cluster.store
        with store.transaction():
            volume = self._cluster.volume_at(request.destination)
            if volume is None:
                raise refused(errors.RESYNC_FAILED, f'Volume "{request.destination}" does not exist.')
            if store.relationships.first(lambda item: item.volume == volume.uuid and item.uuid != request.relationship):
                raise refused(errors.RELATIONSHIP_EXISTS, f'"{request.destination}" has a relationship already.')
            policy = store.policies.first(lambda item: item.name == request.policy.name)
            if policy is None:
                policy = store.policies.put(request.policy.but(uuid=str(uuid.uuid4())))
            store.relationships.put(
                Relationship(
                    uuid=request.relationship,
                    source_path=request.source,
                    source_cluster=request.cluster,
                    destination_path=request.destination,
                    volume=volume.uuid,
                    policy=policy.uuid,
                    state=RelationshipState.BROKEN_OFF,
                )
            )
        try:
            self._transfers.start(request.relationship, "resync")
        except OntapError:
            with store.transaction():
                store.relationships.delete(request.relationship)
            raise
        with store.transaction():
            for hold in store.holds.where(lambda hold: hold.relationship == request.relationship):
                if hold.volume == volume.uuid:
                    store.holds.delete(hold.key)

    # deleting

    def delete(self, relationship_uuid: str, *, destination_only: bool = False) -> None:
        """Delete it here and, unless `destination_only`, release it at the source. Raises OntapError."""
        relationship = self._cluster.relationship(relationship_uuid)
        if self._transfers.running.get(relationship_uuid) is not None:
            raise busy(errors.UPDATE_FAILED, relationship.destination_path)
        failure: OntapError | None = None
        if not destination_only:
            try:
                self._release(relationship)
            except UnreachableError as error:
                failure = refused(13303822, f"The relationship could not be released at the source: {error}")
        if failure is not None:
            raise failure
        with self._cluster.store.transaction():
            self._cluster.store.relationships.delete(relationship_uuid)
            for transfer in self._cluster.store.transfers.where(lambda item: item.relationship == relationship_uuid):
                self._cluster.store.transfers.delete(transfer.uuid)

    def _release(self, relationship: Relationship) -> None:
        session = SourceSession(self._cluster, relationship.source_cluster, lambda: 0.0)
        try:
            session.ask(
                messages.Open(
                    cluster=self._cluster.settings.name,
                    relationship=relationship.uuid,
                    source=relationship.source_path,
                    destination=relationship.destination_path,
                ),
                messages.Opened,
            )
            session.ask(messages.Release(), messages.Done)
        except OntapError as error:
            if error.code != errors.ENTRY_MISSING:
                raise
        finally:
            session.close()

    def release(self, relationship_uuid: str) -> bool:
        """Forget a relationship whose source is here (source_only); False if there is none."""
        store = self._cluster.store
        with store.transaction():
            holds = store.holds.where(lambda hold: hold.relationship == relationship_uuid)
            for hold in holds:
                store.holds.delete(hold.key)
        return bool(holds)


def _initial_state(volume: Volume) -> RelationshipState:
    """A volume that is writable or has content already isn't initialised but resynchronised, as after a break.

    NetApp, "Reactivate the original source volume" (ONTAP 9, data protection): `snapmirror create` onto the volume that
    was the source, then `snapmirror resync`.
    """
    fresh = volume.type == "dp" and volume.exported is None
    return RelationshipState.UNINITIALIZED if fresh else RelationshipState.BROKEN_OFF
