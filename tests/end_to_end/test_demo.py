"""`farshore demo`, as a user runs it."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "farshore_cli", "demo", "--report", str(folder / "report.json")]
    done = subprocess.run([*command, "--state-dir", str(folder / "state")], capture_output=True, text=True, timeout=840)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return document


def test_every_image_is_ready_at_every_site_but_for_the_deleted_one(report: dict[str, Any]) -> None:
    assert report["pushes"] == len(report["images"]) >= 12
    states = {image["reference"]: {s["state"] for s in image["sites"].values()} for image in report["images"]}
    assert states.pop("legacy/tool:v1") == {"revoked"}
    assert set().union(*states.values()) <= {"ready", "superseded"}
    assert all(set(image["sites"]) == {"fra", "syd"} for image in report["images"])


def test_no_image_is_called_ready_before_it_was_pushed_and_had_arrived(report: dict[str, Any]) -> None:
    for image in report["images"]:
        for fate in image["sites"].values():
            if fate["state"] == "ready":
                assert fate["pushed_at"] < fate["arrived_at"] < fate["ready_at"]


def test_every_pull_without_the_primary_matched(report: dict[str, Any]) -> None:
    proof = report["proof"]
    assert proof["pulled"] == proof["matched"] == proof["expected"] >= 20


def test_a_site_gets_a_snapshot_once_at_the_most(report: dict[str, Any]) -> None:
    """How many pushes share one depends on how fast they come; that they do, other tests see behind a fence."""
    assert 0 < report["transfers"] <= 2 * report["snapshots"]


def test_less_crosses_the_wire_than_with_copies(report: dict[str, Any]) -> None:
    assert 0 < report["wire_bytes"] < report["skopeo_bytes"]
    assert report["wire_bytes"] <= report["logical_bytes"] * 1.05  # framing
    assert 0 < report["at_rest"]["physical_bytes"] < report["at_rest"]["logical_bytes"]
