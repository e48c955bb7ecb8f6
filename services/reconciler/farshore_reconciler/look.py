"""Asks one registry process what it holds. An error is an answer of its own: unknown, never empty."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from farshore.errors import FarshoreError
from farshore.oci import Digest, Repository
from farshore.registry import ContentNotFoundError, RegistryClient, RegistryError
from farshore_reconciler.facts import Answer, ImageName, Seen
from farshore_reconciler.knowledge import Knowledge

AT_ONCE = 16
"""Requests to one registry at once."""
_PAGE = 500
GIVE_UP_AFTER = 128
"""So many failures in a row, and the registry is left alone."""
_PROOFS = 5


class PlaceUnknownError(FarshoreError):
    """A registry couldn't be asked: nothing is known of what it holds, and nothing follows from that."""

    def __init__(self, site: str, reason: str) -> None:
        super().__init__("look at registry", site, reason, hint="nothing was announced or deleted because of it")


@dataclass(slots=True)
class Looked:
    """What one look came across."""

    repositories: int = 0
    tags: int = 0
    unknown: int = 0
    """Repositories and names that it gave no certain answer for."""


class Place:
    """The registry `registry` at `site`; what it answers goes into `knowledge`."""

    def __init__(self, registry: str, site: str, client: RegistryClient, knowledge: Knowledge) -> None:
        self.site = site
        self.looked = Looked()
        self._registry = registry
        self._client = client
        self._knowledge = knowledge
        self._doubted: set[str] = set()  # repositories it couldn't list: single names aren't believed either
        self._failures = 0
        self._last_failure = ""

    async def list_all(self, owns: Callable[[Repository], bool]) -> None:
        """Ask for the catalogue, each repository's tags and each tag's digest. Raises PlaceUnknownError."""
        waiting: list[ImageName] = []
        try:
            async for repository in self._client.catalog():
                if not owns(repository):
                    continue
                self.looked.repositories += 1
                async for name in self._tags(repository):
                    waiting.append(name)
                    if len(waiting) == _PAGE:
                        await self.ask(waiting)
                        waiting.clear()
        except RegistryError as error:
            raise PlaceUnknownError(self.site, str(error)) from error
        await self.ask(waiting)

    async def _tags(self, repository: Repository) -> AsyncIterator[ImageName]:
        try:
            async for tag in self._client.tags(repository):
                self.looked.tags += 1
                yield ImageName(repository, tag)
        except ContentNotFoundError:
            return  # in the catalogue without a tag: layers only
        except RegistryError as error:
            self._doubted.add(repository)
            self._failed(error)
            self._give_up_if_broken()

    async def ask(self, names: Iterable[ImageName]) -> None:
        """Ask for the digest of each name. Raises PlaceUnknownError."""
        waiting = iter(names)
        seen: list[tuple[ImageName, Seen]] = []

        async def ask_in_turn() -> None:
            for name in waiting:
                seen.append((name, await self._ask(name)))
                if self._failures >= GIVE_UP_AFTER:
                    return

        await asyncio.gather(*[ask_in_turn() for _ in range(AT_ONCE)])
        self._knowledge.see(self._registry, seen)
        self._give_up_if_broken()

    async def _ask(self, name: ImageName) -> Seen:
        if name.repository in self._doubted:
            return Seen(self.site, Answer.UNKNOWN)
        try:
            digest = await self._client.manifest_digest(name.repository, name.asked_as)
        except ContentNotFoundError:
            self._failures = 0
            return Seen(self.site, Answer.ABSENT)
        except RegistryError as error:
            self._failed(error)
            return Seen(self.site, Answer.UNKNOWN)
        self._failures = 0
        return Seen(self.site, Answer.HAS, digest)

    def _failed(self, error: RegistryError) -> None:
        self.looked.unknown += 1
        self._failures += 1
        self._last_failure = str(error)

    def _give_up_if_broken(self) -> None:
        if self._failures >= GIVE_UP_AFTER:
            raise PlaceUnknownError(self.site, f"{self._failures} failures in a row, the last: {self._last_failure}")

    async def is_proven(self) -> bool:
        """Whether it serves, now and byte for byte, an image that readiness knows.

        A registry whose volume isn't mounted answers 404 to everything: only then its "not found" says nothing.
        """
        for name, digest in self._knowledge.served_as_said(self._registry, self.site, at_most=_PROOFS):
            try:
                fetched = await self._client.manifest(name.repository, digest)
            except RegistryError:
                continue
            if Digest(digest).matches(fetched.content):
                return True
        return False
