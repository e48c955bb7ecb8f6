"""Where the tests' files lie."""

from pathlib import Path

import memory_folder
import pytest


def test_too_little_memory_and_none_at_all_mean_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_folder, "_FOLDER", tmp_path)
    monkeypatch.setattr(memory_folder, "available_memory", lambda: 1000)
    assert memory_folder.memory_folder(1000) == tmp_path
    assert memory_folder.memory_folder(1001) is None
    monkeypatch.setattr(memory_folder, "_FOLDER", tmp_path / "none")
    assert memory_folder.memory_folder(0) is None


def test_what_is_available_is_some_and_no_more_than_the_machine_has() -> None:
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    assert 0 < memory_folder.available_memory() <= int(total.split()[1]) * 1024
