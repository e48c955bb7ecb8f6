"""What an administrator of a cluster may do to a replica by hand, without telling farshore."""

import time
import urllib.error
from contextlib import suppress
from typing import Any

from simulators import Simulator

POLICY = "farshore"
VOLUME = "registry"
PATIENCE_SECONDS = 300.0


class Operator:
    """Acts on one simulated cluster; each act returns when the cluster has carried it out."""

    def __init__(self, cluster: Simulator) -> None:
        self._cluster = cluster

    def relationship(self) -> dict[str, Any]:
        """The replica's relationship as it stands."""
        path = f"/api/snapmirror/relationships?destination.path={self._cluster.svm}:{VOLUME}&fields=*"
        return dict(self._ask("GET", path)["records"][0])

    def is_transferring(self) -> bool:
        """Whether a transfer of the relationship is under way."""
        return self.relationship().get("transfer", {}).get("state") in ("queued", "transferring")

    def transfers(self) -> int:
        """How many transfers of the relationship the cluster knows of, ended or not."""
        path = f"/api/snapmirror/relationships/{self.relationship()['uuid']}/transfers"
        return len(self._ask("GET", path)["records"])

    def set_state(self, state: str) -> None:
        """Pause (`paused`), break off (`broken_off`), resume or resync (`snapmirrored`), and see it so."""
        path = f"/api/snapmirror/relationships/{self.relationship()['uuid']}?return_timeout=100"
        self._ask("PATCH", path, {"state": state})
        self._wait(lambda: self.relationship()["state"] == state, state)

    def delete(self) -> None:
        """Delete the relationship; the destination volume stays as it is."""
        self._ask("DELETE", f"/api/snapmirror/relationships/{self.relationship()['uuid']}?return_timeout=100")

    def make_again(self, source: Simulator) -> None:
        """Make the relationship anew after `delete`, and resync it."""
        body = {
            "source": {"path": f"{source.svm}:{VOLUME}", "cluster": {"name": source.cluster_name}},
            "destination": {"path": f"{self._cluster.svm}:{VOLUME}"},
            "policy": {"name": POLICY},
        }
        self._ask("POST", "/api/snapmirror/relationships?return_timeout=100", body)
        self.set_state("snapmirrored")

    def update(self) -> None:
        """Start a plain update, which takes a snapshot of its own at the source, and see its end."""
        uuid = self.relationship()["uuid"]
        self._ask("POST", f"/api/snapmirror/relationships/{uuid}/transfers", {})
        self._wait(lambda: not self.is_transferring(), "the end of the update")

    def set_volume(self, state: str) -> None:
        """Take the volume offline or online."""
        self._ask("PATCH", f"/api/storage/volumes/{self._volume()}?return_timeout=100", {"state": state})

    def snapshots(self) -> dict[str, str]:
        """Names of the volume's snapshots that farshore took, with their uuids."""
        path = f"/api/storage/volumes/{self._volume()}/snapshots?name=farshore-*"
        return {one["name"]: one["uuid"] for one in self._ask("GET", path)["records"]}

    def delete_snapshot(self, uuid: str) -> None:
        """Delete a snapshot of the volume, unless a relationship needs it."""
        path = f"/api/storage/volumes/{self._volume()}/snapshots/{uuid}?return_timeout=100"
        with suppress(urllib.error.HTTPError):  # in use, or gone
            self._cluster.request("DELETE", path)

    def _volume(self) -> str:
        found = self._ask("GET", f"/api/storage/volumes?name={VOLUME}")["records"]
        return str(found[0]["uuid"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask again while a transfer is in the way or the cluster is away, as a person would."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._cluster.request(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code not in (409, 503) or time.monotonic() > ends:
                    error.add_note(error.read().decode(errors="replace"))
                    raise
                time.sleep(0.05)

    @staticmethod
    def _wait(condition: Any, what: str) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < ends, f"waited in vain for {what}"
            time.sleep(0.02)
