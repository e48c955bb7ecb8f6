"""A cancellation that a library lets out, though nobody asked for it, proves nothing and ends nothing in silence."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from farshore.errors import FarshoreError
from farshore.media_types import OCI_MANIFEST
from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore.registry import FetchedManifest
from farshore.topology import Verification, VerificationLevel
from farshore_verifier.commit import Committer, Conclusion
from farshore_verifier.verify import SiteVerifier
from farshore_verifier.window import Mark, Window

WELL, STRAY = Digest.of(b"well"), Digest.of(b"stray")
LAYERS = [{"mediaType": "application/octet-stream", "digest": digest, "size": 4} for digest in (WELL, STRAY)]
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": LAYERS}).encode()
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Site:
    """Has one image; what asks for one of its blobs is cancelled."""

    async def manifest(self, _repository: Repository, _reference: Digest | Tag) -> FetchedManifest:
        return FetchedManifest(MANIFEST, OCI_MANIFEST)

    async def manifest_digest(self, _repository: Repository, _reference: Digest | Tag) -> Digest:
        return Digest.of(MANIFEST)

    async def blob_size(self, _repository: Repository, digest: Digest) -> int:
        if digest == STRAY:
            raise asyncio.CancelledError
        return 4

    async def hash_blob(
        self, _repository: Repository, _digest: Digest, _algorithm: str, *, limit: int
    ) -> tuple[str, int]:
        raise NotImplementedError


async def test_a_blob_whose_look_was_cancelled_is_not_taken_for_proven() -> None:
    event = Event(
        id="1",
        kind=EventKind.MANIFEST_PUSHED,
        registry="main",
        repository=Repository("lib/app"),
        digest=Digest.of(MANIFEST),
        tag=None,
        occurred_at=NOW,
        accepted_at=NOW,
    )
    with pytest.raises(RuntimeError, match="nobody asked for that"):
        await SiteVerifier(Site(), Verification(level=VerificationLevel.CLOSURE)).look(event)


class StrayStep:
    async def commit(self, _records: object, _positions: object) -> None:
        raise asyncio.CancelledError


async def test_a_lane_whose_writing_was_cancelled_fails() -> None:
    committer = Committer(cast(Any, StrayStep()), "group", TopicPartition("topic", 0))
    window = Window(0)
    committer.start(window, Mark(0, ""))
    committer.check()
    window.wait_for(0)
    committer.conclude(Conclusion(0, (), final=True))
    with pytest.raises(FarshoreError, match="nobody asked for that"):
        await check_until_it_fails(committer)


async def check_until_it_fails(committer: Committer) -> None:
    async with asyncio.timeout(60):
        while True:
            committer.check()
            await asyncio.sleep(0)
