"""A port that was chosen stays its process's own until that one ends, whether somebody listens there or not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from farshore_cli.stack.layout import Layout
from farshore_cli.tools.ports import claim, free_port

pytestmark = pytest.mark.integration

CHOOSE_AND_WAIT = "import sys; from farshore_cli.tools.ports import free_port; print(free_port(), flush=True); input()"
CHOOSE_STACKS_AND_WAIT = """
import sys
from pathlib import Path
from farshore_cli.stack.layout import Layout
from farshore_cli.stack.open import choose_ports
print(choose_ports(Layout(Path(sys.argv[1])), None, 1).by_name["receiver"], flush=True)
input()
"""
CLAIM = "import sys; from farshore_cli.tools.ports import claim; sys.exit(not claim(int(sys.argv[1])))"


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


async def test_a_port_is_kept_from_others_until_the_process_that_chose_it_ends() -> None:
    other = start(CHOOSE_AND_WAIT)
    try:
        port = int(first_line(other))
        assert not claim(port)
    finally:
        other.kill()
        other.communicate()
    await wait_until(lambda: claim(port), 10, "the port to be given back")
    mine = free_port()
    assert start(CLAIM, str(mine)).wait() == 1


async def test_ports_that_a_stack_had_before_are_kept_from_others_again(tmp_path: Path) -> None:
    before = start(CHOOSE_AND_WAIT)
    port = int(first_line(before))
    before.kill()
    before.communicate()
    Layout(tmp_path).ports_file.write_text(json.dumps({"receiver": port}))
    stack = start(CHOOSE_STACKS_AND_WAIT, str(tmp_path))
    try:
        assert not claim(int(first_line(stack)))
    finally:
        stack.kill()
        stack.communicate()
