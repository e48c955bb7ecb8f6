"""`farshore-edge render` as a process."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

TOPOLOGY = """
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {url: "https://cluster", password: "env:NYC", svm: svm1}
    edge: {url: "http://edge.nyc", listen: ":8080"}
registries:
  main:
    primary: {site: nyc, volume: main, url: "http://127.0.0.1:5000"}
    notifications: {tokens: ["env:TOKEN"]}
"""


def render(folder: Path, *arguments: str, topology: str = TOPOLOGY) -> subprocess.CompletedProcess[str]:
    file = folder / "topology.yaml"
    file.write_text(topology)
    command = [sys.executable, "-m", "farshore_edge", "render", "--topology", str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_it_writes_the_file_and_nothing_else(tmp_path: Path) -> None:
    output = tmp_path / "out" / "edge.conf"
    output.parent.mkdir()
    assert render(tmp_path, "--site", "nyc", "--output", str(output)).returncode == 0
    assert "listen *:8080;" in output.read_text()
    assert list(output.parent.iterdir()) == [output]


def test_a_dash_prints(tmp_path: Path) -> None:
    assert "listen *:8080;" in render(tmp_path, "--site", "nyc", "--output", "-").stdout


def test_each_kind_of_mistake_has_its_exit_code(tmp_path: Path) -> None:
    output = str(tmp_path / "edge.conf")
    unknown = render(tmp_path, "--site", "lax", "--output", output)
    assert (unknown.returncode, "no such site" in unknown.stderr) == (78, True)
    wrong = render(tmp_path, "--site", "nyc", "--output", output, topology=TOPOLOGY.replace("model", "modle"))
    assert (wrong.returncode, "unknown key" in wrong.stderr) == (78, True)
    nowhere = render(tmp_path, "--site", "nyc", "--output", str(tmp_path / "none" / "edge.conf"))
    assert (nowhere.returncode, "No such file" in nowhere.stderr) == (73, True)
    assert render(tmp_path, "--output", output).returncode == 2
    assert not Path(output).exists()
