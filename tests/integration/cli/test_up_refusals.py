"""`farshore up` when it can't: what it says, and with which exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def up(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farshore_cli", "up", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environ})


def test_a_missing_program_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    done = up("--state-dir", str(tmp_path / "state"), PATH="/nowhere", FARSHORE_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 69
    assert "docker-registry" in done.stderr
    assert "scripts/setup" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = up("--state-dir", str(tmp_path / "state"), "--port-base", str(port))
    assert done.returncode == 78
    assert f"{port} (kafka)" in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = up("--state-dir", str(tmp_path / "file" / "state"))
    assert done.returncode == 78
    assert str(tmp_path / "file" / "state") in done.stderr


def test_an_unknown_registry_version_is_a_usage_error(tmp_path: Path) -> None:
    assert up("--state-dir", str(tmp_path / "state"), "--registry", "v9").returncode == 2


def test_a_part_that_fails_is_shown_with_its_log_and_everything_is_ended(tmp_path: Path) -> None:
    blocked = tmp_path / "state" / "clusters" / "fra"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("not a folder")
    done = up("--state-dir", str(tmp_path / "state"))
    assert done.returncode == 70
    assert "start ontap-fra: it ended with" in done.stderr
    assert "FileExistsError" in done.stderr
    assert not (tmp_path / "state" / "endpoints.json").exists()
    assert "kafka: stopped" in done.stdout
