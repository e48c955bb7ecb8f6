"""Looks at one arrival's content at its site: the site is asked, the finding says what was seen."""

import asyncio
import contextlib
import random

from farshore.errors import FarshoreError
from farshore.oci import Digest, Tag
from farshore.records.events import Event, EventKind
from farshore.records.readiness import ReadinessState
from farshore.registry import (
    ContentNotFoundError,
    FetchedManifest,
    RegistryAnsweredError,
    RegistryError,
    TimedOutError,
    UnreachableError,
)
from farshore.together import failure_of
from farshore.topology import Verification, VerificationLevel
from farshore_verifier.blobs import BlobReader, CorruptError
from farshore_verifier.door import Door
from farshore_verifier.outcome import Explained, Failed, FailureState, Finding, Gone, Proven
from farshore_verifier.plan import Plan, PlanError, PlatformMissingError
from farshore_verifier.site_content import SiteContent

BLOBS_AT_ONCE = 4
"""Of one image; images are bounded by the policy's max_parallel."""


MAX_REASON = 1_000
"""Characters of an error that a record and a dead letter keep."""


class SiteVerifier:
    """Looks at the content of one registry at one site; at most `max_parallel` looks at once, the others wait."""

    def __init__(self, content: SiteContent, policy: Verification) -> None:
        self.policy = policy
        self.door = Door(random.Random().random)
        self._site = content
        self._blobs = BlobReader(content)
        self._turn = asyncio.Semaphore(policy.max_parallel)
        self._turn_again = asyncio.Semaphore(max(1, policy.max_parallel // 2))

    async def look(self, event: Event, *, again: bool = False) -> Finding:
        """What the site has to show for `event`, which is of a kind that is announced.

        Looks that are made `again` get half of the turns at most: failures can't crowd out what has just arrived.
        """
        async with self._turn_again if again else contextlib.nullcontext(), self._turn:
            match event.kind:
                case EventKind.MANIFEST_PUSHED:
                    return await self._pushed(event)
                case EventKind.MANIFEST_DELETED:
                    return await self._deleted(event, Digest(str(event.digest)))
                case EventKind.TAG_DELETED:
                    return await self._deleted(event, Tag(str(event.tag)))
                case _:
                    raise ValueError(f"{event.kind} is not announced")

    async def _deleted(self, event: Event, reference: Digest | Tag) -> Finding:
        try:
            await self._site.manifest_digest(event.repository, reference)
        except ContentNotFoundError:
            return Gone()
        except RegistryError as error:
            return failure(error)
        return Failed(ReadinessState.REGISTRY_ERROR, "still served after its deletion", Explained.BY_LAG)

    async def _pushed(self, event: Event) -> Finding:
        """Tag first: an image that has been pushed over needs no content read."""
        root = await self._by_tag(event)
        if isinstance(root, Failed):
            return root
        digest = Digest(str(event.digest))
        plan = Plan(digest, self.policy.level, self.policy.platforms)
        hashed = 0
        try:
            if root is not None:
                hashed += self._learn(digest, root, plan)
            while wanted := plan.wanted():
                for manifest in wanted:
                    hashed += await self._manifest(event, manifest, plan)
        except ContentNotFoundError as error:
            return failure(error, Explained.BY_LAG)
        except FarshoreError as error:
            return failure(error)
        try:
            hashed += await self._content(event, plan)
        except FarshoreError as error:
            return failure(error)
        return Proven(self.policy.level.value, tuple(plan.platforms), hashed, plan.receipt(), tuple(plan.skipped))

    async def _by_tag(self, event: Event) -> FetchedManifest | Failed | None:
        """The manifest as the tag serves it, where its bytes are the event's: one request shows tag and manifest.

        Where they aren't, the tag is asked for its digest: what it means here, or None where that is right, so that
        the manifest has to be read by its digest; None too where there is no tag. 500 counts as lag: distribution 2.8
        writes tag links in place, and one that a snapshot caught empty is answered so until the next snapshot.
        """
        if event.tag is None:
            return None
        try:
            fetched = await self._site.manifest(event.repository, event.tag)
            if Digest(str(event.digest)).matches(fetched.content):
                return fetched
            found = await self._site.manifest_digest(event.repository, event.tag)
        except ContentNotFoundError:
            return Failed(ReadinessState.NOT_FOUND, f"the tag {event.tag} is not there", Explained.BY_LAG)
        except RegistryAnsweredError as error:
            return failure(error, Explained.BY_LAG if error.status == 500 else Explained.NO)
        except RegistryError as error:
            return failure(error)
        if found != event.digest:
            return Failed(ReadinessState.NOT_FOUND, f"the tag {event.tag} is {found} here", Explained.BY_LAG)
        return None

    async def _manifest(self, event: Event, digest: Digest, plan: Plan) -> int:
        return self._learn(digest, await self._site.manifest(event.repository, digest), plan)

    @staticmethod
    def _learn(digest: Digest, fetched: FetchedManifest, plan: Plan) -> int:
        if not digest.matches(fetched.content):
            raise CorruptError(digest, f"the {len(fetched.content)} bytes of the manifest hash to something else")
        plan.learn(digest, fetched.content, fetched.media_type)
        return len(fetched.content)

    async def _content(self, event: Event, plan: Plan) -> int:
        """Prove the plan's blobs, a few at a time; returns how many bytes were hashed."""
        blobs = iter(plan.blobs())
        hashed = 0

        async def worker() -> None:
            nonlocal hashed
            for blob in blobs:
                if self.policy.level is VerificationLevel.CONTENT:
                    read = await self._blobs.intact(event.repository, blob)
                    hashed += read  # not in one statement with await: the other workers count here too
                else:
                    await self._blobs.present(event.repository, blob)

        # No TaskGroup: in Python 3.11.2 one that failed leaves its task half cancelled, and the next time-out in that
        # task is then a cancellation.
        workers = [asyncio.create_task(worker()) for _ in range(min(BLOBS_AT_ONCE, len(plan.blobs())))]
        try:
            if workers:
                await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            failures = [failure for task in workers if task.done() and (failure := failure_of(task))]
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if failures:
            raise _worst(failures)
        return hashed


def failure(error: FarshoreError, explained: Explained = Explained.NO) -> Failed:
    """The finding that an error amounts to."""
    state: FailureState
    match error:
        case CorruptError():
            state = ReadinessState.CORRUPT
        case ContentNotFoundError():
            state = ReadinessState.NOT_FOUND
        case TimedOutError():
            state = ReadinessState.TIMED_OUT
        case UnreachableError():
            state = ReadinessState.UNREACHABLE
        case PlatformMissingError():
            return Failed(ReadinessState.NOT_FOUND, recordable(str(error)), Explained.NEVER_HEALS)
        case PlanError():
            return Failed(ReadinessState.REGISTRY_ERROR, recordable(str(error)), Explained.NEVER_HEALS)
        case _:
            state = ReadinessState.REGISTRY_ERROR
    return Failed(state, recordable(str(error)), explained, of_registry=_is_of_registry(error))


def _is_of_registry(error: FarshoreError) -> bool:
    """Whether the failure is probably none of the content that was asked for. 500 is: see `_tag`."""
    if isinstance(error, RegistryAnsweredError):
        return error.status in (401, 403, 429, 502, 503, 504)
    return isinstance(error, (UnreachableError, TimedOutError))


def recordable(text: str) -> str:
    """An error's text, which may quote a registry's: short, and of characters that a record can hold."""
    return text[:MAX_REASON].encode(errors="backslashreplace").decode()


def _worst(errors: list[BaseException]) -> BaseException:
    """The error to report of several at once: what nobody expected, then damage, for it is an alarm."""
    unexpected = [error for error in errors if not isinstance(error, FarshoreError)]
    damage = [error for error in errors if isinstance(error, CorruptError)]
    return [*unexpected, *damage, *errors][0]
