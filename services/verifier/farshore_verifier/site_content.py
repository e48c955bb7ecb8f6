"""Where a site's content is read: its registry's own process, or the volume beneath it."""

from typing import Protocol

from farshore.oci import Digest, Repository, Tag
from farshore.registry import FetchedManifest


class SiteContent(Protocol):
    """What is asked of a site. Failures are the RegistryErrors, and no two of them mean the same."""

    async def manifest(self, repository: Repository, reference: Digest | Tag) -> FetchedManifest:
        """The bytes of the manifest that `reference` names, unchecked."""
        ...

    async def manifest_digest(self, repository: Repository, reference: Digest | Tag) -> Digest:
        """What `reference` means at the site."""
        ...

    async def blob_size(self, repository: Repository, digest: Digest) -> int:
        """How many bytes the site has of the blob."""
        ...

    async def hash_blob(self, repository: Repository, digest: Digest, algorithm: str, *, limit: int) -> tuple[str, int]:
        """Read the blob, hardly further than `limit`; its hash in hexadecimal, and how many bytes were read."""
        ...
