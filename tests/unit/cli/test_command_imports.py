"""A command doesn't wait for what only others need."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import farshore_cli.commands
from farshore_cli.__main__ import COMMANDS, app_for


def test_every_command_is_listed() -> None:
    names = [file.stem for file in Path(farshore_cli.commands.__path__[0]).glob("[a-z]*.py")]
    commands = {name for name in names if hasattr(import_module(f"farshore_cli.commands.{name}"), name)}
    assert commands == set(COMMANDS)
    answer = CliRunner().invoke(app_for(["--help"]), ["--help"], env={"COLUMNS": "200"})
    lines = [line.split() for line in answer.output.splitlines()]
    assert {words[1] for words in lines if len(words) > 2} >= set(COMMANDS)


@pytest.mark.parametrize("words", [["paln"], ["--verison"], ["paln", "plan"]])
def test_a_slip_is_answered_as_by_the_whole_command_line(words: list[str]) -> None:
    answer = CliRunner().invoke(app_for(words), words)
    assert answer.exit_code == 2
    assert "No such" in answer.output


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        ("fence", ["netapp_ontap", "prometheus_client"]),
        ("deadletter", ["netapp_ontap", "prometheus_client"]),
        ("plan", ["farshore_cli.commands.demo", "prometheus_client"]),
    ],
)
def test_a_command_imports_nothing_that_only_others_need(command: str, spared: list[str]) -> None:
    program = f"import sys; sys.argv = ['farshore', {command!r}, '--help']; from farshore_cli.__main__ import main\n"
    program += f"try: main()\nfinally: print('IMPORTED', [name for name in {spared!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert "Usage" in answer.stdout
    assert "IMPORTED []" in answer.stdout
