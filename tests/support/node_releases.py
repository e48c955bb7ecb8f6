"""Releases of the chart on a node: a hub, and the site fra with TLS at its edge."""

import base64
import copy
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from authorities import Authority
from charts import CHART, helm
from container_images import image_name
from kubernetes_node import KubernetesNode
from node_sites import CLUSTER_PASSWORD, SITES, TOKEN, NodeSites
from waiting import wait_until

_NAMESPACE = "registries"
_IMAGES, _, _TAG = image_name("receiver").replace("/farshore-receiver", "").rpartition(":")


@dataclass(frozen=True)
class NodeReleases:
    """The releases `hub` and `fra` in a namespace with the restricted pod security standard."""

    HUB: ClassVar = "hub"
    SITE: ClassVar = "fra"
    EDGE: ClassVar = f"fra-edge.{_NAMESPACE}.svc.cluster.local"
    RECEIVER: ClassVar = f"hub-receiver.{_NAMESPACE}.svc.cluster.local"

    node: KubernetesNode
    sites: NodeSites
    folder: Path
    authority: Authority

    def make_namespace(self) -> None:
        """The namespace, and the Secrets and the ConfigMap that a user makes."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.node.api.create("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE, "labels": labels}})
        edge = self.authority.issue("fra", self.EDGE)
        secrets = {
            "notification-tokens": {"main": TOKEN},
            "ontap": dict.fromkeys(SITES, CLUSTER_PASSWORD),
            "registry-fra": {"tls.crt": edge.certificate.read_text(), "tls.key": edge.key.read_text()},
        }
        for name, contents in secrets.items():
            data = {key: base64.b64encode(value.encode()).decode() for key, value in contents.items()}
            self.node.api.create(self._path("secrets"), {"metadata": {"name": name}, "data": data})
        authorities = {"ca.crt": self.authority.ca_file.read_text()}
        self.node.api.create(self._path("configmaps"), {"metadata": {"name": "private-ca"}, "data": authorities})

    @property
    def trust(self) -> ssl.SSLContext:
        """For clients of the edge."""
        return ssl.create_default_context(cafile=str(self.authority.ca_file))

    def install_hub(self) -> None:
        """Install it with a reconciler that runs all the time; fra has a verifier of its own."""
        self.helm("install", self.HUB, str(CHART), *self.hub_values(self.sites.topology))

    def install_site(self) -> None:
        """Install fra's edge and verifier."""
        values = {
            "role": "site",
            "site": "fra",
            "edge": {"tlsSecret": "registry-fra", "replicas": 1, "service": {"type": "ClusterIP"}},
            "verifier": {"replicas": 1},
        }
        self.helm("install", self.SITE, str(CHART), *self._options("fra", values, self.sites.topology))

    def hub_values(self, topology: Mapping[str, Any]) -> list[str]:
        """Options of helm's for the hub with this topology."""
        values = {
            "receiver": {"secrets": ["notification-tokens"]},
            "coalescer": {"secrets": ["ontap"]},
            "verifier": {"sites": ["syd"]},
            "reconcile": {"watch": True, "sites": ["all"]},
        }
        return self._options("hub", values, topology)

    def other_topology(self, **registry: Any) -> dict[str, Any]:
        """The topology with other settings of the registry."""
        other = copy.deepcopy(self.sites.topology)
        other["registries"]["main"] |= registry
        return other

    def helm(self, *arguments: str) -> str:
        """Run helm; fails with its words where it does."""
        code, said = self.try_helm(*arguments)
        assert code == 0, said
        return said

    def try_helm(self, *arguments: str) -> tuple[int, str]:
        """The exit code of helm, and all that it says."""
        done = helm(*arguments, f"--namespace={_NAMESPACE}", environ={"KUBECONFIG": str(self.node.api.kubeconfig)})
        return done.returncode, done.stdout + done.stderr

    def pods(self) -> list[dict[str, Any]]:
        """Those of the services: what `helm test` leaves is not among them."""
        return [
            pod
            for pod in self.node.pods(_NAMESPACE)
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] != "check"
        ]

    async def all_ready(self) -> None:
        """Wait until every Deployment has all the pods that it wants, ready and of its newest template."""
        await wait_until(lambda: self._unready() == [], 240, "every pod to be ready")

    def names(self, group: str, plural: str) -> set[str]:
        """The names of the namespace's objects of a kind; `group` is `api/v1` or `apis/apps/v1`."""
        return self.node.api.names(f"/{group}/namespaces/{_NAMESPACE}/{plural}")

    def _unready(self) -> list[str]:
        _, answer = self.node.api.ask("GET", f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments")
        return [one["metadata"]["name"] for one in answer["items"] if not _is_rolled_out(one)]

    def _options(self, name: str, values: Mapping[str, Any], topology: Mapping[str, Any]) -> list[str]:
        common = {
            "image": {"registry": _IMAGES, "tag": _TAG, "pullPolicy": "Never"},
            "kafka": {"bootstrapServers": self.sites.bus.bootstrap_servers, "replication": 1},
            "certificates": ["private-ca"],
        }
        file, text = self.folder / f"{name}.yaml", self.folder / f"{name}-topology.yaml"
        file.write_text(yaml.safe_dump({**common, **values}))
        text.write_text(yaml.safe_dump(topology, sort_keys=False))
        return [f"--values={file}", f"--set-file=topology.file={text}"]

    @staticmethod
    def _path(plural: str) -> str:
        return f"/api/v1/namespaces/{_NAMESPACE}/{plural}"


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and all(
        status.get(count) == wanted for count in ("replicas", "updatedReplicas", "readyReplicas")
    )
