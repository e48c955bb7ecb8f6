"""Releases of the chart whose services are the processes of a local stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from charts import Objects, rendered, with_values
from check_pod import Contents, run_check_pod
from local_stack import LocalStack

from farshore_cli.stack.layout import Layout

_SECRETS = "file:/etc/farshore/secrets"


@dataclass(frozen=True)
class StackRelease:
    """What the chart made; `services` are the addresses of its services here, by what they are called there."""

    objects: Objects
    contents: Contents
    services: Mapping[str, str]

    def tested(self, folder: Path, elsewhere: Mapping[str, str] | None = None) -> tuple[int, str]:
        """What `helm test` ends with, and the log that it prints; `elsewhere` has other addresses of services."""
        return run_check_pod(self.objects, folder, self.contents, {**self.services, **(elsewhere or {})})


def hub_release(stack: LocalStack, folder: Path) -> StackRelease:
    """A hub with all services; its topology is the stack's, with secrets as a pod has them."""
    endpoints, layout = stack.endpoints, Layout(stack.state_dir)
    text = Path(endpoints["topology"]).read_text()
    text = text.replace(f"file:{layout.token_file}", f"{_SECRETS}/notification-tokens/main")
    for site in endpoints["sites"]:
        text = text.replace(f"file:{layout.password_file(site)}", f"{_SECRETS}/ontap/{site}")
    topology = folder / "topology.yaml"
    topology.write_text(text)
    kafka = f"kafka.bootstrapServers={endpoints['kafka']['bootstrap_servers']}"
    return StackRelease(
        rendered(*with_values("hub", kafka, "reconcile.watch=true", "certificates=[]", topology=topology)),
        {
            "notification-tokens": {"main": layout.token_file.read_text()},
            "ontap": {site: entry["ontap"]["password"] for site, entry in endpoints["sites"].items()},
        },
        {
            "farshore-receiver-management:8081": _address(endpoints["receiver"]["management"]),
            "farshore-coalescer:8080": _address(endpoints["coalescer"]["url"]),
            "farshore-verifier:8080": _address(endpoints["verifier"]["url"]),
            "farshore-reconciler:8080": _address(endpoints["reconciler"]["url"]),
        },
    )


def site_release(stack: LocalStack, agent_url: str) -> StackRelease:
    """A site with the stack's verifier and an edge's agent of its own, by the topology that tests record."""
    return StackRelease(
        rendered(*with_values("site")),
        {"private-ca": {"ca.crt": "not read"}},
        {
            "farshore-edge-agent:8081": _address(agent_url),
            "farshore-verifier:8080": _address(stack.endpoints["verifier"]["url"]),
        },
    )


def _address(url: str) -> str:
    return url.removeprefix("http://")
