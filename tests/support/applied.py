"""A topology of simulated clusters for plan, apply and destroy, and all that is on the clusters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from simulators import Simulator

from farshore.ontap import OntapError
from farshore_cli.applying.steps import Plan, Step

EVENTS = "http://127.0.0.1:9"


def topology_document(simulators: Mapping[str, Simulator], token: Path) -> dict[str, Any]:
    """`main` is written at nyc, replicated to fra and from there to syd; `europe` is written at fra, replicated to nyc.
    The cascade stands first: the order in the file is not the order of the work."""
    token.write_text("a-notification-token")

    def place(site: str, volume: str, **more: str) -> dict[str, str]:
        return {"site": site, "volume": volume, "url": "http://127.0.0.1:5000", **more}

    def registry(prefix: str, primary: dict[str, str], *replicas: dict[str, str]) -> dict[str, Any]:
        notifications = {"tokens": [f"file:{token}"]}
        return {"prefix": prefix, "primary": primary, "replicas": list(replicas), "notifications": notifications}

    return {
        "version": 1,
        "sites": {
            site: simulator.topology_entry(
                {"url": f"http://{site}.example", "listen": ":8080"}, timeout="10s", ems={"url": EVENTS}
            )
            for site, simulator in simulators.items()
        },
        "registries": {
            "main": registry("", place("nyc", "main"), place("syd", "main", via="fra"), place("fra", "main")),
            "europe": registry("eu/", place("fra", "europe"), place("nyc", "europe")),
        },
    }


def written(document: dict[str, Any], file: Path) -> str:
    """The topology as a file; its name."""
    file.write_text(yaml.safe_dump(document))
    return str(file)


_COLLECTIONS = {
    "/api/storage/volumes": "name,type,size,nas.path,efficiency.dedupe,efficiency.compression",
    "/api/snapmirror/policies": "name,network_compression_enabled,copy_all_source_snapshots",
    "/api/snapmirror/relationships": "source.path,destination.path,state,healthy,policy.name",
    "/api/support/ems/destinations": "name,destination,filters",
}


def everything(simulators: Mapping[str, Simulator]) -> dict[str, list[dict[str, Any]]]:
    """All volumes, policies, relationships, EMS destinations and transfers, without what differs from run to run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for site, simulator in simulators.items():
        for path, fields in _COLLECTIONS.items():
            answer = simulator.request("GET", f"{path}?fields={fields}")
            found[f"{site} {path}"] = sorted((_plain(one) for one in answer["records"]), key=str)
        relationships = simulator.request("GET", "/api/snapmirror/relationships?fields=uuid,destination.path")[
            "records"
        ]
        for one in relationships:
            transfers = simulator.request("GET", f"/api/snapmirror/relationships/{one['uuid']}/transfers?fields=state")
            states = [{"state": transfer["state"]} for transfer in transfers["records"]]
            found[f"{site} transfers to {one['destination']['path']}"] = states
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in ("uuid", "_links")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def emptied(simulators: Mapping[str, Simulator]) -> None:
    """Take away all that apply made, and every fault: the next test begins with empty SVMs."""
    for simulator in simulators.values():
        simulator.disarm()
    for site in ("syd", "fra", "nyc"):
        _delete_all(simulators[site], "/api/snapmirror/relationships")
    for simulator in simulators.values():
        _delete_all(simulator, "/api/storage/volumes")
        _delete_all(simulator, "/api/snapmirror/policies?name=farshore")
        for one in simulator.request("GET", "/api/support/ems/destinations")["records"]:
            simulator.request("DELETE", f"/api/support/ems/destinations/{one['name']}")


def _delete_all(simulator: Simulator, path: str) -> None:
    for one in simulator.request("GET", path)["records"]:
        simulator.request("DELETE", f"{path.partition('?')[0]}/{one['uuid']}?return_timeout=100")


class Killed(BaseException):
    """Stands for kill -9 in the middle of a run."""


class Watching:
    """Keeps what an execution shows, and kills it at the first line that ends with `dies_at`, if that is given: `…` is
    a call about to leave, `done` one that was answered. From then on the run's other calls end too."""

    def __init__(self, dies_at: str = "") -> None:
        self.lines: list[str] = []
        self.plans: list[Plan] = []
        self._dies_at = dies_at
        self.dead = False

    def sending(self, step: Step) -> None:
        self._tell(f"{step.words} …")

    def sent(self, step: Step, failure: OntapError | None) -> None:
        self._tell(f"{step.words}: {failure or 'done'}")

    def looked(self, plan: Plan) -> None:
        self.plans.append(plan)

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self.dead = self.dead or bool(self._dies_at and line.endswith(self._dies_at))
        if self.dead:
            raise Killed
