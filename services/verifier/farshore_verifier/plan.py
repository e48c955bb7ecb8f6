"""What has to be read to prove an image: pure. Manifests go in, the next things to read come out.

Sources: OCI image specification 1.1 (manifest.md, image-index.md, descriptor.md), Docker image manifest 2.2.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from farshore.errors import FarshoreError
from farshore.media_types import INDEX_TYPES, MANIFEST_TYPES
from farshore.oci import Digest, InvalidNameError
from farshore.topology import VerificationLevel

MAX_DEPTH = 4
"""Indexes within indexes; real ones have one level, rarely two."""
MAX_MANIFESTS = 2_000
MAX_BLOBS = 20_000
MAX_SIZE = 2**63 - 1
"""Of a descriptor: OCI image specification 1.1, descriptor.md, says int64."""
MAX_PLATFORM = 100
"""Characters of a platform that are kept; real ones have some twenty."""
_UNKNOWN_PLATFORM = "unknown/unknown"  # buildkit's attestations carry it: they belong to no platform


class PlanError(FarshoreError):
    """A manifest that can't be understood; its bytes are what was pushed, so reading it again changes nothing."""

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__("plan verification of", digest, reason)


class PlatformMissingError(PlanError):
    """An index without a platform that policy demands."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: digest, size in bytes, media type; `platform` as `os/architecture[/variant]`."""

    digest: Digest
    size: int
    media_type: str
    platform: str | None = None
    elsewhere: bool = False
    """A foreign layer: registries needn't hold it, it is fetched from its `urls`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a manifest refers to: other manifests, blobs, and the subject that it is about."""

    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    subject: Digest | None


