"""The demo's images: the same each time, and every damage is found."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from farshore.errors import FarshoreError
from farshore.oci import Digest
from farshore_cli.demo.material import Material, changed
from farshore_cli.demo.oci_layout import Descriptor, LayoutError, LayoutWriter, closure


def two_platforms(writer: LayoutWriter) -> tuple[Descriptor, Descriptor]:
    """An index, and its first image."""
    first = writer.image([writer.layer(b"shared"), writer.layer(gzip.compress(b"amd", mtime=0))], "linux/amd64")
    second = writer.image([writer.layer(b"shared"), writer.layer(b"arm")], "linux/arm64")
    return writer.index([first, second]), first


def blob(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / "sha256" / digest.hex


def test_the_same_content_gives_the_same_digests(tmp_path: Path) -> None:
    one, _ = two_platforms(LayoutWriter(tmp_path / "one"))
    two, _ = two_platforms(LayoutWriter(tmp_path / "two"))
    assert one == two


def test_an_index_reaches_every_manifest_config_and_layer(tmp_path: Path) -> None:
    index, first = two_platforms(LayoutWriter(tmp_path))
    reached = closure(tmp_path, index.digest)
    assert len(reached) == 1 + 2 + 2 + 3
    assert reached[first.digest] == first.size


def test_a_layers_diff_id_is_of_its_uncompressed_tar(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path)
    layer = writer.layer(gzip.compress(b"content", mtime=0))
    assert (layer.diff_id, layer.media_type[-5:]) == (Digest.of(b"content"), "+gzip")


def test_an_artifact_names_its_subject_but_does_not_contain_it(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path)
    image = writer.image([writer.layer(b"layer")])
    artifact = writer.artifact("application/spdx+json", b"{}", image)
    manifest = json.loads(blob(tmp_path, artifact.digest).read_bytes())
    assert manifest["subject"]["digest"] == image.digest
    assert image.digest not in closure(tmp_path, artifact.digest)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"shareD"), "doesn't match its content"),
        (lambda path: path.write_bytes(b"shar"), "has 4 bytes, not 6"),
    ],
)
def test_a_damaged_layer_is_found(tmp_path: Path, damage: object, complaint: str) -> None:
    index, _ = two_platforms(LayoutWriter(tmp_path))
    assert callable(damage)
    damage(blob(tmp_path, Digest.of(b"shared")))
    with pytest.raises(LayoutError, match=complaint):
        closure(tmp_path, index.digest)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    for number in range(8):
        file = folder / f"sub{number % 2}" / f"file{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = (hashlib.sha256(b"%d %d" % (number, line)).hexdigest() for line in range(600))
        file.write_text("\n".join(lines))
    (folder / "link").symlink_to("sub0/file0.txt")
    return folder


def test_material_is_the_same_each_time_and_each_file_is_used_once(files: Path) -> None:
    first, second = Material([files]), Material([files])
    one, two = first.layer(2_000), first.layer(2_000)
    assert (one, two) == (second.layer(2_000), second.layer(2_000))
    assert not set(names(one)) & set(names(two))


def test_a_layer_is_a_tar_of_real_files(files: Path) -> None:
    layer = Material([files]).layer(2_000)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        member = tar.getmembers()[0]
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == Path("/", member.name).read_bytes()
        assert (member.mtime, member.uid) == (0, 0)


def test_too_few_files_are_said_so(files: Path) -> None:
    with pytest.raises(FarshoreError, match="too few"):
        Material([files]).layer(1_000_000_000)


def test_a_changed_layer_differs_in_few_blocks(files: Path) -> None:
    before = Material([files]).raw_layer(150_000)
    after = changed(before, every=50_000)
    blocks = [(before[at : at + 4096], after[at : at + 4096]) for at in range(0, len(before) - 4096, 4096)]
    assert 0 < sum(old != new for old, new in blocks) <= 4
    assert "notes/what-changed.txt" in names(after)


def names(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()
