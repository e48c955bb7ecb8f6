"""Writes and checks OCI image layouts: a folder of blobs named by their digests.

Source: OCI image specification 1.1, "Image Layout", "Image Manifest", "Image Index".
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farshore.oci import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob; `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: str | None = None
    """`os/architecture`, of an index's child."""
    diff_id: Digest | None = field(default=None, compare=False)
    """Of a layer: the digest of its uncompressed tar."""

    def as_json(self) -> dict[str, Any]:
        """The descriptor as it stands in a manifest."""
        content: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform is not None:
            system, _, architecture = self.platform.partition("/")
            content["platform"] = {"os": system, "architecture": architecture}
        return content


class LayoutError(ValueError):
    """A layout that doesn't hold what it should; the message says which blob and why."""


class LayoutWriter:
    """Makes images in the layout at `folder`. The same content always gives the same digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._named: list[dict[str, Any]] = []

    def layer(self, tar: bytes) -> Descriptor:
        """A layer: a tar, as it is or compressed by gzip."""
        compressed = tar.startswith(_GZIP_MAGIC)
        diff_id = Digest.of(gzip.decompress(tar) if compressed else tar)
        return self._blob(LAYER + ("+gzip" if compressed else ""), tar, diff_id=diff_id)

    def image(self, layers: Sequence[Descriptor], platform: str = "linux/amd64") -> Descriptor:
        """An image of `layers` for `platform` (`os/architecture`)."""
        system, _, architecture = platform.partition("/")
        config = {
            "architecture": architecture,
            "os": system,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        described = self._blob(CONFIG, _json(config))
        return self._manifest(MANIFEST, {"config": described.as_json(), "layers": _descriptors(layers)}, platform)

    def index(self, images: Sequence[Descriptor]) -> Descriptor:
        """An index of images for different platforms."""
        return self._manifest(INDEX, {"manifests": _descriptors(images)})

    def artifact(self, kind: str, content: bytes, subject: Descriptor) -> Descriptor:
        """Something that is attached to `subject`, for instance its bill of materials."""
        config = self._blob(EMPTY, b"{}")
        payload = self._blob(kind, content)
        return self._manifest(
            MANIFEST,
            {
                "artifactType": kind,
                "config": config.as_json(),
                "layers": _descriptors([payload]),
                "subject": Descriptor(subject.media_type, subject.digest, subject.size).as_json(),
            },
        )

    def name(self, image: Descriptor, name: str) -> None:
        """Make `image` reachable as `oci:<folder>:<name>`."""
        entry = image.as_json()
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        self._named.append(entry)
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._named}
        (self.folder / "index.json").write_text(json.dumps(document))

    def source(self, name: str) -> str:
        """How skopeo names it."""
        return f"oci:{self.folder}:{name}"

    def _manifest(self, media_type: str, content: dict[str, Any], platform: str | None = None) -> Descriptor:
        document = {"schemaVersion": 2, "mediaType": media_type, **content}
        return self._blob(media_type, _json(document), platform=platform)

    def _blob(
        self, media_type: str, content: bytes, *, platform: str | None = None, diff_id: Digest | None = None
    ) -> Descriptor:
        digest = Digest.of(content)
        (self._blobs / digest.hex).write_bytes(content)
        return Descriptor(media_type, digest, len(content), platform, diff_id)


def closure(folder: Path, digest: Digest) -> dict[Digest, int]:
    """All that the manifest `digest` reaches in the layout, itself included, with sizes in bytes.

    Every blob is hashed. An artifact's subject is another image, not a part of it. Raises LayoutError where a blob is
    missing, has another size than its descriptor says, or doesn't match its digest.
    """
    found: dict[Digest, int] = {}
    waiting: list[tuple[Digest, int | None, bool]] = [(digest, None, True)]
    while waiting:
        blob, size, is_manifest = waiting.pop()
        actual = _check(folder, blob, size)
        if blob not in found and is_manifest:
            waiting.extend(_children(json.loads(_path(folder, blob).read_bytes())))
        found[blob] = actual
    return found


def _children(manifest: dict[str, Any]) -> Iterator[tuple[Digest, int, bool]]:
    for child in manifest.get("manifests", []):
        yield Digest.parse(child["digest"]), child["size"], True
    for blob in [manifest.get("config"), *manifest.get("layers", [])]:
        if blob is not None:
            yield Digest.parse(blob["digest"]), blob["size"], False


def _check(folder: Path, digest: Digest, size: int | None) -> int:
    path = _path(folder, digest)
    if not path.exists():
        raise LayoutError(f"{digest} is missing")
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise LayoutError(f"{digest} has {actual} bytes, not {size}")
    with path.open("rb") as content:
        if hashlib.file_digest(content, digest.algorithm).hexdigest() != digest.hex:
            raise LayoutError(f"{digest} doesn't match its content")
    return actual


def _path(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / digest.algorithm / digest.hex


def _descriptors(items: Sequence[Descriptor]) -> list[dict[str, Any]]:
    return [item.as_json() for item in items]


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
