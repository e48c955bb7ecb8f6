"""Transfers of a relationship: start, watch."""

import asyncio
import re

from netapp_ontap.host_connection import HostConnection
from netapp_ontap.resources.snapmirror_transfer import SnapmirrorTransfer

from farshore.errors import RetryClass
from farshore.ontap import parse
from farshore.ontap.calls import Calls
from farshore.ontap.errors import Call, OntapError
from farshore.ontap.model import Relationship, Transfer, TransferState

_TRANSFER_PATH = re.compile(r"/transfers/(?P<uuid>[0-9a-fA-F-]{36})(?:\?|$)")


class TransferCalls(Calls):
    """`/snapmirror/relationships/{uuid}` as read, and its `/transfers`."""

    async def read_relationship(self, uuid: str) -> Relationship:
        """The relationship as it stands. Raises OntapError, rediscover when it is gone."""
        return await self._read(
            "read relationship", f"/snapmirror/relationships/{uuid}", parse.RELATIONSHIP_FIELDS, parse.relationship
        )

    async def list_transfers(self, relationship_uuid: str) -> list[Transfer]:
        """Active transfers and those that ended in the last 24 hours, newest last. That can be thousands: poll one
        with `read_transfer`."""
        return await self._transfers(relationship_uuid)

    async def read_transfer(self, relationship_uuid: str, transfer_uuid: str) -> Transfer:
        """One transfer as it stands. Raises OntapError, rediscover when the cluster no longer knows it."""
        return await self._read(
            "read transfer",
            f"/snapmirror/relationships/{relationship_uuid}/transfers/{transfer_uuid}",
            parse.TRANSFER_FIELDS,
            parse.transfer,
        )

    async def transfers_before(self, relationship_uuid: str, source_snapshot: str | None) -> frozenset[str]:
        """The uuids of the transfers that are there and could be taken for the one that is to be started."""
        return frozenset(await self._possible(relationship_uuid, source_snapshot))

    async def start_transfer(
        self, relationship_uuid: str, source_snapshot: str | None, *, before: frozenset[str] | None = None
    ) -> Transfer:
        """Start a transfer of `source_snapshot`, or a plain update (a new source snapshot of ONTAP's own) when None.

        The POST is sent once. When its reply is lost, the transfer that it started is recognised by a uuid that was not
        there before, as `transfers_before` said a moment ago (`before`) or says now; when that can't be told, raises
        OntapError (retry soon) with `ambiguous` set: read the relationship and its transfers again before another
        start. A refusal raises OntapError with the class of its code.
        """
        if before is None:
            before = await self.transfers_before(relationship_uuid, source_snapshot)

        def post(host: HostConnection) -> None:
            body = {} if source_snapshot is None else {"source_snapshot": source_snapshot}
            transfer = SnapmirrorTransfer.from_dict(body, relationship_uuid)
            transfer.set_connection(host)
            transfer.post(poll=False)

        subject = source_snapshot or "plain update"
        try:
            reply = await self._change("start transfer", subject, Call.TRANSFER_POST, post)
        except OntapError as error:
            if not error.ambiguous:
                raise
            return await self._recognise(relationship_uuid, source_snapshot, before, error)
        named = _TRANSFER_PATH.search(reply.location or "")
        if named is not None and named["uuid"] not in before:
            return Transfer(named["uuid"], TransferState.QUEUED, source_snapshot, 0, None, None, None, None)
        nameless = OntapError(
            "start transfer",
            f"{subject} at {self.site}",
            "it started, but the reply doesn't name it",
            retry=RetryClass.RETRY_SOON,
            ambiguous=True,
        )
        return await self._recognise(relationship_uuid, source_snapshot, before, nameless)

    async def _recognise(
        self, relationship_uuid: str, source_snapshot: str | None, before: frozenset[str], lost: OntapError
    ) -> Transfer:
        try:
            after = await self._possible(relationship_uuid, source_snapshot)
        except OntapError:
            raise lost from None
        new = [transfer for uuid, transfer in after.items() if uuid not in before]
        ours = [transfer for transfer in new if transfer.snapshot in (source_snapshot, None) or source_snapshot is None]
        if len(ours) == 1:
            return ours[0]
        raise lost

    async def _possible(self, relationship_uuid: str, source_snapshot: str | None) -> dict[str, Transfer]:
        """Transfers that a POST for `source_snapshot` may have started: few, however many ended lately."""
        active = self._transfers(relationship_uuid, state="queued|transferring")
        if source_snapshot is None:
            found = await active
        else:
            named = self._transfers(relationship_uuid, snapshot=source_snapshot)
            found = [transfer for part in await asyncio.gather(active, named) for transfer in part]
        return {transfer.uuid: transfer for transfer in found}

    async def _transfers(self, relationship_uuid: str, **query: str) -> list[Transfer]:
        found = await self._list(
            "list transfers",
            f"/snapmirror/relationships/{relationship_uuid}/transfers",
            parse.TRANSFER_FIELDS,
            parse.transfer,
            **query,
        )
        # Times have whole seconds: the sort keeps the cluster's order among equal ones.
        return sorted(found, key=lambda one: (one.active, one.end_time.timestamp() if one.end_time else 0.0))
