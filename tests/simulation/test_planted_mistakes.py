"""Schedules that can't see a mistake prove nothing: each planted one has to be seen."""

import subprocess
import sys
from pathlib import Path

import pytest
from mutants import MUTANTS

ENOUGH_SCHEDULES = 4000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_seen(name: str) -> None:
    script = Path(__file__).parent / "mutants.py"
    command = [sys.executable, str(script), name, str(ENOUGH_SCHEDULES)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{name}: {run.stdout}{run.stderr}"
    assert run.stdout.startswith("seed ")
