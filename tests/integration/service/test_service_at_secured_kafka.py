"""Services and commands that Kafka refuses end at once with one line; with the right settings they work."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from farshore_command import farshore
from receiver_topology import topology_text
from secured_kafka import USER, SecuredKafka
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

EX_CONFIG = 78
SERVICES = ("farshore_receiver", "farshore_coalescer", "farshore_verifier", "farshore_reconciler")


@pytest.fixture(scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    """With farshore's topics, which the receiver waits for."""
    own = SecuredKafka(tmp_path_factory.mktemp("secured-kafka"))
    try:
        own.start()
        await create_missing_topics(Bus(own.at("PLAINTEXT")))
        yield own
    finally:
        own.broker.kill()


def settings(kafka: SecuredKafka, folder: Path, password: str) -> dict[str, str]:
    (folder / "secret").write_text("a-secret-of-the-tests\n")
    text = topology_text({"main": ""}, tokens={"main": f"file:{folder}/secret"})
    (folder / "topology.yaml").write_text(text.replace("env:NONE", f"file:{folder}/secret"))
    (folder / "password").write_text(password)
    return {
        "FARSHORE_TOPOLOGY": str(folder / "topology.yaml"),
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": kafka.at("SASL_SSL"),
        "FARSHORE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "FARSHORE_KAFKA_CA_FILE": str(kafka.authority.ca_file),
        "FARSHORE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "FARSHORE_KAFKA_USERNAME": USER,
        "FARSHORE_KAFKA_PASSWORD": f"file:{folder}/password",
    }


def start(service: str, environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FARSHORE_")}
    return spawn([sys.executable, "-m", service], log_file=log, environ={**clean, **environ})


@pytest.mark.parametrize("service", ["farshore_receiver", "farshore_coalescer"])
def test_a_service_with_a_wrong_password_ends_at_once(service: str, kafka: SecuredKafka, tmp_path: Path) -> None:
    process = start(service, settings(kafka, tmp_path, "a-wrong-password"), tmp_path / "log")
    code, said = process.wait(300), (tmp_path / "log").read_text()
    assert code == EX_CONFIG, said
    (line,) = [line for line in said.splitlines() if not line.startswith("{")]
    assert "FARSHORE_KAFKA_PASSWORD: the broker doesn't know user and password" in line
    assert "a-wrong-password" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("service", SERVICES)
async def test_with_the_right_settings_a_service_comes_into_service(
    service: str, kafka: SecuredKafka, tmp_path: Path
) -> None:
    port = free_port()
    listen = {"FARSHORE_LISTEN": f"127.0.0.1:{port}", "FARSHORE_LOG_LEVEL": "debug"}
    process = start(service, settings(kafka, tmp_path, kafka.password) | listen, tmp_path / "log")
    try:
        await wait_until(http_answers(f"http://127.0.0.1:{port}/readyz"), 30, f"{service} ready")
    finally:
        code = end(process, within_seconds=60)
    said = (tmp_path / "log").read_text()
    assert code == 0, said
    assert kafka.password not in said


async def test_commands_take_the_same_settings(kafka: SecuredKafka, tmp_path: Path) -> None:
    good = settings(kafka, tmp_path, kafka.password)
    listed = await farshore("deadletter", "list", environ=good)
    assert (listed.code, listed.err) == (0, "")
    wrong = settings(kafka, tmp_path, "a-wrong-password")
    for command in (("deadletter", "list"), ("status",)):
        ended = await farshore(*command, environ=wrong)
        assert ended.code == EX_CONFIG, ended
        assert re.search("FARSHORE_KAFKA_PASSWORD: the broker doesn't know", ended.err), ended
    checked = await farshore("check", good["FARSHORE_TOPOLOGY"], "--connect", environ=wrong)
    assert "FARSHORE_KAFKA_PASSWORD" in checked.out
