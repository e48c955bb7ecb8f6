"""`farshore status` while nobody answers: it says what it doesn't know. With all there: the test of three hops."""

import json
from pathlib import Path

import pytest
from farshore_command import farshore

from farshore_cli import exit_codes
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

CASCADE = Path(__file__).parents[3] / "docs" / "examples" / "cascade.yaml"


async def test_what_nobody_answers_is_unknown_and_never_said_to_be_well() -> None:
    dead = f"127.0.0.1:{free_port()}"
    arguments = ("status", "--topology", str(CASCADE), "--kafka", dead, "--coalescer", f"http://{dead}")
    done = await farshore(*arguments, "--output", "json")
    told = json.loads(done.out)
    assert done.code == exit_codes.UNKNOWN
    assert [(hop["site"], hop["hop"], hop["state"]) for hop in told["hops"]] == [
        ("fra", 1, "unknown"),
        ("ams", 2, "unknown"),
        ("waw", 3, "unknown"),
    ]
    assert {hop["transfers"] for hop in told["hops"]} == {None}
    assert len(told["unknown"]) == 2


async def test_a_topology_that_is_wrong_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text("version: 1\n")
    done = await farshore("status", "--topology", str(tmp_path / "topology.yaml"), "--kafka", "127.0.0.1:1")
    assert done.code == exit_codes.CONFIG
