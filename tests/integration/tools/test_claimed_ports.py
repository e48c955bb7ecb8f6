"""A port that was chosen stays its process's own until that one ends, whether somebody listens there or not."""

import subprocess
import sys

import pytest
from waiting import wait_until

from farshore_cli.tools.ports import claim, free_port

pytestmark = pytest.mark.integration

CHOOSE_AND_WAIT = "import sys; from farshore_cli.tools.ports import free_port; print(free_port(), flush=True); input()"
CLAIM = "import sys; from farshore_cli.tools.ports import claim; sys.exit(not claim(int(sys.argv[1])))"


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_a_port_is_kept_from_others_until_the_process_that_chose_it_ends() -> None:
    other = start(CHOOSE_AND_WAIT)
    assert other.stdout is not None
    try:
        port = int(other.stdout.readline())
        assert not claim(port)
    finally:
        other.kill()
        other.communicate()
    await wait_until(lambda: claim(port), 10, "the port to be given back")
    mine = free_port()
    assert start(CLAIM, str(mine)).wait() == 1
