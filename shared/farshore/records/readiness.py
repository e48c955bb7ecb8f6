"""`farshore.readiness`: what is known of an image at a site. Compacted: the last record of a key is the truth.

Key: `registry/site/repository:tag`, or `…@digest` for an image without tag; `*` stands for the site in records that
speak of every site. Value: `Readiness` as JSON. Partitioned by the repository, not by the key: all that is said of an
image, at whichever site, stands in one partition in order.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from farshore.oci import Digest, Repository, Tag, image_name
from farshore.records.cloudevent import CloudEvent
from farshore.records.value import UtcTime, parse_value

EVERYWHERE = "*"
"""The site in the key and record of what is said of every site: `ready-everywhere`, and `revoked` after it."""


class ReadinessState(StrEnum):
    """What a record says; only READY and READY_EVERYWHERE say that an image can be used."""

    READY = "ready"
    READY_EVERYWHERE = "ready-everywhere"
    REVOKED = "revoked"
    """Deleted, and the site no longer serves it; of EVERYWHERE: no site does."""
    SUPERSEDED = "superseded"
    """A newer event for the same name made this one moot before it could be verified."""
    LATE = "late"
    """Not ready within the registry's objective; a later record says how it ended."""
    LOST = "lost"
    """Accepted, but gone with a primary that was given up."""
    NOT_FOUND = "not-found"
    CORRUPT = "corrupt"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    REGISTRY_ERROR = "registry-error"
    """The site's registry answered, but neither with the content nor with "not found" (for instance 500)."""


GIVEN_UP = frozenset(
    {
        ReadinessState.NOT_FOUND,
        ReadinessState.CORRUPT,
        ReadinessState.TIMED_OUT,
        ReadinessState.UNREACHABLE,
        ReadinessState.REGISTRY_ERROR,
    }
)
"""What is said where verification ended without an answer that the image can be used, and won't be tried again."""


class Readiness(BaseModel):
    """One statement about one image at one site.

    `level` is the deepest level that was proved (manifest, closure, content); `platforms` the platforms looked
    at (empty for a single image); `bytes_verified` counts bytes re-hashed for this record; `generation` is the event's
    place in `farshore.events`; `receipt` is the sha256 over the sorted `digest size` lines of all that was verified.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: ReadinessState
    event_id: str
    registry: str
    site: str
    repository: Repository
    digest: Digest | None = None
    tag: Tag | None = None
    generation: str
    level: str | None = None
    platforms: list[str] = []
    bytes_verified: int = 0
    snapshot: str | None = None
    snapshot_version: str | None = None
    transfer: str | None = None
    receipt: str | None = None
    reason: str | None = None
    sites: list[str] = []
    """Of what is said of every site: their names."""
    pushed_at: UtcTime
    accepted_at: UtcTime
    arrived_at: UtcTime | None = None
    ready_at: UtcTime
    """When the statement was made, also where it isn't `ready`."""

    @property
    def image(self) -> str:
        """`repository:tag`, or `repository@digest` where there is no tag."""
        return image_name(self.repository, self.digest, self.tag)

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{self.registry}/{self.site}/{self.image}"

    @property
    def partition_by(self) -> bytes:
        """What decides the record's partition; every writer has to use it."""
        return self.repository.encode()

    def to_cloudevent(self, *, traceparent: str | None = None) -> CloudEvent:
        """The record on `farshore.readiness`."""
        return CloudEvent(
            id=f"{self.event_id}/{self.site}/{self.state}",
            source=f"/registries/{self.registry}",
            type=f"io.farshore.readiness.{self.state}.v1",
            subject=self.repository,
            time=self.ready_at,
            data=self.model_dump_json(exclude_none=True).encode(),
            extensions={"site": self.site, "state": self.state, "generation": self.generation},
            traceparent=traceparent,
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Readiness":
        """Parse a record's value, or raise MalformedRecordError."""
        return parse_value(cls, data, where)
