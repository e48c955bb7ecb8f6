"""A registry's volume is read for what it holds, and for nothing else."""

import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest
from registry_process import blob_file, tag_link
from waiting import wait_until

from farshore.media_types import OCI_INDEX, OCI_MANIFEST
from farshore.oci import Digest, Repository, Tag
from farshore.registry import (
    ContentNotFoundError,
    MountedRegistry,
    RegistryAnsweredError,
    Storage,
    TimedOutError,
    UnreachableError,
    storage,
)

APP, V1 = Repository("team/app"), Tag("v1")
MANIFEST, LAYER = b'{"schemaVersion": 2}', b"layer" * 100_000
DIGEST, BLOB = Digest.of(MANIFEST), Digest.of(LAYER)


def write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def repository(root: Path) -> Path:
    return root / "docker/registry/v2/repositories" / APP


def layer_link(root: Path) -> Path:
    return repository(root) / "_layers/sha256" / BLOB.hex / "link"


def fill(root: Path) -> Path:
    """One image in one repository, as distribution lays it out."""
    write(blob_file(root, DIGEST), MANIFEST)
    write(blob_file(root, BLOB), LAYER)
    write(layer_link(root), BLOB.encode())
    write(repository(root) / "_manifests/revisions/sha256" / DIGEST.hex / "link", DIGEST.encode())
    write(tag_link(root, APP, V1), DIGEST.encode())
    return root


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return fill(tmp_path / "volume")


def mounted(path: Path, timeout: float = 30) -> MountedRegistry:
    return MountedRegistry(Storage(path, mount_point=False), timeout_seconds=timeout)


async def test_tag_manifest_and_blob_are_found_and_hashed(volume: Path) -> None:
    async with mounted(volume) as site:
        assert await site.manifest_digest(APP, V1) == DIGEST
        assert (await site.manifest(APP, DIGEST)).content == MANIFEST
        assert await site.blob_size(APP, BLOB) == len(LAYER)
        assert await site.hash_blob(APP, BLOB, limit=len(LAYER)) == (BLOB.hex, len(LAYER))
        assert await site.hash_blob(APP, BLOB, "sha512") == (hashlib.sha512(LAYER).hexdigest(), len(LAYER))
        _, read = await site.hash_blob(APP, BLOB, limit=1)
        assert 1 < read < len(LAYER)


async def test_what_the_repository_is_not_linked_to_is_not_found_although_its_bytes_are_there(volume: Path) -> None:
    other = Repository("team/other")
    write(volume / "docker/registry/v2/repositories" / other / "_manifests/revisions/sha256/x/link", b"")
    async with mounted(volume) as site:
        for question in (
            site.blob_size(other, BLOB),
            site.hash_blob(other, BLOB),
            site.manifest(other, DIGEST),
            site.manifest_digest(other, V1),
            site.manifest_digest(APP, Tag("v2")),
        ):
            with pytest.raises(ContentNotFoundError):
                await question
        blob_file(volume, DIGEST).unlink()
        with pytest.raises(ContentNotFoundError):
            await site.manifest_digest(APP, V1)


@pytest.mark.parametrize("left", ["nothing", "an empty directory", "another tree", "a file"])
async def test_a_volume_that_is_not_there_is_unreachable_never_empty(tmp_path: Path, left: str) -> None:
    place = tmp_path / "volume"
    match left:
        case "an empty directory":
            place.mkdir()
        case "another tree":
            (place / "docker/registry").mkdir(parents=True)
        case "a file":
            place.write_bytes(b"")
    async with mounted(place) as site:
        for question in (site.manifest_digest(APP, V1), site.manifest_digest(APP, DIGEST), site.blob_size(APP, BLOB)):
            with pytest.raises(UnreachableError):
                await question


async def test_a_plain_directory_does_not_pass_for_a_mount_point(volume: Path) -> None:
    async with MountedRegistry(Storage(volume)) as site:
        with pytest.raises(UnreachableError, match="no file system is mounted"):
            await site.manifest_digest(APP, V1)
    async with MountedRegistry(Storage(Path("/proc"))) as site:  # a mount point, though of no registry
        with pytest.raises(UnreachableError, match="no registry's volume"):
            await site.manifest_digest(APP, V1)


@pytest.mark.parametrize("part", ["blob", "link", "repository", "root"])
async def test_symbolic_links_within_the_volume_are_not_followed(tmp_path: Path, volume: Path, part: str) -> None:
    place = {
        "blob": blob_file(volume, BLOB),
        "link": layer_link(volume),
        "repository": repository(volume).parent,
        "root": volume / "docker/registry",
    }[part]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    async with mounted(volume) as site:
        with pytest.raises((RegistryAnsweredError, UnreachableError, ContentNotFoundError)):
            await site.hash_blob(APP, BLOB)


