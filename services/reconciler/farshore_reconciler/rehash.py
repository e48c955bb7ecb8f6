"""Reads an image at a site again, all of it, and hashes it: content that decays after it was verified is found here."""

import json
from collections.abc import Iterator
from typing import Any

from farshore.errors import FarshoreError
from farshore.oci import Digest, InvalidNameError
from farshore.registry import ContentNotFoundError, RegistryClient

_LARGEST_WALK = 2_000


class DamagedError(FarshoreError):
    """Content that was verified once, and is not what its digest says any more."""

    def __init__(self, site: str, image: str, reason: str) -> None:
        super().__init__("hash again", f"{image} at {site}", reason, hint="see the runbook, corrupt content at a site")


async def rehash(client: RegistryClient, site: str, repository: str, root: str) -> int:
    """Hash the manifest `root` and all that it reaches at `site`; returns bytes.

    Raises DamagedError, or a RegistryError where the registry gave no certain answer. Parts of an index that the site
    doesn't have are passed over: policy may leave platforms out, and readiness says which it looked at.
    """
    wanted, done, hashed = [Digest(root)], set[str](), 0
    while wanted and len(done) < _LARGEST_WALK:
        digest = wanted.pop()
        done.add(digest)
        image = f"{repository}@{digest}"
        try:
            content = (await client.manifest(repository, digest)).content
        except ContentNotFoundError as error:
            if digest == root:
                raise DamagedError(site, image, "it is gone") from error
            continue
        if not digest.matches(content):
            raise DamagedError(site, image, f"the {len(content)} bytes of the manifest hash to something else")
        hashed += len(content)
        manifest = json.loads(content)
        wanted += [child for child, _ in _named(manifest, "manifests") if child not in done]
        for blob, size in _blobs(manifest):
            if blob not in done:
                done.add(blob)
                hashed += await _blob(client, site, repository, blob, size)
    return hashed


async def _blob(client: RegistryClient, site: str, repository: str, digest: Digest, size: int) -> int:
    image = f"{repository}@{digest}"
    try:
        found, read = await client.hash_blob(repository, digest, digest.algorithm, limit=size)
    except ContentNotFoundError as error:
        raise DamagedError(site, image, "the blob is gone") from error
    if (found, read) != (digest.hex, size):
        raise DamagedError(site, image, f"its {read} bytes are not the {size} that the manifest names")
    return read


def _blobs(manifest: dict[str, Any]) -> Iterator[tuple[Digest, int]]:
    for field in ("layers", "blobs"):
        yield from _named(manifest, field)
    yield from _named({"config": [manifest.get("config")]}, "config")


def _named(manifest: dict[str, Any], field: str) -> Iterator[tuple[Digest, int]]:
    """The digests and sizes of a list of descriptors; foreign layers, which registries needn't hold, are left out."""
    entries = manifest.get(field)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and not entry.get("urls") and isinstance(entry.get("size"), int):
            try:
                yield Digest.parse(str(entry.get("digest"))), entry["size"]
            except InvalidNameError:
                continue
