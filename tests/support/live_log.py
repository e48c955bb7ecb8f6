"""Logs of processes that are still writing them."""

from pathlib import Path


def whole_lines(log: Path) -> list[str]:
    """The log's lines, but for one that is just being written."""
    return log.read_text().rpartition("\n")[0].splitlines()
