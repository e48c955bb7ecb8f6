"""One store of images for all tests; `make test-images` asks for them, since they take minutes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_images import Container, Figures, Images
from documents import ROOT

from farshore_cli.tools.cache import cache_dir

FIGURES = ROOT / "build" / "images.json"
USER = 65532


@pytest.fixture(scope="session")
def images() -> Images:
    """The store; `FARSHORE_IMAGES_BASE` names a base that can be pulled, else one is made of Debian's packages."""
    if "FARSHORE_TEST_IMAGES" not in os.environ:
        pytest.skip("the images are built and run by make test-images: it takes minutes")
    return Images.below(cache_dir() / "images", os.environ.get("FARSHORE_IMAGES_BASE"))


@pytest.fixture(scope="session")
def figures(images: Images) -> Iterator[Figures]:
    """What is measured of each image; written to build/images.json at the end, with the sizes."""
    found: Figures = {}
    yield found
    base = images.inspect(images.base)["Size"]
    for target, told in images.built.items():
        found.setdefault(target, {}).update(bytes=told["Size"], bytes_beyond_base=told["Size"] - base)
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps({"base": {"bytes": base}, **found}, indent=2) + "\n")


@pytest.fixture
def containers() -> Iterator[list[Container]]:
    """Those that are put in here are ended and removed behind the test."""
    started: list[Container] = []
    yield started
    for container in reversed(started):
        container.remove()


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A folder that is the images' user's own."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder
