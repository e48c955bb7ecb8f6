"""Ending children in order, and by force when they don't."""

import signal
from pathlib import Path

import pytest
from waiting import wait_until

from farshore_cli.tools.child import end, spawn, tail

pytestmark = pytest.mark.integration


async def test_a_child_that_ends_when_asked_is_not_killed(tmp_path: Path) -> None:
    log = tmp_path / "log/child.log"
    child = spawn(["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"], log_file=log)
    await wait_until(lambda: tail(log) == "up", 10, "the child to be up")
    assert end(child, within_seconds=60) == 3
    assert tail(log, lines=1) == "bye"


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"], log_file=log)
    await wait_until(lambda: tail(log) == "up", 10, "the child to be up")
    assert end(child, within_seconds=0.2) == -signal.SIGKILL


def test_the_log_is_appended_to_and_its_tail_is_short(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    for number in range(3):
        assert spawn(["echo", str(number)], log_file=log).wait() == 0
    assert tail(log, lines=2) == "1\n2"
