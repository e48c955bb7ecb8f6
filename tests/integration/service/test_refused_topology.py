"""A changed topology that can't be used ends no running service: it goes on with the old one, and says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from authorities import Authority
from receiver_topology import topology_text
from service_process import ServiceProcess
from waiting import wait_until

pytestmark = pytest.mark.integration

TAKEN_UP = {
    "farshore_receiver": "topology read again",
    "farshore_coalescer": "begins anew with the changed topology",
    "farshore_verifier": "begins anew with the changed topology",
    "farshore_reconciler": "begins anew with the changed topology",
}
"""What each service says when it has taken up a changed topology."""


def write(folder: Path, name: str, *, secret: Path, ca_file: Path | None = None) -> None:
    """Put a topology there in which every service needs one file: a token, a password, or a CA file."""
    text = topology_text({name: ""}, tokens={name: f"file:{secret}"}).replace("env:NONE", f"file:{secret}")
    if ca_file:
        plain = "url: 'http://127.0.0.1:9'}"
        text = text.replace(plain, f"url: 'https://127.0.0.1:9', ca_file: '{ca_file}'}}")
    draft = folder / "draft.yaml"
    draft.write_text(text)
    draft.replace(folder / "topology.yaml")


@pytest.fixture
def services(tmp_path: Path, kafka_bootstrap: str, unique: str) -> Iterator[list[ServiceProcess]]:
    (tmp_path / "secret").write_text("a-secret-of-the-tests\n")
    write(tmp_path, unique, secret=tmp_path / "secret")
    environ = {
        "FARSHORE_TOPOLOGY": str(tmp_path / "topology.yaml"),
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
    }
    services = [ServiceProcess(module, tmp_path, environ) for module in TAKEN_UP]
    yield services
    for service in services:
        service.stop()


async def test_what_a_changed_topology_names_may_come_after_it(
    services: list[ServiceProcess], tmp_path: Path, unique: str
) -> None:
    for service in services:
        await service.ready()
    write(tmp_path, f"{unique}b", secret=tmp_path / "later", ca_file=tmp_path / "later.pem")
    for service in services:
        await service.metric("farshore_topology_refused", 1.0)
        (refusal,) = service.said("topology refused, the old one stays in force")
        assert str(tmp_path / "later") in refusal["reason"]
        await service.ready()
        assert not service.said(TAKEN_UP[service.module])
    (tmp_path / "later").write_text("another-secret-of-the-tests\n")
    Authority(tmp_path, "later")
    for service in services:
        await service.metric("farshore_topology_refused", 0.0)
        await wait_until(lambda: service.said(TAKEN_UP[service.module]), 60, "it to be taken up")  # noqa: B023
        await service.ready()
        assert service.stop() == 0
