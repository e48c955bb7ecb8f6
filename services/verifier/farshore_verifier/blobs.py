"""Proves single blobs of one registry at one site, and remembers which it has proved."""

import asyncio
from collections import OrderedDict
from weakref import WeakValueDictionary

from farshore.errors import FarshoreError
from farshore.oci import Digest, Repository
from farshore_verifier.plan import Descriptor
from farshore_verifier.site_content import SiteContent

MAX_REMEMBERED = 50_000
"""Digests per site and registry, about 200 bytes each."""


class CorruptError(FarshoreError):
    """Content that is there and isn't what its digest or size says."""

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__("verify", digest, reason, hint="the site's copy is damaged: resynchronise the volume")


class BlobReader:
    """Proves blobs of one registry at one site.

    A site's exported snapshot only ever moves forward and SnapMirror moves changed blocks only, so a blob whose bytes
    were hashed once isn't hashed again under the same or a later snapshot while this process remembers it. That
    another repository is linked to it, and that its size still is right, is asked each time: that costs a HEAD, or a
    look at two files.
    """

    def __init__(self, content: SiteContent) -> None:
        self._site = content
        self._proved: OrderedDict[Digest, None] = OrderedDict()
        self._under_way: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()

    async def present(self, repository: Repository, blob: Descriptor) -> None:
        """Prove that `repository` serves the blob with its size; raises CorruptError or a RegistryError."""
        size = await self._site.blob_size(repository, blob.digest)
        if size != blob.size:
            self._proved.pop(blob.digest, None)
            raise CorruptError(blob.digest, f"the site has {size} bytes, the manifest says {blob.size}")

    async def intact(self, repository: Repository, blob: Descriptor) -> int:
        """Prove that the blob's bytes hash to its digest; returns how many bytes were read for it.

        Two images that share a blob read it once: the second waits for the first.
        """
        lock = self._under_way.setdefault(blob.digest, asyncio.Lock())
        async with lock:
            if blob.digest in self._proved:
                self._proved.move_to_end(blob.digest)
            else:
                await self._hash(repository, blob)
                return blob.size
        await self.present(repository, blob)
        return 0

    async def _hash(self, repository: Repository, blob: Descriptor) -> None:
        hexadecimal, size = await self._site.hash_blob(repository, blob.digest, blob.digest.algorithm, limit=blob.size)
        if size != blob.size:
            more = "at least " if size > blob.size else ""
            raise CorruptError(blob.digest, f"the site has {more}{size} bytes, the manifest says {blob.size}")
        if hexadecimal != blob.digest.hex:
            raise CorruptError(blob.digest, f"its {size} bytes hash to {blob.digest.algorithm}:{hexadecimal}")
        self._proved[blob.digest] = None
        while len(self._proved) > MAX_REMEMBERED:
            self._proved.popitem(last=False)
