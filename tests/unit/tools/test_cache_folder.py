"""Where downloads go."""

from pathlib import Path

import pytest

from farshore_cli.tools import cache
from farshore_cli.tools.cache import cache_dir


def test_the_folder_that_the_user_names_comes_first(tmp_path: Path) -> None:
    environ = {"FARSHORE_CACHE": str(tmp_path / "named"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert cache_dir(environ) == tmp_path / "named"


def test_then_the_xdg_cache_then_the_home(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home")}
    assert cache_dir(home | {"XDG_CACHE_HOME": str(tmp_path / "xdg")}) == tmp_path / "xdg/farshore"
    assert cache_dir(home) == tmp_path / "home/.cache/farshore"


@pytest.mark.parametrize("environ", [{}, {"HOME": "/proc/no/such/home"}])
def test_without_a_writable_home_it_is_inside_the_repository(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path)
    assert cache_dir(environ) == tmp_path / ".cache"
