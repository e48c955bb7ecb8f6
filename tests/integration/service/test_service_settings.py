"""A service with wrong settings says which one, in one line, and ends with EX_CONFIG."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings
from receiver_topology import topology_text

from farshore.service import Settings
from farshore_cli.tools.ports import free_port
from farshore_edge.agent.settings import EdgeSettings
from farshore_receiver.settings import ReceiverSettings
from farshore_reconciler.settings import ReconcilerSettings
from farshore_verifier.settings import VerifierSettings

pytestmark = pytest.mark.integration

SERVICES = ["farshore_receiver", "farshore_coalescer", "farshore_verifier", "farshore_reconciler"]
REQUIRED = {
    **{service: ["FARSHORE_TOPOLOGY", "FARSHORE_KAFKA_BOOTSTRAP_SERVERS"] for service in SERVICES},
    "farshore_edge": ["FARSHORE_TOPOLOGY", "FARSHORE_EDGE_SITE", "FARSHORE_EDGE_CONFIG"],
}
PLAIN = {"FARSHORE_LISTEN": "8080", "FARSHORE_LOG_LEVEL": "loud"}
"""Wrong values, as all that follow."""
SHARED = {
    **PLAIN,
    "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "no-port",
    "FARSHORE_KAFKA_SESSION_TIMEOUT": "soon",
    "FARSHORE_KAFKA_REPLICATION": "0",
}
OWN = {
    "farshore_receiver": {
        "FARSHORE_RECEIVER_WORKERS": "0",
        "FARSHORE_RECEIVER_WORKER_TIMEOUT": "inf",
        "FARSHORE_RECEIVER_MANAGEMENT_LISTEN": "here",
        "FARSHORE_RECEIVER_ACKNOWLEDGE_TIMEOUT": "0",
        "FARSHORE_RECEIVER_BODY_TIMEOUT": "61",
        "FARSHORE_RECEIVER_MAX_BODY_BYTES": "1k",
        "FARSHORE_RECEIVER_MAX_DEAD_LETTER_BYTES": "900001",
        "FARSHORE_RECEIVER_HEAD_TIMEOUT": "-1",
        "FARSHORE_RECEIVER_MAX_CONNECTIONS": "many",
        "FARSHORE_RECEIVER_MAX_REQUESTS": "0",
    },
    "farshore_verifier": {"FARSHORE_VERIFIER_MOUNTS": "main.fra"},
    "farshore_reconciler": {
        "FARSHORE_RECONCILER_EVERY": "0",
        "FARSHORE_RECONCILER_GRACE": "-1",
        "FARSHORE_RECONCILER_LOOK_AT_SITES": "perhaps",
        "FARSHORE_RECONCILER_SAMPLE": "1.5",
        "FARSHORE_RECONCILER_MAX_DELETIONS": "all",
    },
    "farshore_edge": {"FARSHORE_EDGE_SITE": "", "FARSHORE_EDGE_AGENT_LISTEN": "9180"},
}
FREE_TEXT = {
    "FARSHORE_VERIFIER_SITES",  # held against the topology
    *(
        f"FARSHORE_EDGE_{name}"
        for name in (
            "CONFIG",
            "NGINX",
            "PID_FILE",
            "ACCESS_LOG",
            "ERROR_LOG",
            "TEMP_DIR",
            "CA_FILE",
            "HOLD_DIR",
            "USER",
        )
    ),
}
EX_CONFIG = 78


def start(service: str, folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FARSHORE_")}
    return subprocess.run(
        [sys.executable, "-m", service, *(["agent"] if service == "farshore_edge" else [])],
        cwd=folder,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=300,
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


@pytest.mark.parametrize("service", REQUIRED)
def test_every_setting_that_is_missing_is_named(service: str, tmp_path: Path) -> None:
    line = the_line(start(service, tmp_path, {}), service)
    for name in REQUIRED[service]:
        assert line.count(f"read setting {name}: it is not set (set the environment variable, for instance to ") == 1
    assert line.count("it is not set") == len(REQUIRED[service])


@pytest.mark.parametrize(
    ("service", "wrong"),
    [
        *((service, {**SHARED, **OWN.get(service, {})}) for service in SERVICES),
        ("farshore_edge", {**PLAIN, **OWN["farshore_edge"]}),
        (
            "farshore_coalescer",
            {
                "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "",
                "FARSHORE_KAFKA_SESSION_TIMEOUT": "0",
                "FARSHORE_KAFKA_REPLICATION": "two",
                "FARSHORE_LISTEN": "127.0.0.1:99999",
            },
        ),
        ("farshore_coalescer", {"FARSHORE_KAFKA_SESSION_TIMEOUT": "inf"}),
    ],
)
def test_every_setting_that_is_wrong_is_named(service: str, wrong: dict[str, str], tmp_path: Path) -> None:
    right = {
        "FARSHORE_TOPOLOGY": topology_file(tmp_path),
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "FARSHORE_EDGE_CONFIG": "edge.conf",
        "FARSHORE_EDGE_SITE": "nyc",
    }
    line = the_line(start(service, tmp_path, {**right, **wrong}), service)
    for name in wrong:
        assert line.count(f"read setting {name}: ") == 1
    assert line.count("from the environment: correct or unset it") == len(wrong)


def test_no_setting_is_left_out_here() -> None:
    """But those that are free text, or that only others make wrong: TLS and login at Kafka have their own tests."""
    models: dict[str, type[BaseSettings]] = {
        "farshore_receiver": ReceiverSettings,
        "farshore_verifier": VerifierSettings,
        "farshore_reconciler": ReconcilerSettings,
        "farshore_edge": EdgeSettings,
    }
    for service, model in models.items():
        names = {f"{model.model_config['env_prefix']}{field.upper()}" for field in model.model_fields}
        assert names - FREE_TEXT == set(OWN[service])
    assert {f"FARSHORE_{field.upper()}" for field in Settings.model_fields} - {"FARSHORE_TOPOLOGY"} == set(SHARED)


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
