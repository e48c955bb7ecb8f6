"""Marks, on `farshore.events`, that no write of a registry can come behind while its primary moves.

Key: the registry, so that a mark stands in order among the registry's events. It announces no image and becomes no
arrival; but it counts as a change of the volume, so a snapshot that covers it is taken. That snapshot was begun after
the mark, and so after the last write.
"""

from pydantic import BaseModel, ConfigDict, Field

from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value

MARKED_TYPE = "io.farshore.move.marked.v1"


class MoveMarked(BaseModel):
    """Every edge held the registry's writes, and none was under way, when this was written; in a forced move every edge
    that could be asked held them.

    `move` is the id that stands in the hold files, `epoch` what the new primary's will be.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    move: str = Field(min_length=1, max_length=100)
    registry: str
    source: str
    """The site that is left."""
    target: str
    """The site that becomes the primary."""
    epoch: int = Field(ge=2)
    forced: bool = False
    """The source was lost: nobody could tell whether it was written to meanwhile."""
    cover: int | None = None
    """Of a forced move: what was announced before this offset is at the target; of the rest nobody knows beforehand."""
    at: UtcTime

    def to_cloudevent(self) -> CloudEvent:
        """The record on `farshore.events`."""
        return CloudEvent(
            id=f"{self.move}/marked",
            source=f"/registries/{self.registry}",
            type=MARKED_TYPE,
            subject=self.registry,
            time=self.at,
            data=self.model_dump_json(exclude_none=True).encode(),
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "MoveMarked":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)
