"""`nginx -t` on rendered configurations."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from farshore.topology import parse_topology
from farshore_cli.tools.find import Tools
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

pytestmark = pytest.mark.integration

SITES = """
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {url: "https://127.0.0.1", password: "env:NYC", svm: svm1}
    edge: {url: "http://edge.nyc", listen: ":65000"}
  fra:
    model: adjacent
    ontap: {url: "https://127.0.0.2", password: "env:FRA", svm: svm1}
    edge: {url: "http://edge.fra", listen: "[::1]:8080"}
"""
REGISTRIES = {
    "one registry": """
  main:
    primary: {site: nyc, volume: main, url: "http://127.0.0.1:5000"}
    replicas: [{site: fra, volume: main, url: "http://127.0.0.2:5000"}]
    notifications: {tokens: ["env:TOKEN"]}
""",
    "two registries with different primaries": """
  main:
    primary: {site: nyc, volume: main, url: "http://127.0.0.1:5000"}
    replicas: [{site: fra, volume: main, url: "http://127.0.0.2:5000"}]
    notifications: {tokens: ["env:TOKEN"]}
  ml-models:
    prefix: ml.team_x/
    primary: {site: fra, volume: ml, url: "https://127.0.0.2:5443"}
    replicas: [{site: nyc, volume: ml, url: "https://127.0.0.1"}]
    notifications: {tokens: ["env:TOKEN"]}
""",
    "names that mean something to nginx": """
  default:
    primary: {site: nyc, volume: main, url: "http://127.0.0.1:5000"}
    replicas: [{site: fra, volume: main, url: "http://127.0.0.2:5000"}]
    notifications: {tokens: ["env:TOKEN"]}
  include:
    prefix: include/
    primary: {site: fra, volume: ml, url: "https://127.0.0.2:5443"}
    replicas: [{site: nyc, volume: ml, url: "https://127.0.0.1"}]
    notifications: {tokens: ["env:TOKEN"]}
""",
    "no registry for every name, one without a replica": """
  a:
    prefix: a/
    primary: {site: nyc, volume: a, url: "http://127.0.0.1:5000"}
    notifications: {tokens: ["env:TOKEN"]}
  ab:
    prefix: a/b/
    primary: {site: fra, volume: ab, url: "http://[::1]:5000"}
    notifications: {tokens: ["env:TOKEN"]}
""",
}


@pytest.mark.parametrize("single_process", [True, False])
@pytest.mark.parametrize("site", ["nyc", "fra"])
@pytest.mark.parametrize("registries", REGISTRIES)
def test_nginx_accepts_it(tools: Tools, tmp_path: Path, site: str, registries: str, single_process: bool) -> None:
    topology = parse_topology(f"{SITES}registries:{REGISTRIES[registries]}", "test")
    runtime = Runtime.below(tmp_path, access_log=tmp_path / "a.log", error_log=tmp_path / "e.log")
    runtime = replace(runtime, single_process=single_process)
    config = tmp_path / "edge.conf"
    config.write_text(render(topology, site, runtime))
    done = subprocess.run([tools.nginx, "-t", "-e", "stderr", "-c", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
