"""`farshore.events`: what changed in a registry, normalised, in the order in which it was accepted.

Key: the registry's name. Value: `Event` as JSON. The CloudEvent's subject is the repository, so that whoever copies
events by repository need not parse them.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from farshore.oci import Digest, Repository, Tag, image_name
from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value


class EventKind(StrEnum):
    """What happened. The CloudEvent type is `io.farshore.<kind>.v1`."""

    MANIFEST_PUSHED = "manifest.pushed"
    MANIFEST_DELETED = "manifest.deleted"
    """By digest. Distribution doesn't tell a manifest's deletion from a blob's, so `digest` may name a blob."""
    TAG_DELETED = "tag.deleted"
    BLOB_MOUNTED = "blob.mounted"
    BLOB_PUSHED = "blob.pushed"
    """Only where a registry's `head_start` asks for it: a hint that the volume changed."""
    VOLUME_DIRTY = "volume.dirty"
    """Written by the verifier when a site's tag lags behind its event: asks for one more snapshot."""


ANNOUNCED_KINDS = frozenset({EventKind.MANIFEST_PUSHED, EventKind.MANIFEST_DELETED, EventKind.TAG_DELETED})
"""The kinds that lead to a readiness record; the others only move the volume."""


ShortText = Annotated[str, StringConstraints(max_length=255)]
"""Text from outside that has a bound (RFC 6838 gives media types this one): an event has to fit into every record that
carries it on."""


class Event(BaseModel):
    """One change of a registry.

    `id` is deterministic: the same notification, sent twice, gives the same id. `occurred_at` is the registry's clock,
    `accepted_at` the receiver's. `size` is the manifest's or blob's size in bytes. `registry_instance` changes when the
    registry restarts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ShortText
    kind: EventKind
    registry: str
    repository: Repository
    digest: Digest | None = None
    tag: Tag | None = None
    media_type: ShortText | None = None
    size: int | None = None
    occurred_at: UtcTime
    accepted_at: UtcTime
    registry_instance: ShortText | None = None

    @model_validator(mode="after")
    def _names_what_changed(self) -> "Event":
        if self.kind is EventKind.TAG_DELETED:
            if self.tag is None:
                raise ValueError("a tag's deletion needs a tag")
        elif self.digest is None and self.kind is not EventKind.VOLUME_DIRTY:
            raise ValueError(f"{self.kind} needs a digest")
        return self

    @property
    def image(self) -> str:
        """`repository:tag`, or `repository@digest` where there is no tag."""
        return image_name(self.repository, self.digest, self.tag)

    def to_cloudevent(self, *, traceparent: str | None = None) -> CloudEvent:
        """The record on `farshore.events`."""
        return CloudEvent(
            id=self.id,
            source=f"/registries/{self.registry}",
            type=f"io.farshore.{self.kind}.v1",
            subject=self.repository,
            time=self.occurred_at,
            data=self.model_dump_json(exclude_none=True).encode(),
            traceparent=traceparent,
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Event":
        """Parse the value of a record on `farshore.events` or `farshore.arrivals`, or raise MalformedRecordError."""
        return parse_value(cls, data, where)
