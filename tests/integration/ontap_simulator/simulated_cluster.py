"""Simulated clusters as processes of their own, used through the real netapp-ontap client."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netapp_ontap import HostConnection, config
from netapp_ontap.resources import (
    SnapmirrorPolicy,
    SnapmirrorRelationship,
    SnapmirrorTransfer,
    Snapshot,
    Volume,
)

config.ENABLE_VALIDATIONS = False
PASSWORD = "sesame"
DEADLINE_SECONDS = 180.0


def wait_for(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Poll until `condition()` is true; returns what it gave."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return value


class SimulatedCluster:
    """One cluster's process; `kill()` and `start()` again as often as a test likes."""

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        self.name = name
        self.folder = folder
        self.arguments = arguments
        self.svm = f"svm_{name}"
        self.start()

    def start(self) -> None:
        """Start the process, and wait for its ready line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "farshore_ontap_simulator",
                    *("--name", self.name, "--state-dir", str(self.folder / "state"), "--svm", self.svm),
                    *self.arguments,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "FARSHORE_SIM_PASSWORD": PASSWORD},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "log").read_text()
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.connection = HostConnection(
            "127.0.0.1",
            username="admin",
            password=PASSWORD,
            scheme="http",
            port=int(self.url.rpartition(":")[2]),
            poll_timeout=180,
            poll_interval=1,
        )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        """A call under /sim/."""
        request = urllib.request.Request(
            f"{self.url}/sim/{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)

    def api(self, method: str, path: str, body: Any = None, password: str = PASSWORD) -> tuple[int, Any, Any]:
        """A plain call under /api: status, headers, body."""
        manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
        manager.add_password(None, self.url, "admin", password, is_authenticated=True)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        request = urllib.request.Request(
            f"{self.url}/api{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        try:
            with opener.open(request, timeout=120) as response:
                return response.status, response.headers, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.load(error)

    def peer_with(self, *others: "SimulatedCluster") -> None:
        """Tell this cluster where the others are."""
        for other in others:
            self.sim("PUT", f"peers/{other.name}", {"address": other.ready["intercluster"]})

    def create_volume(self, name: str, kind: str = "rw") -> Volume:
        """A volume, made."""
        volume = Volume()
        volume.set_connection(self.connection)
        volume.name, volume.svm, volume.type = name, {"name": self.svm}, kind
        volume.aggregates = [{"name": "aggr1"}]
        volume.post(hydrate=True, return_timeout=100)
        return volume

    def change_volume(self, volume: Volume, **properties: object) -> None:
        """PATCH a volume and wait for the job."""
        status, _, body = self.api("PATCH", f"/storage/volumes/{volume.uuid}?return_timeout=100", properties)
        assert status == 200, body

    def path(self, name: str) -> Path:
        """What clients of a volume see."""
        return Path(self.folder / "state" / "export" / self.svm / name)

    def clean(self) -> None:
        """Delete all relationships and volumes, so that the next test finds an empty cluster."""
        for path in ("/snapmirror/relationships", "/storage/volumes"):
            for record in self.api("GET", path)[2]["records"]:
                assert self.api("DELETE", f"{path}/{record['uuid']}?return_timeout=100")[0] == 200

    def figures(self, name: str) -> dict[str, Any]:
        """What /sim/stats says of a volume."""
        volumes = self.sim("GET", "stats")["volumes"]
        return next(volume for volume in volumes if volume["name"] == name)

    def snapshot(self, volume: Volume, name: str) -> Snapshot:
        """A snapshot, taken."""
        snapshot = Snapshot(volume.uuid)
        snapshot.set_connection(self.connection)
        snapshot.name = name
        snapshot.post(hydrate=True, return_timeout=100)
        return snapshot

    def snapshots(self, volume: Volume) -> dict[str, Snapshot]:
        """A volume's snapshots by name."""
        return {
            item.name: item for item in Snapshot.get_collection(volume.uuid, connection=self.connection, fields="*")
        }

    def policy(self, name: str, **properties: Any) -> SnapmirrorPolicy:
        """A policy, made."""
        policy = SnapmirrorPolicy(name=name, type="async", **properties)
        policy.set_connection(self.connection)
        policy.post(hydrate=True)
        return policy

    def mirror(
        self,
        source: "SimulatedCluster",
        source_volume: str,
        destination_volume: str,
        policy: str = "MirrorAllSnapshots",
    ) -> SnapmirrorRelationship:
        """A relationship to a volume here, made but not initialised."""
        relationship = SnapmirrorRelationship.from_dict(
            {
                "source": {"path": f"{source.svm}:{source_volume}", "cluster": {"name": source.name}},
                "destination": {"path": f"{self.svm}:{destination_volume}"},
                "policy": {"name": policy},
            }
        )
        relationship.set_connection(self.connection)
        relationship.post(hydrate=True, return_timeout=100)
        return relationship

    def start_transfer(self, relationship: SnapmirrorRelationship, snapshot: str | None = None) -> SnapmirrorTransfer:
        """A transfer, started."""
        transfer = SnapmirrorTransfer(relationship.uuid)
        transfer.set_connection(self.connection)
        if snapshot is not None:
            transfer.source_snapshot = snapshot
        transfer.post()
        return transfer

    def finish(self, transfer: SnapmirrorTransfer) -> SnapmirrorTransfer:
        """Wait for the end of a transfer, however it ends."""

        def ended() -> bool:
            transfer.get()
            return transfer.state not in ("queued", "transferring")

        wait_for(ended, "the end of the transfer")
        return transfer

    def update(self, relationship: SnapmirrorRelationship, snapshot: str | None = None) -> SnapmirrorTransfer:
        """A transfer, and that it went well."""
        transfer = self.finish(self.start_transfer(relationship, snapshot))
        assert transfer.state == "success", transfer
        relationship.get()
        return transfer


def tree(path: Path) -> dict[str, bytes | str | None]:
    """A tree's content by path: a file's bytes, a link's target, None for a directory."""
    root = path.resolve()
    found: dict[str, bytes | str | None] = {}
    for item in sorted(root.rglob("*")):
        name = str(item.relative_to(root))
        if item.is_symlink():
            found[name] = str(item.readlink())
        elif item.is_dir():
            found[name] = None
        else:
            found[name] = item.read_bytes()
    return found
