"""Blocks at rest, snapshots of trees, and the views built from them: real files, small ones."""

import os
import time
from pathlib import Path

import pytest

from farshore_ontap_simulator.data.blocks import BlockStore
from farshore_ontap_simulator.data.snapshot import Snapshotter, Taken
from farshore_ontap_simulator.data.table import block_hash
from farshore_ontap_simulator.data.view import build, switch


class Lab:
    """A tree, its store and its snapshots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "active"
        self.root.mkdir()
        self.store = BlockStore(folder / "blocks")
        self.snapshotter = Snapshotter(self.store, folder / "identity.bin")

    def take(self, version: str) -> Taken:
        return self.snapshotter.take(self.root, [], version)

    def age(self) -> None:
        """Date all files back, so that none counts as changed within the clock's tick."""
        old = time.time() - 60
        for path in self.root.rglob("*"):
            os.utime(path, (old, old), follow_symlinks=False)
        # ctime can't be set: wait until it is older than the guard.
        newest = max(path.lstat().st_ctime_ns for path in self.root.rglob("*"))
        while time.time_ns() - newest < 60_000_000:
            time.sleep(0.005)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def content(path: Path) -> dict[str, bytes | str | None]:
    return {
        str(item.relative_to(path)): str(item.readlink())
        if item.is_symlink()
        else (None if item.is_dir() else item.read_bytes())
        for item in path.rglob("*")
    }


def test_equal_blocks_are_stored_once_and_compressed(lab: Lab) -> None:
    (lab.root / "a").write_bytes(b"x" * 40960)
    (lab.root / "b").write_bytes(b"x" * 40960)
    lab.take("v")
    at_rest = lab.store.at_rest()
    assert at_rest.unique_bytes == 4096
    assert at_rest.physical_bytes < 100


def test_what_compression_does_not_shrink_is_stored_as_it_is(lab: Lab) -> None:
    (lab.root / "a").write_bytes(os.urandom(65536))
    lab.take("v")
    assert lab.store.at_rest().physical_bytes == 65536


def test_a_view_is_the_tree(lab: Lab) -> None:
    (lab.root / "empty").mkdir()
    (lab.root / "deep/er").mkdir(parents=True)
    (lab.root / "deep/er/file").write_bytes(os.urandom(10_001))
    (lab.root / "deep/er/file").chmod(0o640)
    (lab.root / "nothing").touch()
    (lab.root / "link").symlink_to("deep/er/file")
    taken = lab.take("v")
    build(lab.store, taken.table, lab.folder / "view")
    assert content(lab.folder / "view") == content(lab.root)
    assert (lab.folder / "view/deep/er/file").stat().st_mode & 0o777 == 0o640
    original, copy = lab.root / "deep/er/file", lab.folder / "view/deep/er/file"
    assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert taken.table.files == 2


def test_an_unchanged_tree_is_not_read_again_even_after_a_restart(lab: Lab) -> None:
    for number in range(20):
        (lab.root / str(number)).write_bytes(os.urandom(5000))
    lab.age()
    assert lab.take("v1").bytes_read == 100_000
    assert lab.take("v2").bytes_read == 0
    lab.snapshotter = Snapshotter(lab.store, lab.folder / "identity.bin")
    again = lab.take("v3")
    assert again.bytes_read == 0
    assert again.table == lab.store.table("v1")


def test_a_file_rewritten_within_the_clocks_tick_is_noticed(lab: Lab) -> None:
    path = lab.root / "link"
    path.write_bytes(b"one")
    stamp = path.stat()
    lab.take("v1")
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    build(lab.store, lab.take("v2").table, lab.folder / "view")
    assert (lab.folder / "view/link").read_bytes() == b"two"


def test_unchanged_files_are_shared_between_views(lab: Lab) -> None:
    (lab.root / "same").write_bytes(b"same")
    (lab.root / "other").write_bytes(b"one")
    first = lab.take("v1").table
    build(lab.store, first, lab.folder / "view1")
    (lab.root / "other").write_bytes(b"two")
    second = lab.take("v2").table
    build(lab.store, second, lab.folder / "view2", (first, lab.folder / "view1"))
    assert (lab.folder / "view2/same").samefile(lab.folder / "view1/same")
    assert (lab.folder / "view1/other").read_bytes() == b"one"
    assert (lab.folder / "view2/other").read_bytes() == b"two"


def test_blocks_that_were_not_committed_are_forgotten(lab: Lab) -> None:
    name = block_hash(b"block")
    lab.store.put([(name, b"block")])
    assert lab.store.missing([name]) == []
    lab.store.close()
    again = BlockStore(lab.folder / "blocks")
    assert again.missing([name, name]) == [name]


@pytest.mark.parametrize("thorough", [True, False])
def test_reclaiming_keeps_exactly_what_is_reached(lab: Lab, thorough: bool) -> None:
    for number in range(64):
        (lab.root / f"{number:02d}").write_bytes(os.urandom(4096))
    lab.take("v1")
    for number in range(60):
        (lab.root / f"{number:02d}").unlink()
    kept = lab.take("v2").table
    lab.store.reclaim(["v2"], thorough=thorough)
    assert lab.store.table("v1") is None
    assert lab.store.at_rest().physical_bytes == 32768
    build(lab.store, kept, lab.folder / "view")
    assert content(lab.folder / "view") == content(lab.root)
    lab.store.reclaim([], thorough=thorough)
    assert lab.store.at_rest().physical_bytes == 0


def test_a_link_switches_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "export/svm/v"
    switch(link, tmp_path / "one")
    switch(link, tmp_path / "two")
    assert link.resolve() == tmp_path / "two"
    assert [item.name for item in link.parent.iterdir()] == ["v"]
