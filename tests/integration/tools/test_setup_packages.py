"""scripts/setup-packages where it can't do its work: it says what is missing and leaves nothing behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from farshore_cli.tools.cache import REPOSITORY
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

EX_UNAVAILABLE = 69


def unpack(folder: Path, *packages: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run(
        [bash, str(REPOSITORY / "scripts/setup-packages"), str(folder), *packages],
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_without_apt_it_names_what_is_missing(tmp_path: Path) -> None:
    answer = unpack(tmp_path / "tools", "nginx", "skopeo", environ={"PATH": str(tmp_path)})
    assert answer.returncode == EX_UNAVAILABLE
    assert "missing: nginx skopeo; they come from Debian's packages, and this machine has no apt-get" in answer.stderr
    assert not (tmp_path / "tools").exists()


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get, which is not on this machine")
def test_without_a_network_it_names_what_is_missing_and_the_command_that_gets_it(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    environ = {"PATH": os.environ["PATH"], "http_proxy": nobody, "https_proxy": nobody}
    answer = unpack(tmp_path / "tools", "docker-registry", environ=environ)
    assert answer.returncode == EX_UNAVAILABLE
    assert "missing: docker-registry; apt could not fetch them" in answer.stderr
    assert "sudo apt-get install --no-install-recommends docker-registry" in answer.stderr
    assert [entry.name for entry in (tmp_path / "tools").iterdir()] == ["bin"]
    assert not list((tmp_path / "tools/bin").iterdir())
