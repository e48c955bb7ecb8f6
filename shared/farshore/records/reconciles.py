"""Asks, on `farshore.events`, for a registry to be reconciled: something was lost that only its content can tell.

Key: the registry's name, like every record of that topic. It announces no image, so it leads to no snapshot and no
arrival.
"""

import hashlib
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value

RECONCILE_TYPE = "io.farshore.reconcile.requested.v1"


class ReconcileRequested(BaseModel):
    """One request. `sites` are those that lost something; none means that nobody knows where.

    `before`: what `farshore.events` announced below this offset, and those sites haven't decided, is lost to them: it
    is not under way any more. None where all that was announced is still on its way.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    registry: str
    sites: list[str] = []
    before: int | None = None
    reason: str
    at: UtcTime

    @classmethod
    def because(
        cls,
        registry: str,
        occasion: str,
        reason: str,
        at: datetime,
        *,
        sites: list[str] | None = None,
        before: int | None = None,
    ) -> "ReconcileRequested":
        """A request whose id is the same for the same `occasion`, however often it is written."""
        text = hashlib.sha256(f"{registry}\0{occasion}".encode()).hexdigest()[:32]
        return cls(id=f"request-{text}", registry=registry, sites=sites or [], before=before, reason=reason, at=at)

    def to_cloudevent(self, *, traceparent: str | None = None) -> CloudEvent:
        """The record on `farshore.events`."""
        return CloudEvent(
            id=self.id,
            source=f"/registries/{self.registry}",
            type=RECONCILE_TYPE,
            subject=self.registry,
            time=self.at,
            data=self.model_dump_json(exclude_none=True).encode(),
            traceparent=traceparent,
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "ReconcileRequested":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)
