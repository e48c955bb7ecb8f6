"""A service with wrong settings says which one, in one line, and ends with EX_CONFIG."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from receiver_topology import topology_text

from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

SERVICES = ["farshore_receiver", "farshore_coalescer", "farshore_verifier"]
EX_CONFIG = 78


def start(service: str, folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FARSHORE_")}
    return subprocess.run(
        [sys.executable, "-m", service],
        cwd=folder,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def topology_file(folder: Path, text: str | None = None) -> str:
    path = folder / "topology.yaml"
    path.write_text(topology_text({"main": ""}) if text is None else text)
    return str(path)


def the_line(ended: subprocess.CompletedProcess[str], service: str) -> str:
    """The one line of complaint, after seeing that there is nothing else."""
    assert ended.returncode == EX_CONFIG, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{service.replace('_', '-')}: ")
    return line


@pytest.mark.parametrize("service", SERVICES)
def test_a_missing_setting_is_named(service: str, tmp_path: Path) -> None:
    assert "FARSHORE_TOPOLOGY: it is not set" in the_line(start(service, tmp_path, {}), service)
    ended = start(service, tmp_path, {"FARSHORE_TOPOLOGY": topology_file(tmp_path)})
    assert "FARSHORE_KAFKA_BOOTSTRAP_SERVERS: it is not set" in the_line(ended, service)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARSHORE_KAFKA_BOOTSTRAP_SERVERS", "no-port"),
        ("FARSHORE_KAFKA_BOOTSTRAP_SERVERS", ""),
        ("FARSHORE_KAFKA_SESSION_TIMEOUT", "soon"),
        ("FARSHORE_KAFKA_SESSION_TIMEOUT", "0"),
        ("FARSHORE_KAFKA_SESSION_TIMEOUT", "inf"),
        ("FARSHORE_KAFKA_REPLICATION", "0"),
        ("FARSHORE_KAFKA_REPLICATION", "two"),
        ("FARSHORE_LISTEN", "8080"),
        ("FARSHORE_LISTEN", "127.0.0.1:99999"),
        ("FARSHORE_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, tmp_path: Path) -> None:
    environ = {"FARSHORE_TOPOLOGY": topology_file(tmp_path), "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    ended = start("farshore_coalescer", tmp_path, {**environ, name: value})
    assert name in the_line(ended, "farshore_coalescer")


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_topology_is_named_with_its_lines(service: str, tmp_path: Path) -> None:
    path = topology_file(tmp_path, topology_text({"main": ""}) + "colour: red\nshape: round\n")
    ended = start(service, tmp_path, {"FARSHORE_TOPOLOGY": path, "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    line = the_line(ended, service)
    last = len(Path(path).read_text().splitlines())
    assert f"{path}:{last - 1}: unknown key colour" in line
    assert f"{path}:{last}: unknown key shape" in line


def test_a_topology_that_cant_be_read_is_named(tmp_path: Path) -> None:
    environ = {"FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    (tmp_path / "binary").write_bytes(b"\x00\xff")
    for path, says in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory"), ("binary", "not UTF-8")):
        ended = start("farshore_coalescer", tmp_path, {**environ, "FARSHORE_TOPOLOGY": str(path)})
        assert says in the_line(ended, "farshore_coalescer")


def test_a_password_in_the_topology_is_refused_and_not_printed(tmp_path: Path) -> None:
    path = topology_file(tmp_path, topology_text({"main": ""}).replace("env:NONE", "hunter2"))
    ended = start(
        "farshore_coalescer", tmp_path, {"FARSHORE_TOPOLOGY": path, "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "a:1"}
    )
    line = the_line(ended, "farshore_coalescer")
    assert "sites.nyc.ontap.password" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("service", SERVICES)
def test_an_address_that_is_taken_is_a_wrong_setting(service: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "token").write_text("a-token-of-the-tests\n")
    text = topology_text({"main": ""}, tokens={"main": f"file:{tmp_path}/token"})
    environ = {
        "FARSHORE_TOPOLOGY": topology_file(tmp_path, text.replace("env:NONE", f"file:{tmp_path}/token")),
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "FARSHORE_LISTEN": f"192.0.2.1:{port}",  # TEST-NET-1: no address of any host
    }
    ended = start(service, tmp_path, environ)
    assert ended.returncode == EX_CONFIG, ended.stderr
    assert "Traceback" not in ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert f"192.0.2.1:{port}" in line


def test_a_missing_secret_is_a_wrong_setting(tmp_path: Path, kafka_bootstrap: str) -> None:
    environ = {"FARSHORE_TOPOLOGY": topology_file(tmp_path), "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap}
    ended = start("farshore_coalescer", tmp_path, environ)
    assert ended.returncode == EX_CONFIG, ended.stderr
    assert "read secret env:NONE of sites.nyc.ontap.password: the variable is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    environ = {
        "FARSHORE_TOPOLOGY": topology_file(tmp_path),
        "FARSHORE_KAFKA_REPLICATION": "0",
        "FARSHORE_KAFKA_CA_FILE": "/none",
        "FARSHORE_RECEIVER_WORKERS": "none",
    }
    line = the_line(start("farshore_receiver", tmp_path, environ), "farshore_receiver")
    for name in (
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS",
        "FARSHORE_KAFKA_REPLICATION",
        "FARSHORE_KAFKA_CA_FILE",
        "FARSHORE_RECEIVER_WORKERS",
        "registries.main.notifications.tokens",
    ):
        assert line.count(f"{name}: ") == 1, line
