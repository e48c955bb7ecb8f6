"""Relationships: found, made, changed, and watched until they are as asked."""

from collections.abc import Mapping
from http import HTTPStatus

from netapp_ontap.host_connection import HostConnection
from netapp_ontap.resources.snapmirror_policy import SnapmirrorPolicy
from netapp_ontap.resources.snapmirror_relationship import SnapmirrorRelationship

from farshore.errors import RetryClass
from farshore.ontap import parse
from farshore.ontap.errors import ALREADY_INITIALIZED, Call, OntapError
from farshore.ontap.model import Policy, Relationship, RelationshipState
from farshore.ontap.transfers import TransferCalls


class RelationshipCalls(TransferCalls):
    """`/snapmirror/relationships` and `/snapmirror/policies`, on the destination's cluster.

    A PATCH only triggers; the methods here wait for the state that they ask for, at most `deadline` seconds, and raise
    OntapError (rediscover) when it doesn't come. All can be repeated.
    """

    async def find_relationship(self, destination_path: str) -> Relationship | None:
        """The relationship whose destination is `destination_path` (`svm:volume`), if there is one."""
        found = await self._list(
            "find relationship",
            "/snapmirror/relationships",
            parse.RELATIONSHIP_FIELDS,
            parse.relationship,
            **{"destination.path": destination_path},
        )
        return next((one for one in found if one.destination_path == destination_path), None)

    async def ensure_policy(
        self, name: str, *, network_compression: bool = True, copy_all_source_snapshots: bool = True
    ) -> str:
        """The uuid of the asynchronous policy `name` of our SVM, made or corrected where it has to be.

        What a policy copies can't be changed once it exists (`copy_all_source_snapshots` is create-only): another value
        raises OntapError (final).
        """
        policy = await self.policy(name)
        if policy is None:
            try:
                await self._post_policy(name, network_compression, copy_all_source_snapshots)
            except OntapError as error:  # somebody may have been faster
                if not error.ambiguous and error.retry is not RetryClass.REDISCOVER:
                    raise
                policy = await self.policy(name)
                if policy is None:
                    raise
            else:
                policy = await self._until(
                    lambda: self.policy(name), lambda found: found is not None, what=f"policy {name}", deadline=30.0
                )
        if policy is None or policy.copy_all_source_snapshots != copy_all_source_snapshots:
            raise OntapError(
                "ensure policy",
                f"{name} at {self.site}",
                f"it exists with copy_all_source_snapshots {str(not copy_all_source_snapshots).lower()}",
                retry=RetryClass.FINAL,
                hint="choose another policy name; this property can't be changed",
            )
        if policy.network_compression != network_compression:
            uuid = policy.uuid

            def patch(host: HostConnection) -> None:
                resource = SnapmirrorPolicy.from_dict({"uuid": uuid})
                resource.set_connection(host)
                resource.network_compression_enabled = network_compression
                resource.patch(poll=False)

            reply = await self._change("change policy", name, Call.POLICY_PATCH, patch)
            await self._finish(reply, Call.POLICY_PATCH)
        return policy.uuid

    async def ensure_relationship(
        self, source_path: str, source_cluster: str, destination_path: str, policy: str
    ) -> Relationship:
        """The relationship from `source_path` (`svm:volume`) of the peer `source_cluster` (its name here; '' for this
        cluster) to `destination_path` on this cluster, made where there is none. Another source raises OntapError
        (final)."""
        found = await self.find_relationship(destination_path)
        if found is None:
            source = {"path": source_path, "cluster": {"name": source_cluster}}
            if not source_cluster:
                del source["cluster"]
            body = {"source": source, "destination": {"path": destination_path}, "policy": {"name": policy}}

            def post(host: HostConnection) -> None:
                relationship = SnapmirrorRelationship.from_dict(body)
                relationship.set_connection(host)
                relationship.post(poll=False, return_timeout=self._return_timeout())

            try:
                reply = await self._change("create relationship", destination_path, Call.RELATIONSHIP_POST, post)
                await self._finish(reply, Call.RELATIONSHIP_POST)
            except OntapError as error:
                if not error.ambiguous and error.retry is not RetryClass.REDISCOVER:
                    raise
                found = await self.find_relationship(destination_path)
                if found is None:
                    raise
            else:
                found = await self._until(
                    lambda: self.find_relationship(destination_path),
                    lambda one: one is not None,
                    what=f"relationship {destination_path} exists",
                    deadline=30.0,
                )
        if found is None or found.source_path != source_path:
            raise OntapError(
                "ensure relationship",
                f"{destination_path} at {self.site}",
                f"its source is {found.source_path if found else 'unknown'}, not {source_path}",
                retry=RetryClass.FINAL,
                hint="delete the old relationship, or correct the topology",
            )
        return found

    async def initialize(self, uuid: str) -> Relationship:
        """Begin the baseline; success too when it has begun or is done. Watch `read_relationship` for its end.

        Raises OntapError (operator) for a relationship that is paused or broken off: the same request to ONTAP would
        resume or resync it, and a resync discards what only the destination has.
        """
        relationship = await self.read_relationship(uuid)
        if relationship.established or relationship.transferring:
            return relationship
        if relationship.state is not RelationshipState.UNINITIALIZED:
            raise OntapError(
                "initialise",
                f"{relationship.destination_path} at {self.site}",
                f"the relationship is {relationship.state}",
                retry=RetryClass.OPERATOR,
                hint="resume it, or resync it if what only the destination has may be lost",
            )
        try:
            await self._set_state(uuid, RelationshipState.SNAPMIRRORED)
        except OntapError as error:
            relationship = await self.read_relationship(uuid)
            begun = relationship.established or relationship.transferring
            if error.code != ALREADY_INITIALIZED and not begun:
                raise
            return relationship
        return await self.read_relationship(uuid)

    async def pause(self, uuid: str, *, deadline: float = 60.0) -> Relationship:
        """Let no further transfer start."""
        return await self._reach(uuid, RelationshipState.PAUSED, deadline=deadline)

    async def resume(self, uuid: str, *, deadline: float = 60.0) -> Relationship:
        """Undo `pause`."""
        return await self._reach(uuid, RelationshipState.SNAPMIRRORED, deadline=deadline)

    async def break_off(
        self, uuid: str, *, restore_to_snapshot: str | None = None, force: bool = False, deadline: float = 60.0
    ) -> Relationship:
        """Make the destination writable, with the content of `restore_to_snapshot` or of the exported snapshot."""
        extra = {} if restore_to_snapshot is None else {"restore_to_snapshot": restore_to_snapshot}
        query = {"force": "true"} if force else {}
        return await self._reach(uuid, RelationshipState.BROKEN_OFF, deadline=deadline, extra=extra, query=query)

    async def resync(self, uuid: str, *, deadline: float = 600.0) -> Relationship:
        """Establish a broken-off relationship again from the newest common snapshot. What only the destination has is
        lost."""
        return await self._reach(uuid, RelationshipState.SNAPMIRRORED, deadline=deadline)

    async def reverse(self, uuid: str, *, deadline: float = 600.0) -> None:
        """Swap source and destination. From then on the relationship lives on the old source's cluster: find it there
        by its new destination path. Writes to the old source since the last transfer are lost."""
        now = await self.read_relationship(uuid)
        extra = {"source": {"path": now.destination_path}, "destination": {"path": now.source_path}}
        await self._set_state(uuid, RelationshipState.SNAPMIRRORED, extra=extra, deadline=deadline)

    async def delete_relationship(
        self, uuid: str, *, source_only: bool = False, destination_only: bool = False
    ) -> None:
        """Delete the relationship and release its source; success too when it is gone already. The data stays."""
        query = {"source_only": "true"} if source_only else {"destination_only": "true"} if destination_only else {}

        def delete(host: HostConnection) -> None:
            relationship = SnapmirrorRelationship.from_dict({"uuid": uuid})
            relationship.set_connection(host)
            relationship.delete(poll=False, return_timeout=self._return_timeout(), **query)

        try:
            reply = await self._change("delete relationship", uuid, Call.RELATIONSHIP_DELETE, delete)
            await self._finish(reply, Call.RELATIONSHIP_DELETE)
        except OntapError as error:
            if error.retry is not RetryClass.REDISCOVER:
                raise
            try:
                await self.read_relationship(uuid)
            except OntapError as gone:
                if gone.retry is RetryClass.REDISCOVER:
                    return
                raise
            raise

    async def _reach(
        self,
        uuid: str,
        state: RelationshipState,
        *,
        deadline: float,
        extra: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Relationship:
        now = await self.read_relationship(uuid)
        if now.state is state:
            return now
        try:
            await self._set_state(uuid, state, extra=extra, query=query, deadline=deadline)
        except OntapError as error:
            if error.ambiguous and (now := await self.read_relationship(uuid)).state is state:
                return now
            if error.http_status != HTTPStatus.NOT_FOUND:  # a job that is gone has ended; the state tells how
                raise
        return await self._until(
            lambda: self.read_relationship(uuid),
            lambda one: one.state is state,
            what=f"relationship {now.destination_path} is {state}",
            deadline=deadline,
        )

    async def _set_state(
        self,
        uuid: str,
        state: RelationshipState,
        *,
        extra: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        deadline: float = 60.0,
    ) -> None:
        def patch(host: HostConnection) -> None:
            relationship = SnapmirrorRelationship.from_dict({"uuid": uuid})
            relationship.set_connection(host)
            for name, value in {"state": str(state), **(extra or {})}.items():
                setattr(relationship, name, value)
            relationship.patch(poll=False, **(query or {}))

        reply = await self._change("change relationship", f"{uuid} to {state}", Call.RELATIONSHIP_PATCH, patch)
        await self._finish(reply, Call.RELATIONSHIP_PATCH, deadline=deadline)

    async def policy(self, name: str) -> Policy | None:
        """The policy `name` of our SVM, if there is one."""
        found = await self._list(
            "find policy",
            "/snapmirror/policies",
            parse.POLICY_FIELDS,
            parse.policy,
            **{"name": name, "svm.name": self.settings.svm},
        )
        return next((one for one in found if one.name == name), None)

    async def _post_policy(self, name: str, network_compression: bool, copy_all_source_snapshots: bool) -> None:
        def post(host: HostConnection) -> None:
            policy = SnapmirrorPolicy.from_dict(
                {
                    "name": name,
                    "svm": {"name": self.settings.svm},
                    "type": "async",
                    "network_compression_enabled": network_compression,
                    "copy_all_source_snapshots": copy_all_source_snapshots,
                }
            )
            policy.set_connection(host)
            policy.post(poll=False)

        reply = await self._change("create policy", name, Call.POLICY_POST, post)
        await self._finish(reply, Call.POLICY_POST)
