"""A Kubernetes node whose pods run: kubelet, containerd and what a cluster has beside them, around a real API server.

It lives in namespaces that tests/cluster/in-namespaces makes, and changes them as it likes: a bridge, rules, mounts.
NetworkPolicies are kept and not enforced: the bridge is all of the network.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import program
from kubernetes_api import KubernetesApi, kubernetes_api
from waiting import wait_until

from farshore_cli.tools.child import end, spawn, tail

HOST = "10.77.0.1"
"""The node's address, where pods find what runs beside the cluster; in-namespaces names it as the name server."""
SANDBOX = "localhost/farshore-sandbox:test"
"""The image that holds a pod's namespaces."""

_NAME = "node"
_BRIDGE = "pods"
_PODS = "10.77.0.0/24"
_DOMAIN = "cluster.local"
_SOCKET = "/run/containerd/containerd.sock"
_SYSTEM_PATH = ("/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin")
_NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "host-local": "containernetworking-plugins",
}
"""Debian's package of each program."""


@dataclass(frozen=True)
class KubernetesNode:
    """A cluster of one node."""

    api: KubernetesApi
    folder: Path
    logs: Path

    def import_images(self, archive: Path) -> None:
        """Make the images of an archive in Docker's format known to containerd."""
        _run("ctr", f"--address={_SOCKET}", "--namespace=k8s.io", "images", "import", str(archive))

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        """All pods of a namespace."""
        status, answer = self.api.ask("GET", f"/api/v1/namespaces/{namespace}/pods")
        assert status == 200, answer
        return list(answer["items"])


def need_programs() -> None:
    """Skip the test where one that Debian has isn't here."""
    packages = sorted({package for name, package in _NEEDED.items() if shutil.which(name, path=_path()) is None})
    if packages:
        pytest.skip(f"not here: apt-get install --no-install-recommends {' '.join(packages)}")


@asynccontextmanager
async def kubernetes_node(folder: Path, logs: Path) -> AsyncIterator[KubernetesNode]:
    """Start one, and return when it is ready for pods. `logs` stays behind."""
    programs = {
        name: program(name)
        for name in ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
    }
    _make_network()
    cgroup = _make_cgroup(folder.name)
    async with kubernetes_api(folder, "--kubelet-preferred-address-types=InternalIP", logs=logs) as api:
        with ExitStack() as started:

            def start(*command: str) -> None:
                log = logs / f"{Path(command[0]).name}.log"
                process = spawn(command, log_file=log, environ={**os.environ, "PATH": _path()})
                started.callback(end, process, within_seconds=20)

            start("containerd", "--config", str(_containerd_settings(folder)))
            await wait_until(Path(_SOCKET).exists, 30, "containerd")
            cluster = f"--kubeconfig={api.kubeconfig}"
            start(
                *(
                    str(programs["kube-controller-manager"]),
                    cluster,
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                ),
                *(f"--cert-dir={folder / 'controllers'}", f"--root-ca-file={api.certificate}"),
                f"--service-account-private-key-file={api.service_account_key}",
            )
            start(str(programs["kube-scheduler"]), cluster, "--leader-elect=false", "--bind-address=127.0.0.1")
            start(
                *(str(programs["kube-proxy"]), cluster, "--proxy-mode=nftables", f"--cluster-cidr={_PODS}"),
                *(f"--hostname-override={_NAME}", "--conntrack-max-per-core=0"),
                *("--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"),
            )
            start(str(programs["coredns"]), "-conf", str(_names_settings(folder, api)))
            start(
                *(str(programs["kubelet"]), cluster, f"--config={_kubelet_settings(folder, logs, cgroup)}"),
                *(f"--hostname-override={_NAME}", f"--node-ip={HOST}", f"--root-dir={folder / 'kubelet'}"),
                f"--cert-dir={folder / 'kubelet-certificates'}",
            )
            try:
                await wait_until(lambda: _is_ready(api), 120, "the node")
            except AssertionError as error:
                raise AssertionError(tail(logs / "kubelet.log")) from error
            yield KubernetesNode(api, folder, logs)


def _is_ready(api: KubernetesApi) -> bool:
    status, node = api.ask("GET", f"/api/v1/nodes/{_NAME}")
    return status == 200 and {"type": "Ready", "status": "True"} in [
        {"type": one["type"], "status": one["status"]} for one in node["status"].get("conditions", [])
    ]


def _make_network() -> None:
    # through the rules also what goes from pod to pod by a Service, or its answers come from an address nobody asked
    _run("ip", "link", "add", _BRIDGE, "type", "bridge", "nf_call_iptables", "1")
    _run("ip", "address", "add", f"{HOST}/24", "dev", _BRIDGE)
    _run("ip", "link", "set", _BRIDGE, "up")
    # leads nowhere: the API server takes its own address from the device of the default route
    _run("ip", "route", "add", "default", "via", "10.77.0.254", "dev", _BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _make_cgroup(name: str) -> str:
    """Below it are the pods'; in-namespaces removes it. In cgroups' version 1 there is one for each controller."""
    root = Path("/sys/fs/cgroup")
    for parent in [root] if (root / "cgroup.controllers").exists() else sorted(root.iterdir()):
        (parent / name).mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (parent / file).exists():
                (parent / name / file).write_text((parent / file).read_text())
    return f"/{name}"


def _containerd_settings(folder: Path) -> Path:
    network = {
        "cniVersion": "1.0.0",
        "name": _BRIDGE,
        "plugins": [
            {
                "type": "bridge",
                "bridge": _BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": _PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
            }
        ],
    }
    (folder / "cni").mkdir()
    (folder / "cni" / "pods.conflist").write_text(json.dumps(network))
    plugins = Path(shutil.which("host-local", path=_path()) or "").parent
    file = folder / "containerd.toml"
    file.write_text(f"""version = 2
root = "{folder / "containerd"}"
[grpc]
address = "{_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{SANDBOX}"
restrict_oom_score_adj = true # root isn't allowed to lower it everywhere
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder / "cni"}"
""")
    return file


def _names_settings(folder: Path, api: KubernetesApi) -> Path:
    file = folder / "Corefile"
    file.write_text(f""". {{
    bind {HOST}
    errors
    kubernetes {_DOMAIN} {{
        kubeconfig {api.kubeconfig}
    }}
}}
""")
    return file


def _kubelet_settings(folder: Path, logs: Path, cgroup: str) -> Path:
    settings: Mapping[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [HOST],
        "clusterDomain": _DOMAIN,
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "podLogsDir": str(logs / "pods"),
        "makeIPTablesUtilChains": False,
        # a disk that is filled by others is no reason to remove images or pods here
        "evictionHard": {"memory.available": "10Mi"},
        "imageGCHighThresholdPercent": 100,
    }
    file = folder / "kubelet.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_PATH])


def _run(*command: str) -> None:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "PATH": _path()}, check=False
    )
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr}"
