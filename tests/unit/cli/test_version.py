"""`farshore --version`."""

from pathlib import Path

from typer.testing import CliRunner

from farshore_cli.__main__ import app_for

ROOT = Path(__file__).parents[3]


def test_the_version_is_the_one_that_is_being_changed() -> None:
    """The first of the changelog, so that neither is forgotten."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    first = changes.partition("\n## [")[2].partition("]")[0]
    answer = CliRunner().invoke(app_for(["--version"]), ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"farshore {first}\n")
