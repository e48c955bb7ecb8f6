"""Looks at a registry's folder the way the registry does, and hashes what it finds: whether it can serve an image.

Source of the layout: CNCF distribution, registry/storage/paths.go. Its release 2.8 writes links in place, seen with
strace: opened, emptied, written. Where something is pushed once more, a snapshot may so hold an emptied link; the event
of that very push brings the next one, in which the link is written.
"""

import hashlib
import json
from collections.abc import Container, Iterator
from pathlib import Path

STORE = "docker/registry/v2"


def wrong_on_disk(
    root: Path, repository: str, digest: str, pushed_again: Container[tuple[str, str]] = frozenset()
) -> list[str]:
    """What is wrong with an image, and all it reaches, in the registry's folder `root`; empty where all is there.

    `pushed_again`: repositories and digests whose links were there and may just have been emptied to be written anew.
    """
    return list(_manifest(root, repository, digest, pushed_again))


def wrong_blob(root: Path, digest: str) -> str | None:
    """What is wrong with a blob; None where its bytes hash to `digest`."""
    content = _read(root, digest)
    return content if isinstance(content, str) else None


def _manifest(root: Path, repository: str, digest: str, pushed_again: Container[tuple[str, str]]) -> Iterator[str]:
    yield from _linked(root, repository, "_manifests/revisions", digest, pushed_again)
    content = _read(root, digest)
    if isinstance(content, str):
        yield content
        return
    document = json.loads(content)
    for child in document.get("manifests", []):
        yield from _manifest(root, repository, child["digest"], pushed_again)
    for blob in [document["config"], *document["layers"]] if "config" in document else []:
        yield from _linked(root, repository, "_layers", blob["digest"], pushed_again)
        found = _read(root, blob["digest"])
        if isinstance(found, str):
            yield found
        elif len(found) != blob["size"]:
            yield f"{blob['digest']}: {len(found)} bytes, not {blob['size']}"


def _linked(
    root: Path, repository: str, kind: str, digest: str, pushed_again: Container[tuple[str, str]]
) -> Iterator[str]:
    algorithm, _, value = digest.partition(":")
    link = root / STORE / "repositories" / repository / kind / algorithm / value / "link"
    try:
        content = link.read_text()
    except OSError as error:
        yield f"{repository}: its link to {digest}: {error.strerror}"
        return
    emptied = not content and (repository, digest) in pushed_again
    if content != digest and not emptied:
        yield f"{repository}: its link to {digest} holds {content[:80]!r}"


def _read(root: Path, digest: str) -> bytes | str:
    """The blob's bytes, or what is wrong with it."""
    algorithm, _, value = digest.partition(":")
    try:
        content = (root / STORE / "blobs" / algorithm / value[:2] / value / "data").read_bytes()
    except OSError as error:
        return f"{digest}: {error.strerror}"
    return content if hashlib.new(algorithm, content).hexdigest() == value else f"{digest}: other bytes"
