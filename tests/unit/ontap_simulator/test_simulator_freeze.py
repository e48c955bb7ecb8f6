"""Stopping writers: real processes, never for longer than the bound."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farshore_ontap_simulator.data.blocks import BlockStore
from farshore_ontap_simulator.data.freeze import Writer, find_writer, frozen, living, resume
from farshore_ontap_simulator.data.snapshot import Snapshotter

DEADLINE_SECONDS = 120.0


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["/bin/sleep", "60"])
    yield child
    child.kill()
    child.wait()


def state(child: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]


def becomes(child: subprocess.Popen[bytes], wanted: str) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while state(child) != wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    return state(child) == wanted


def writer(child: subprocess.Popen[bytes]) -> Writer:
    found = find_writer(child.pid)
    assert found is not None
    return found


def test_a_writer_is_stopped_inside_and_runs_after(process: subprocess.Popen[bytes]) -> None:
    with frozen([writer(process)]) as freeze:
        assert state(process) == "T"
        assert freeze.held
    assert becomes(process, "S")


def test_a_writer_runs_after_a_failure_too(process: subprocess.Popen[bytes]) -> None:
    with pytest.raises(ZeroDivisionError), frozen([writer(process)]):
        raise ZeroDivisionError
    assert becomes(process, "S")


def test_the_bound_lets_writers_go_while_the_work_goes_on(process: subprocess.Popen[bytes]) -> None:
    with frozen([writer(process)], at_most_seconds=0.1) as freeze:
        assert becomes(process, "S")
        assert not freeze.held


def test_a_reused_pid_is_never_touched(process: subprocess.Popen[bytes]) -> None:
    stranger = Writer(process.pid, writer(process).start_ticks + 1)
    assert living([stranger]) == []
    with frozen([stranger]):
        assert becomes(process, "S")  # just started, it may still be running
    resume([stranger])


def test_a_writer_that_ended_is_ignored(process: subprocess.Popen[bytes]) -> None:
    gone = writer(process)
    process.kill()
    process.wait()
    assert find_writer(gone.pid) is None
    with frozen([gone]) as freeze:
        assert freeze.held


def test_writers_are_stopped_at_once_for_a_little_and_for_much_only_after_it_was_read(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    snapshotter = Snapshotter(BlockStore(tmp_path / "blocks"), tmp_path / "identity.bin")
    (tree / "little").write_bytes(b"a" * 100_000)
    little = snapshotter.take(tree, [writer(process)], "v1")
    assert (little.settled, little.rounds) == (True, 1)
    (tree / "much").write_bytes(b"b" * 10_000_000)
    stamp = time.time_ns()
    while time.time_ns() - stamp < 60_000_000:  # else it is read again because it has just been written
        time.sleep(0.005)
    much = snapshotter.take(tree, [writer(process)], "v2")
    assert (much.settled, much.rounds) == (True, 2)
    assert much.bytes_read < 20_000_000  # not again while they were stopped
    assert state(process) != "T"
