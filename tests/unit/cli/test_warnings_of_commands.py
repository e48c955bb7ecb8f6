"""What farshore's own code warns about while a command runs it: a line each, with the reason and no secret."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver_topology import topology_text

from farshore.telemetry import event
from farshore.topology.watch import TopologyWatch
from farshore_cli.warn import warn_by

log = logging.getLogger("farshore.somewhere")


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    warn_by(lines.append)
    yield lines
    root.handlers[:] = before


def test_a_line_has_what_why_and_where(said: list[str]) -> None:
    event(log, logging.WARNING, "waiting for Kafka", at="127.0.0.1:9092", reason="nobody listens there", tries=3)
    event(log, logging.ERROR, "holds don't apply", reason="the folder is not there")
    event(log, logging.WARNING, "it stands still")
    assert said == [
        "waiting for Kafka: nobody listens there (at 127.0.0.1:9092, tries 3)",
        "holds don't apply: the folder is not there",
        "it stands still",
    ]


def test_a_line_has_no_secret(said: list[str]) -> None:
    event(
        log, logging.ERROR, "refused with password=hunter2", reason="https://admin:hunter2@nyc.example", token="hunter2"
    )
    try:
        raise ValueError("Authorization: Bearer hunter2")
    except ValueError:
        log.exception("it failed")
    assert len(said) == 2
    assert "ValueError" in said[1]
    assert "hunter2" not in "".join(said)


def test_what_several_have_at_once_is_said_once(said: list[str]) -> None:
    for reason in ("one", "one", "other", "one"):
        event(log, logging.ERROR, "trouble", reason=reason)
    assert said == ["trouble: one", "trouble: other", "trouble: one"]


def test_what_is_no_warning_is_not_said(said: list[str]) -> None:
    event(log, logging.INFO, "all is well")
    assert said == []


def test_a_refused_topology_is_told_with_its_line_and_when_it_is_right_again(said: list[str], tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    good = topology_text({"main": ""}, tokens={"main": "env:TOKEN"})
    file.write_text(good)
    edges = [TopologyWatch(file, lambda _topology: None) for _ in range(3)]

    def look() -> None:
        for edge in edges:
            edge.look()

    file.write_text(good + "surprise: 1\n")
    look()
    look()
    line = good.count("\n") + 1
    assert said == [
        f"topology refused, the old one stays in force: read topology {file}: {file}:{line}: unknown key surprise "
        "(see docs/topology.md)"
    ]
    file.write_text(good)
    look()
    look()
    assert said[1:] == [f"the topology can be used again (file {file})"]