def parse_contents(digest: Digest, content: bytes, media_type: str) -> Contents:
    """What the manifest `content` refers to; raises PlanError where that can't be said.

    The manifest's own `mediaType` counts before the registry's `media_type`, which isn't covered by the digest.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PlanError(digest, "it is not JSON") from error
    if not isinstance(document, dict):
        raise PlanError(digest, "it is not a JSON object")
    kind = document.get("mediaType") or media_type
    if not isinstance(kind, str) or kind not in MANIFEST_TYPES:
        raise PlanError(digest, f"the manifest type {kind!r:.100} is not known")
    subject = document.get("subject")
    about = _descriptor(digest, "subject", subject).digest if subject is not None else None
    if kind in INDEX_TYPES:
        return Contents(tuple(_descriptors(digest, document, "manifests")), (), about)
    blobs = [*_descriptors(digest, document, "layers"), *_descriptors(digest, document, "blobs")]
    if document.get("config") is not None:
        blobs.insert(0, _descriptor(digest, "config", document["config"]))
    return Contents((), tuple(blobs), about)


def _descriptors(digest: Digest, document: dict[str, Any], field: str) -> Iterator[Descriptor]:
    entries = document.get(field)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise PlanError(digest, f"{field} is not a list")
    if len(entries) > MAX_BLOBS:
        raise PlanError(digest, f"{field} has more than {MAX_BLOBS} entries")
    for number, entry in enumerate(entries):
        yield _descriptor(digest, f"{field}[{number}]", entry)


def _descriptor(digest: Digest, field: str, entry: Any) -> Descriptor:
    if not isinstance(entry, dict):
        raise PlanError(digest, f"{field} is not a descriptor")
    size, media_type = entry.get("size"), entry.get("mediaType")
    try:
        target = Digest.parse(str(entry.get("digest")))
    except InvalidNameError as error:
        raise PlanError(digest, f"{field}: {error}") from error
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise PlanError(digest, f"{field} has no size")
    if not isinstance(media_type, str):
        raise PlanError(digest, f"{field} has no mediaType")
    elsewhere = bool(entry.get("urls")) and ("foreign" in media_type or "nondistributable" in media_type)
    return Descriptor(target, size, media_type, _platform(entry.get("platform")), elsewhere)


def _platform(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    parts = [entry.get("os"), entry.get("architecture"), entry.get("variant")]
    named = "/".join(part[:MAX_PLATFORM] for part in parts if isinstance(part, str) and part)
    # JSON can name characters that don't exist (half a surrogate pair); a record couldn't hold them
    return named.encode("ascii", "backslashreplace").decode()[:MAX_PLATFORM] or None


Platforms = list[str] | Literal["all"]


class Plan:
    """The walk from one manifest to everything that `level` and `platforms` ask for.

    While `wanted()` names manifests, read each, check that its bytes hash to its digest, and give it to `learn`.
    Then `blobs()` is complete.
    """

    def __init__(self, root: Digest, level: VerificationLevel, platforms: Platforms) -> None:
        self._level = level
        self._platforms = platforms
        self._wanted: dict[Digest, Descriptor | None] = {root: None}
        self._depth = {root: 0}
        self._read: dict[Digest, int] = {}
        self._blobs: dict[Digest, Descriptor] = {}
        self._platforms_seen: dict[str, None] = {}
        self.skipped: list[str] = []
        """What was left out on purpose, and why: one line each."""

    @property
    def platforms(self) -> list[str]:
        """The platforms that are looked at; empty for a single image."""
        return list(self._platforms_seen)

    def wanted(self) -> list[Digest]:
        """The manifests to read next."""
        return list(self._wanted)

    def learn(self, digest: Digest, content: bytes, media_type: str) -> None:
        """Take a manifest whose bytes hash to `digest`; raises PlanError."""
        named = self._wanted.pop(digest)
        if named is not None and named.size != len(content):
            raise PlanError(digest, f"an index says {named.size} bytes, it has {len(content)}")
        self._read[digest] = len(content)
        if self._level is VerificationLevel.MANIFEST:
            return
        contents = parse_contents(digest, content, media_type)
        if contents.subject is not None:
            self.skipped.append(f"subject {contents.subject}: not part of what refers to it")
        for child in self._chosen(digest, contents.manifests):
            self._follow(digest, child)
        for blob in contents.blobs:
            self._add(digest, blob)

    def blobs(self) -> list[Descriptor]:
        """The blobs to read, each once."""
        return list(self._blobs.values())

    def receipt(self) -> str:
        """sha256 over the sorted `digest size` lines of all manifests and blobs of the plan."""
        lines = [f"{digest} {size}" for digest, size in self._read.items()]
        lines += [f"{blob.digest} {blob.size}" for blob in self._blobs.values()]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def _chosen(self, index: Digest, children: tuple[Descriptor, ...]) -> list[Descriptor]:
        """The children of an index that policy asks for; all of them where none is for a platform."""
        offered = {child.platform for child in children if child.platform not in (None, _UNKNOWN_PLATFORM)}
        if self._platforms == "all" or not offered:
            return list(children)
        for demanded in self._platforms:
            if not any(_matches(platform, demanded) for platform in offered if platform):
                raise PlatformMissingError(index, f"the index has no {demanded}, which the policy demands")
        chosen = []
        for child in children:
            nested = child.platform is None and child.media_type in INDEX_TYPES
            if nested or any(_matches(child.platform or "", demanded) for demanded in self._platforms):
                chosen.append(child)
            else:
                self.skipped.append(f"{child.digest}: {child.platform or 'no platform'} is not asked for")
        return chosen

    def _follow(self, index: Digest, child: Descriptor) -> None:
        if child.media_type not in MANIFEST_TYPES:
            self._add(index, child)
            return
        if child.platform not in (None, _UNKNOWN_PLATFORM):
            self._platforms_seen[str(child.platform)] = None
        if child.digest in self._read or child.digest in self._wanted:
            return
        depth = self._depth[index] + 1
        if depth > MAX_DEPTH:
            raise PlanError(index, f"indexes are nested more than {MAX_DEPTH} deep")
        if len(self._read) + len(self._wanted) >= MAX_MANIFESTS:
            raise PlanError(index, f"it reaches more than {MAX_MANIFESTS} manifests")
        self._wanted[child.digest] = child
        self._depth[child.digest] = depth

    def _add(self, manifest: Digest, blob: Descriptor) -> None:
        if blob.elsewhere:
            self.skipped.append(f"{blob.digest}: a foreign layer, kept at its own address")
            return
        known = self._blobs.setdefault(blob.digest, blob)
        if known.size != blob.size:
            raise PlanError(manifest, f"{blob.digest} is said to have {known.size} and {blob.size} bytes")
        if len(self._blobs) > MAX_BLOBS:
            raise PlanError(manifest, f"it reaches more than {MAX_BLOBS} blobs")


def _matches(platform: str, demanded: str) -> bool:
    """Whether `platform` is the one that is demanded; a demand without variant takes any."""
    return platform == demanded or platform.startswith(f"{demanded}/")
