"""`farshore check` as a process: exit codes and what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from farshore_cli.stack.layout import Layout
from farshore_cli.stack.ports import Ports, port_names
from farshore_cli.stack.topology_text import Standing, topology_text
from farshore_cli.tools.ports import free_port, free_ports

pytestmark = pytest.mark.integration


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farshore_cli", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    """A right file whose endpoints are all dead."""
    ports = Ports(dict(zip(port_names(), free_ports(len(port_names())), strict=True)))
    file = tmp_path / "topology.yaml"
    file.write_text(topology_text(Layout(tmp_path), ports, Standing()))
    return file


def test_a_right_file_is_fine_without_asking_anybody(topology: Path) -> None:
    done = check(str(topology))
    assert done.returncode == 0, done.stderr
    assert "sites: nyc, fra, syd; registries: main" in done.stdout


def test_a_wrong_file_is_named_with_its_lines(topology: Path) -> None:
    topology.write_text(topology.read_text().replace("model: cloud", "model: moon").replace("svm: svm_fra", "svn: x"))
    done = check(str(topology))
    assert done.returncode == 78
    assert "sites.syd.model" in done.stdout
    assert "unknown key sites.fra.ontap.svn" in done.stdout


def test_an_absent_file_is_a_clear_answer(tmp_path: Path) -> None:
    done = check(str(tmp_path / "none.yaml"))
    assert done.returncode == 78
    assert "No such file" in done.stdout
    assert "name a file that this user can read" in done.stdout


def test_a_missing_secret_stops_nothing_else_from_being_looked_at(topology: Path) -> None:
    done = check(str(topology), "--connect", "--output", "json")
    assert done.returncode == 1
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    wrong = [what for what, finding in findings.items() if not finding["ok"]]
    for part in ("ONTAP of nyc", "ONTAP of syd", "registry main at fra", "edge of syd", "notification token of main"):
        assert any(what.startswith(part) for what in wrong), part
    assert all(finding["problem"] and finding["hint"] for finding in findings.values() if not finding["ok"])


def test_an_absent_kafka_is_found(topology: Path) -> None:
    done = check(str(topology), "--connect", "--kafka", "127.0.0.1:9")
    assert done.returncode == 1
    assert "Kafka 127.0.0.1:9" in done.stdout
    assert "no broker answers there" in done.stdout
    assert "Traceback" not in done.stderr


def test_services_are_asked_whether_they_are_ready(topology: Path) -> None:
    def says(status: int) -> ScriptedServer:
        return ScriptedServer(lambda _, path: Answer(status=status if path == "/readyz" else 500))

    nobody = f"http://127.0.0.1:{free_port()}"
    with says(200) as ready, says(503) as waiting, says(404) as another:
        urls = (ready.url, waiting.url, f"{another.url}/", nobody)
        done = check(str(topology), *(f"--service={url}" for url in urls), "--output", "json")
    assert done.returncode == 1, done.stderr
    _, *findings = json.loads(done.stdout)["findings"]
    assert [finding["what"] for finding in findings] == [f"service {url.rstrip('/')}" for url in urls]
    assert [finding["problem"] for finding in findings[:3]] == ["", "it is not ready", "it answered 404"]
    assert [bool(finding["problem"] and finding["hint"]) for finding in findings] == [False, True, True, True]


@pytest.mark.parametrize("address", ["farshore-coalescer:8080", "http://coalescer/readyz"])
def test_what_is_no_services_address_is_a_usage_error(address: str, topology: Path) -> None:
    done = check(str(topology), "--service", address)
    assert done.returncode == 2
    assert "http://HOST:PORT" in done.stderr


def test_unknown_options_are_a_usage_error() -> None:
    assert check("--what").returncode == 2