async def test_what_no_registry_would_serve_is_an_error_of_its_own(volume: Path) -> None:
    async with mounted(volume) as site:
        tag_link(volume, APP, V1).write_bytes(b"")  # as distribution 2.8 can leave it in a snapshot
        with pytest.raises(RegistryAnsweredError, match="names no digest"):
            await site.manifest_digest(APP, V1)
        layer_link(volume).write_bytes(DIGEST.encode())
        with pytest.raises(RegistryAnsweredError, match="names"):
            await site.blob_size(APP, BLOB)
        blob_file(volume, DIGEST).unlink()
        os.mkfifo(blob_file(volume, DIGEST))
        with pytest.raises(RegistryAnsweredError, match="regular file"):
            await site.manifest(APP, DIGEST)
        blob_file(volume, DIGEST).unlink()
        with blob_file(volume, DIGEST).open("wb") as file:
            file.truncate(9 * 1024 * 1024)
        with pytest.raises(RegistryAnsweredError, match="more than"):
            await site.manifest(APP, DIGEST)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b'{"manifests": [{}]}', OCI_INDEX), (b'{"layers": []}', OCI_MANIFEST), (b"[]", OCI_MANIFEST), (b"not JSON", "")],
)
async def test_a_manifest_that_names_no_type_has_the_one_that_distribution_serves_it_as(
    volume: Path, content: bytes, expected: str
) -> None:
    digest = Digest.of(content)
    write(blob_file(volume, digest), content)
    write(repository(volume) / "_manifests/revisions/sha256" / digest.hex / "link", digest.encode())
    async with mounted(volume) as site:
        assert (await site.manifest(APP, digest)).media_type == expected


async def test_a_silent_volume_times_out_and_holds_nobody_up_for_longer(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()

    def read(_descriptor: int, _buffers: object) -> int:  # there is no network file system here that could fall silent
        hangs.wait()
        return 0

    monkeypatch.setattr(os, "readv", read)
    async with mounted(volume, timeout=0.05) as site:
        with pytest.raises(TimedOutError):
            await site.hash_blob(APP, BLOB)

        async def answered() -> bool:
            with contextlib.suppress(TimedOutError):  # this machine can be as slow
                return await site.manifest_digest(APP, V1) == DIGEST
            return False

        await wait_until(answered, 60, "an answer beside the one that hangs")
    hangs.set()


@pytest.mark.parametrize("old_tree", ["taken down", "kept"])
async def test_what_a_switch_takes_away_between_two_steps_is_not_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_tree: str
) -> None:
    link, old, new = tmp_path / "export", fill(tmp_path / "old"), fill(tmp_path / "new")
    link.symlink_to(old)
    step = storage._open_below

    def switched_before(directory: int, place: tuple[str, ...]) -> int:
        monkeypatch.undo()
        (tmp_path / "next").symlink_to(new)
        (tmp_path / "next").replace(link)
        if old_tree == "taken down":
            shutil.rmtree(old)
        return step(directory, place)

    monkeypatch.setattr(storage, "_open_below", switched_before)
    async with mounted(link) as site:
        if old_tree == "taken down":
            with pytest.raises(UnreachableError, match="switched"):
                await site.manifest_digest(APP, V1)
        assert await site.manifest_digest(APP, V1) == DIGEST


async def test_while_views_are_switched_nothing_is_missing_and_every_hash_is_right(tmp_path: Path) -> None:
    """As the simulator switches a replica's export, and more roughly: the old tree is taken down at once."""
    link, stop = tmp_path / "export", threading.Event()
    link.symlink_to(fill(tmp_path / "view-0"))

    def switch() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            fresh = fill(tmp_path / f"view-{number}")
            (tmp_path / "next").symlink_to(fresh)
            (tmp_path / "next").replace(link)
            shutil.rmtree(tmp_path / f"view-{number - 1}")

    switching = threading.Thread(target=switch)
    switching.start()
    looks = switched = 0
    try:
        async with mounted(link) as site:
            while looks < 300:
                try:
                    assert await site.manifest_digest(APP, V1) == DIGEST
                    assert await site.hash_blob(APP, BLOB) == (BLOB.hex, len(LAYER))
                except UnreachableError:
                    switched += 1
                looks += 1
    finally:
        stop.set()
        switching.join()
    assert switched < looks
