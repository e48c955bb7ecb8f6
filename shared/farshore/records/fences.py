"""Fences: while a registry's garbage collector runs, no snapshot of its volume is taken.

`FenceRaised` and `FenceLifted` stand on `farshore.events`, key: the registry, so that whoever takes snapshots meets
them among the events. `FenceStatus` stands on `farshore.transfers`, key: the registry: what the coalescer made of them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value

RAISED_TYPE = "io.farshore.fence.raised.v1"
LIFTED_TYPE = "io.farshore.fence.lifted.v1"
FENCE_TYPES = frozenset({RAISED_TYPE.encode(), LIFTED_TYPE.encode()})
"""As they stand in the header `ce_type`."""

FencePhase = Literal["held", "lifted", "expired"]
STATUS_TYPES = frozenset(f"io.farshore.fence.status.{phase}.v1".encode() for phase in ("held", "lifted", "expired"))

LONGEST_SECONDS = 86_400
"""A fence lets go after a day at the latest."""


class FenceRaised(BaseModel):
    """Take no snapshot from here on, until the fence of this id is lifted, or for `limit_seconds` after it was read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fence: str = Field(min_length=1, max_length=100)
    registry: str
    limit_seconds: int = Field(ge=1, le=LONGEST_SECONDS)
    reason: str = Field(max_length=500)
    at: UtcTime

    def to_cloudevent(self) -> CloudEvent:
        """The record on `farshore.events`."""
        return _about(self.registry, self.fence, RAISED_TYPE, self)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "FenceRaised":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)


class FenceLifted(BaseModel):
    """The fence of this id holds no longer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fence: str
    registry: str
    at: UtcTime

    def to_cloudevent(self) -> CloudEvent:
        """The record on `farshore.events`."""
        return _about(self.registry, self.fence, LIFTED_TYPE, self)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "FenceLifted":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)


class FenceStatus(BaseModel):
    """`held`: no snapshot is under way and none will be taken. `lifted`, `expired`: why it holds no longer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fence: str
    registry: str
    phase: FencePhase
    at: UtcTime

    def to_cloudevent(self) -> CloudEvent:
        """The record on `farshore.transfers`."""
        return _about(self.registry, f"{self.fence}/{self.phase}", f"io.farshore.fence.status.{self.phase}.v1", self)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "FenceStatus":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)


def _about(registry: str, identity: str, kind: str, record: FenceRaised | FenceLifted | FenceStatus) -> CloudEvent:
    return CloudEvent(
        id=identity,
        source=f"/registries/{registry}",
        type=kind,
        subject=registry,
        time=record.at,
        data=record.model_dump_json(exclude_none=True).encode(),
    )
