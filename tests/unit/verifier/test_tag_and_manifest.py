"""What a tag and the manifest behind it say, whichever of the two is wrong."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farshore.media_types import OCI_MANIFEST
from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore.records.readiness import ReadinessState
from farshore.registry import ContentNotFoundError, FetchedManifest
from farshore.topology import Verification
from farshore_verifier.outcome import Explained, Failed, Finding, Proven
from farshore_verifier.verify import SiteVerifier

CONTENT = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
OTHER = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": {"a": "b"}}).encode()
NOW = datetime(2026, 11, 25, tzinfo=UTC)
TAG = Tag("1")


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


@dataclass
class Site:
    """A site without blobs: what it has under each name, and what it was asked for."""

    tags: dict[str, Digest]
    manifests: dict[str, bytes]
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def manifest(self, _repository: Repository, reference: Digest | Tag) -> FetchedManifest:
        self.asked.append(("GET", reference))
        digest = self._digest(reference)
        if digest not in self.manifests:
            raise ContentNotFoundError(digest)
        return FetchedManifest(self.manifests[digest], OCI_MANIFEST)

    async def manifest_digest(self, _repository: Repository, reference: Digest | Tag) -> Digest:
        self.asked.append(("HEAD", reference))
        return self._digest(reference)

    async def blob_size(self, _repository: Repository, digest: Digest) -> int:
        raise ContentNotFoundError(digest)

    async def hash_blob(
        self, _repository: Repository, digest: Digest, _algorithm: str, *, limit: int
    ) -> tuple[str, int]:
        raise ContentNotFoundError(f"{digest} up to {limit}")

    def _digest(self, reference: Digest | Tag) -> Digest:
        if isinstance(reference, Digest):
            return reference
        if reference not in self.tags:
            raise ContentNotFoundError(reference)
        return self.tags[reference]


async def look(site: Site, *, tag: Tag | None = TAG) -> Finding:
    pushed = Event(
        id="1",
        kind=EventKind.MANIFEST_PUSHED,
        registry="main",
        repository=Repository("team/app"),
        digest=digest_of(CONTENT),
        tag=tag,
        occurred_at=NOW,
        accepted_at=NOW,
    )
    return await SiteVerifier(site, Verification()).look(pushed)


async def test_one_request_shows_tag_and_manifest() -> None:
    site = Site({"1": digest_of(CONTENT)}, {digest_of(CONTENT): CONTENT})
    assert isinstance(await look(site), Proven)
    assert site.asked == [("GET", "1")]


async def test_a_manifest_without_tag_is_read_by_its_digest() -> None:
    site = Site({}, {digest_of(CONTENT): CONTENT})
    assert isinstance(await look(site, tag=None), Proven)
    assert site.asked == [("GET", digest_of(CONTENT))]


async def test_a_tag_that_names_another_manifest_lags_although_the_manifest_is_there() -> None:
    site = Site({"1": digest_of(OTHER)}, {digest_of(OTHER): OTHER, digest_of(CONTENT): CONTENT})
    found = await look(site)
    assert isinstance(found, Failed)
    assert (found.state, found.explained) == (ReadinessState.NOT_FOUND, Explained.BY_LAG)


async def test_a_missing_tag_lags_although_the_manifest_is_there() -> None:
    found = await look(Site({}, {digest_of(CONTENT): CONTENT}))
    assert isinstance(found, Failed)
    assert (found.state, found.explained) == (ReadinessState.NOT_FOUND, Explained.BY_LAG)


async def test_other_bytes_under_the_right_digest_are_damage_and_no_lag() -> None:
    found = await look(Site({"1": digest_of(CONTENT)}, {digest_of(CONTENT): OTHER}))
    assert isinstance(found, Failed)
    assert (found.state, found.explained) == (ReadinessState.CORRUPT, Explained.NO)
