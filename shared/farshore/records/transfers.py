"""`farshore.transfers`: what SnapMirror did for a relationship.

Key: the relationship's name. Value: `TransferRecord` as JSON. Informative: arrivals never rest on it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value

TransferPhase = Literal["started", "progressed", "finished", "failed"]


class TransferRecord(BaseModel):
    """One phase of a transfer; `logical_bytes` is ONTAP's `bytes_transferred`, `cover` what the snapshot covers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    relationship: str
    registry: str
    site: str
    phase: TransferPhase
    transfer: str
    snapshot: str
    cover: int | None = None
    logical_bytes: int = 0
    network_compression_ratio: str | None = None
    reason: str | None = None
    at: UtcTime

    def to_cloudevent(self, *, traceparent: str | None = None) -> CloudEvent:
        """The record on `farshore.transfers`; its id is the same each time the same phase is reported."""
        progress = f"/{self.logical_bytes}" if self.phase == "progressed" else ""
        return CloudEvent(
            id=f"{self.transfer}/{self.phase}{progress}",
            source=f"/relationships/{self.relationship}",
            type=f"io.farshore.transfer.{self.phase}.v1",
            subject=self.relationship,
            time=self.at,
            data=self.model_dump_json(exclude_none=True).encode(),
            traceparent=traceparent,
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "TransferRecord":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)
