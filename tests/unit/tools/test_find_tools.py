"""Which program is taken, and what is said when one is missing."""

from pathlib import Path

import pytest

from farshore_cli.tools.find import MissingToolError, find_tools


def program(folder: Path, name: str, version: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {name} {version}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with nothing but nginx and skopeo on PATH, and an empty cache."""
    program(tmp_path / "path", "nginx")
    program(tmp_path / "path", "skopeo")
    return {"PATH": str(tmp_path / "path"), "FARSHORE_CACHE": str(tmp_path / "cache")}


def test_a_program_on_path_comes_before_the_one_that_was_set_up(tmp_path: Path, machine: dict[str, str]) -> None:
    program(tmp_path / "path", "docker-registry", "2.8.2")
    program(tmp_path / "cache/tools/bin", "docker-registry", "2.8.2")
    program(tmp_path / "cache/tools/bin", "skopeo")
    found = find_tools(machine)
    assert found.registry_v2 == tmp_path / "path/docker-registry"
    assert found.skopeo == tmp_path / "path/skopeo"


def test_what_was_set_up_is_found_without_being_on_path(tmp_path: Path, machine: dict[str, str]) -> None:
    program(tmp_path / "cache/tools/bin", "docker-registry", "2.8.2")
    program(tmp_path / "cache/tools/bin", "registry", "v3.1.2+unknown")
    program(tmp_path / "cache/tools/bin", "crane")
    found = find_tools(machine)
    assert found.registries == {
        "v2": tmp_path / "cache/tools/bin/docker-registry",
        "v3": tmp_path / "cache/tools/bin/registry",
    }
    assert found.crane == tmp_path / "cache/tools/bin/crane"


def test_registries_are_told_apart_by_version_and_not_by_name(tmp_path: Path, machine: dict[str, str]) -> None:
    program(tmp_path / "path", "registry", "v2.8.3")
    program(tmp_path / "cache/tools/bin", "registry", "v3.1.2")
    found = find_tools(machine)
    assert found.registry_v2 == tmp_path / "path/registry"
    assert found.registry_v3 == tmp_path / "cache/tools/bin/registry"


def test_distribution_3_and_crane_may_be_absent(tmp_path: Path, machine: dict[str, str]) -> None:
    program(tmp_path / "path", "docker-registry", "2.8.2")
    found = find_tools(machine)
    assert found.registry_v3 is None
    assert found.crane is None


def test_a_missing_program_is_named_with_the_way_to_get_it(machine: dict[str, str]) -> None:
    with pytest.raises(MissingToolError, match=r"docker-registry.*run scripts/setup"):
        find_tools(machine)
