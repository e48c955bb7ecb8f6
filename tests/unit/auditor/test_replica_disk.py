"""A replica's folder is looked at as its registry would: whatever is missing or damaged of an image is found."""

import hashlib
import json
from pathlib import Path

import pytest
from replica_disk import STORE, wrong_on_disk


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Disk:
    """A registry's folder with one image of two platforms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layer, self.config = b"layer", b"config"
        manifest = {"config": self.blob(self.config), "layers": [self.blob(self.layer)]}
        self.manifest = json.dumps(manifest).encode()
        self.index = json.dumps({"manifests": [self.put_manifest(self.manifest)]}).encode()
        self.put_manifest(self.index)

    def blob(self, content: bytes) -> dict[str, object]:
        self.put(self.data(content), content)
        self.put(self.link("_layers", content), digest_of(content).encode())
        return {"digest": digest_of(content), "size": len(content)}

    def put_manifest(self, content: bytes) -> dict[str, object]:
        self.put(self.data(content), content)
        self.put(self.link("_manifests/revisions", content), digest_of(content).encode())
        return {"digest": digest_of(content), "size": len(content)}

    def data(self, content: bytes) -> Path:
        value = digest_of(content).removeprefix("sha256:")
        return self.root / STORE / "blobs/sha256" / value[:2] / value / "data"

    def link(self, kind: str, content: bytes) -> Path:
        value = digest_of(content).removeprefix("sha256:")
        return self.root / STORE / "repositories/team/app" / kind / "sha256" / value / "link"

    def put(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def wrong(self) -> list[str]:
        return wrong_on_disk(self.root, "team/app", digest_of(self.index))


def test_nothing_is_wrong_with_a_whole_image(tmp_path: Path) -> None:
    assert Disk(tmp_path).wrong() == []


@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer"])
@pytest.mark.parametrize("damage", ["missing", "empty", "other"])
def test_each_part_that_is_missing_or_damaged_is_found(tmp_path: Path, part: str, damage: str) -> None:
    disk = Disk(tmp_path)
    content: bytes = getattr(disk, part)
    file = disk.data(content)
    file.unlink() if damage == "missing" else file.write_bytes(b"" if damage == "empty" else content[:-1] + b"!")
    assert [line for line in disk.wrong() if digest_of(content) in line]


@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer"])
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_link_without_which_the_registry_serves_nothing_is_found(tmp_path: Path, part: str, damage: str) -> None:
    disk = Disk(tmp_path)
    content: bytes = getattr(disk, part)
    kind = "_layers" if part in ("config", "layer") else "_manifests/revisions"
    link = disk.link(kind, content)
    link.unlink() if damage == "missing" else link.write_bytes(b"")
    assert [line for line in disk.wrong() if "link" in line]


@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer"])
def test_a_link_may_be_empty_only_where_it_is_being_written_anew(tmp_path: Path, part: str) -> None:
    disk = Disk(tmp_path)
    content: bytes = getattr(disk, part)
    kind = "_layers" if part in ("config", "layer") else "_manifests/revisions"
    link, image = disk.link(kind, content), digest_of(disk.index)
    link.write_bytes(b"")
    others = {("team/app", digest_of(one)) for one in (disk.index, disk.manifest, disk.config, disk.layer)}
    others.remove(("team/app", digest_of(content)))
    assert wrong_on_disk(tmp_path, "team/app", image, {("team/app", digest_of(content))}) == []
    assert wrong_on_disk(tmp_path, "team/app", image, others)
    link.write_text(digest_of(b"another"))
    assert wrong_on_disk(tmp_path, "team/app", image, {("team/app", digest_of(content))})


def test_another_size_than_the_manifest_says_is_found(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    manifest = json.dumps({"config": disk.blob(disk.config) | {"size": 7}, "layers": []}).encode()
    disk.put_manifest(manifest)
    assert wrong_on_disk(tmp_path, "team/app", digest_of(manifest)) == [f"{digest_of(disk.config)}: 6 bytes, not 7"]
