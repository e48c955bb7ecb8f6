"""Two builds of one commit are the same image, wherever and whenever they are made."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_images import TARGETS, Images
from documents import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files in another folder, younger, and in the order in which a copy happens to make them."""
    folder = tmp_path_factory.mktemp("elsewhere") / "farshore"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in reversed(listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
        shutil.copymode(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def others(images: Images, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """A store in which nothing was built before."""
    others = images.beside(tmp_path_factory.mktemp("other"), elsewhere)
    yield others
    others.remove()


@pytest.mark.parametrize("target", TARGETS)
def test_two_builds_are_the_same(images: Images, others: Images, target: str) -> None:
    first, again = images.build(target), others.build(target)
    # what buildah notes beside these in Docker's format is by chance: a container's id and the ids of images between
    assert again["RootFS"]["Layers"] == first["RootFS"]["Layers"]
    assert again["Config"] == first["Config"]
    assert [step["created_by"] for step in again["History"]] == [step["created_by"] for step in first["History"]]


def test_two_builds_in_ocis_format_have_the_same_digest(images: Images, others: Images) -> None:
    """One image stands for all: what could differ in a layer, the test above finds."""
    assert others.digest("receiver") == images.digest("receiver")
