"""Values that are made of files follow them, and outlive a slip."""

from pathlib import Path

import pytest

from farshore.errors import ConfigurationError
from farshore.reread import Reread
from farshore.secrets import read_secret


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_read_again_when_it_changed_and_a_second_passed(tmp_path: Path) -> None:
    file, clock = tmp_path / "secret", Clock()
    file.write_text("one")
    value = Reread([file], lambda: read_secret(f"file:{file}"), monotonic=clock)
    assert value() == "one"
    file.write_text("two and more")
    assert value() == "one"
    clock.now = 1.0
    assert value() == "two and more"


def test_a_file_that_cant_be_used_any_more_leaves_what_was_there(tmp_path: Path) -> None:
    file, clock = tmp_path / "secret", Clock()
    file.write_text("one")
    value = Reread([file], lambda: read_secret(f"file:{file}"), monotonic=clock)
    for clock.now, spoil in ((1.0, lambda: file.write_text("")), (2.0, file.unlink)):
        spoil()
        assert value() == "one"
    file.write_text("three")
    clock.now = 3.0
    assert value() == "three"


def test_at_the_start_it_has_to_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Reread([tmp_path / "none"], lambda: read_secret(f"file:{tmp_path}/none"))


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As kubelet exchanges the files of a secret."""
    clock = Clock()
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("old")
    value = Reread([link], lambda: read_secret(f"file:{link}"), monotonic=clock)
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(link)
    clock.now = 1.0
    assert value() == "new"
