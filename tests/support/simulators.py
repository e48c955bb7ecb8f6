"""Simulated ONTAP clusters as real processes, peered with one another.

    with start_simulators(tmp_path, ["nyc", "fra"]) as sites:
        async with OntapCluster("fra", sites["fra"].settings) as cluster: ...
        sites["fra"].arm(kind="refuse", method="POST", status=503)

A site `fra` is the cluster `cluster-fra` with the SVM `svm_fra`.
"""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farshore.topology import Cluster
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.ports import free_ports

USERNAME = "admin"
PASSWORD = "simulated-cluster"


def ask_cluster(url: str, username: str, password: str, method: str, path: str, body: Any = None) -> Any:
    """One request, decoded; raises urllib's errors."""
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
    request = urllib.request.Request(
        url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        content = reply.read()
    return json.loads(content) if content else None


class Simulator:
    """One cluster's process. `settings` is what a topology says of it."""

    def __init__(
        self, site: str, folder: Path, address: str, peers: Sequence[str], options: Sequence[str], *, timeout: str
    ) -> None:
        self.site = site
        self.cluster_name = f"cluster-{site}"
        self.svm = f"svm_{site}"
        self.state_dir = folder / site
        self.log_file = folder / f"{site}.log"
        self.url = f"http://{address}"
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        self.settings = Cluster.model_validate(
            {
                "url": self.url,
                "username": USERNAME,
                "password": f"file:{password_file}",
                "svm": self.svm,
                "timeout": timeout,
            }
        )
        self._command = [
            *(sys.executable, "-m", "farshore_ontap_simulator"),
            *("--name", self.cluster_name, "--svm", self.svm, "--state-dir", str(self.state_dir)),
            *("--listen", address),
            *("--username", USERNAME, "--password-file", str(password_file)),
            *peers,
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def topology_entry(self, edge: dict[str, str], **ontap: Any) -> dict[str, Any]:
        """The site as a topology file has it; `ontap` stands beside the cluster's address and login."""
        login = {"url": self.url, "username": USERNAME, "password": self.settings.password, "svm": self.svm}
        return {"model": "cloud", "ontap": login | ontap, "edge": edge}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it answers."""
        self._process = spawn(self._command, log_file=self.log_file)

    def wait_ready(self, within_seconds: float = 180) -> None:
        """Wait until it answers; fails with the end of its log."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                self.request("GET", "/api/cluster")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"simulator {self.site} doesn't answer:\n{tail(self.log_file)}")

    def stop(self) -> int:
        """End it in order; its exit code."""
        assert self._process is not None
        return end(self._process, within_seconds=60)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One request with the right password, decoded; raises urllib's errors."""
        return ask_cluster(self.url, USERNAME, PASSWORD, method, path, body)

    def arm(self, **fault: Any) -> None:
        """Arm a fault, for instance `kind="drop_reply", method="POST"`."""
        self.request("POST", "/sim/faults", fault)

    def armed(self) -> list[dict[str, Any]]:
        """The faults that have not struck as often as they are to."""
        return list(self.request("GET", "/sim/faults")["faults"])

    def disarm(self) -> None:
        """Clear all faults."""
        self.request("DELETE", "/sim/faults")

    def export(self, volume: str) -> Path:
        """What clients of `volume` see: a folder, for a read-write volume one to write into."""
        return self.state_dir / "export" / self.svm / volume


@contextmanager
def start_simulators(
    folder: Path, sites: Sequence[str], *, options: Sequence[str] = (), timeout: str = "10s", host: str = "127.0.0.1"
) -> Iterator[dict[str, Simulator]]:
    """A simulator for each of `sites`, all peered, ended at the end. `options` are further flags for each."""
    ports = free_ports(2 * len(sites))
    intercluster = {site: f"127.0.0.1:{port}" for site, port in zip(sites, ports[len(sites) :], strict=True)}
    simulators: dict[str, Simulator] = {}
    for site, port in zip(sites, ports, strict=False):
        peers = ["--intercluster", intercluster[site]]
        for other in sites:
            if other != site:
                peers += ["--peer", f"cluster-{other}={intercluster[other]}"]
        simulators[site] = Simulator(site, folder, f"{host}:{port}", peers, options, timeout=timeout)
    try:
        for simulator in simulators.values():
            simulator.start()
        for simulator in simulators.values():
            simulator.wait_ready()
        yield simulators
    finally:
        for simulator in simulators.values():
            simulator.kill()
