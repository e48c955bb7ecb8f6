"""Pushes small images of all kinds to a registry, one after the other, for as long as a test wants."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from auditor import Pushed
from yarl import URL

from farshore.media_types import OCI_INDEX, OCI_MANIFEST

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
REPOSITORIES = 12
PUSH_WITHIN_SECONDS = 400.0
"""How long a client tries to push one image while edges and registry come and go."""
_PAUSE_SECONDS = 0.2


class NotTakenError(Exception):
    """The registry answered something else than it should."""


@dataclass
class ContinuousPushes:
    """Pushes below `prefix` to the edge at `edge`, from `run` until cancelled or `stop`.

    New tags, moved tags, indexes, new tags of old images, images without a tag, deletions of what `deletable` names.

    What the registry acknowledged is in `pushed` and `deleted`; `tries` counts pushes that had to be begun again.
    `written`: how often the writing of a manifest or blob was begun, by repository and digest.
    """

    edge: str
    prefix: str
    rng: random.Random
    deletable: Callable[[], Iterable[Pushed]] = tuple
    pause_seconds: float = 0.1
    pushed: list[Pushed] = field(default_factory=list)
    deleted: list[Pushed] = field(default_factory=list)
    tries: int = 0
    written: Counter[tuple[str, str]] = field(default_factory=Counter)
    _count: int = 0
    _stopping: bool = False

    def stop(self) -> None:
        """End after the push that is under way."""
        self._stopping = True

    async def run(self) -> None:
        """Push until told to stop. Fails when a push isn't taken within PUSH_WITHIN_SECONDS."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self._stopping:
                await self._next(session)
                await asyncio.sleep(self.rng.uniform(0, 2 * self.pause_seconds))

    async def _next(self, session: aiohttp.ClientSession) -> None:
        self._count += 1
        tag = f"v{self._count}"
        repository = f"{self.prefix}/app{self.rng.randrange(REPOSITORIES)}"
        chance = self.rng.random()
        if chance < 0.05 and (gone := [one for one in self.deletable() if one.repository.startswith(self.prefix)]):
            await self._delete(session, self.rng.choice(gone))
        elif chance < 0.10 and self.pushed:
            await self._tag_again(session, self.rng.choice(self.pushed), tag)
        else:
            tags = {0.20: "latest", 0.25: None}
            named = next((name for bound, name in tags.items() if chance < bound), tag)
            platforms = 2 if chance > 0.93 else 1
            await self._insist(lambda: self._push(session, repository, named, platforms))

    async def _insist(self, attempt: Callable[[], Any]) -> None:
        """Try until it is taken, as a client or its user would."""
        deadline = asyncio.get_running_loop().time() + PUSH_WITHIN_SECONDS
        while True:
            self.tries += 1
            try:
                await attempt()
            except (aiohttp.ClientError, TimeoutError, NotTakenError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise AssertionError(f"a push isn't taken: {error!r}") from error
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _push(self, session: aiohttp.ClientSession, repository: str, tag: str | None, platforms: int) -> None:
        images = [await self._image(session, repository, f"arch{number}") for number in range(platforms)]
        content, media_type = images[0], OCI_MANIFEST
        if platforms > 1:
            children = []
            for number, child in enumerate(images):
                await self._manifest(session, Pushed(repository, _digest(child)), child, OCI_MANIFEST)
                platform = {"os": "linux", "architecture": f"arch{number}"}
                children.append(_descriptor(child, OCI_MANIFEST) | {"platform": platform})
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
            content, media_type = json.dumps(index).encode(), OCI_INDEX
        await self._manifest(session, Pushed(repository, _digest(content), tag), content, media_type)

    async def _image(self, session: aiohttp.ClientSession, repository: str, architecture: str) -> bytes:
        """A manifest whose blobs have been pushed: a layer that the repository's images share, and one of its own."""
        base = hashlib.sha256(repository.encode()).digest() * 500
        own = self.rng.randbytes(self.rng.randrange(1, 30_000))
        config = json.dumps({"os": "linux", "architecture": architecture, "own": _digest(own)}).encode()
        for blob in (base, own, config):
            await self._blob(session, repository, blob)
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _descriptor(config, CONFIG_TYPE),
                "layers": [_descriptor(base, LAYER_TYPE), _descriptor(own, LAYER_TYPE)],
            }
        ).encode()

    async def _blob(self, session: aiohttp.ClientSession, repository: str, content: bytes) -> None:
        digest = _digest(content)
        async with session.head(f"{self.edge}/v2/{repository}/blobs/{digest}") as answer:
            if answer.status == 200:
                return
        async with session.post(f"{self.edge}/v2/{repository}/blobs/uploads/") as answer:
            await _expect(answer, 202)
            place = answer.url.join(URL(answer.headers["Location"]))
        self.written[repository, digest] += 1
        async with session.put(place.update_query(digest=digest), data=content) as answer:
            await _expect(answer, 201)

    async def _manifest(self, session: aiohttp.ClientSession, push: Pushed, content: bytes, media_type: str) -> None:
        url = f"{self.edge}/v2/{push.repository}/manifests/{push.tag or push.digest}"
        self.written[push.repository, push.digest] += 1
        async with session.put(url, data=content, headers={"Content-Type": media_type}) as answer:
            await _expect(answer, 201)
        self.pushed.append(push)

    async def _tag_again(self, session: aiohttp.ClientSession, old: Pushed, tag: str) -> None:
        url = f"{self.edge}/v2/{old.repository}/manifests/{old.digest}"

        async def attempt() -> None:
            async with session.get(url, headers={"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}"}) as answer:
                if answer.status == 404:  # deleted
                    return
                await _expect(answer, 200)
                content, media_type = await answer.read(), answer.content_type
            await self._manifest(session, Pushed(old.repository, old.digest, tag), content, media_type)

        await self._insist(attempt)

    async def _delete(self, session: aiohttp.ClientSession, push: Pushed) -> None:
        async def attempt() -> None:
            async with session.delete(f"{self.edge}/v2/{push.repository}/manifests/{push.digest}") as answer:
                if answer.status != 404:  # of an attempt whose answer was lost
                    await _expect(answer, 202)

        await self._insist(attempt)
        self.deleted.append(push)


async def _expect(answer: aiohttp.ClientResponse, status: int) -> None:
    if answer.status != status:
        raise NotTakenError(f"{answer.method} {answer.url}: {answer.status} {(await answer.text())[:200]}")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
