"""What the edge's agent concludes from files that nginx has read."""

from pathlib import Path

from farshore_edge.agent.files import Files


def test_a_file_counts_once_it_says_the_same_in_two_looks(tmp_path: Path) -> None:
    certificate, key = tmp_path / "edge.pem", tmp_path / "edge.key"
    certificate.write_text("old")
    files = Files([certificate, key])  # the key isn't there yet
    first = files.digest
    assert not files.changed()
    certificate.write_text("renewed")
    assert not files.changed()
    key.write_text("its key")  # somebody is still writing
    assert not files.changed()
    assert files.changed()
    assert files.digest != first
    assert not files.changed()


def test_the_same_content_written_again_is_no_change(tmp_path: Path) -> None:
    certificate = tmp_path / "edge.pem"
    certificate.write_text("the same")
    files = Files([certificate])
    certificate.unlink()
    certificate.write_text("the same")
    assert [files.changed() for _ in range(3)] == [False, False, False]


def test_without_files_there_is_no_digest() -> None:
    assert Files([]).digest == ""
