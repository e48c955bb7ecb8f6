"""Each mistake planted in the verifier's decisions has to break a schedule."""

import subprocess
import sys
from pathlib import Path

import pytest
from verifier_mutants import MUTANTS

ENOUGH_SCHEDULES = 2000


@pytest.fixture(scope="module")
def seen() -> dict[str, str]:
    """What became of each mistake; all in one process, which reads the libraries once."""
    command = [sys.executable, str(Path(__file__).with_name("verifier_mutants.py")), str(ENOUGH_SCHEDULES)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2900)
    found = {}
    for line in run.stdout.splitlines():
        name, _, what = line.partition(": ")
        found[name] = what
    return found


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_planted_in_the_verifier_is_seen(name: str, seen: dict[str, str]) -> None:
    assert seen.get(name, "nothing came of it").startswith("seed ")
