"""A real Kubernetes API server over a real etcd: it checks and keeps objects, and nothing runs pods."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import program
from waiting import wait_until

from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.ports import free_ports

TOKEN = "an-administrator"
START_SECONDS = 120.0
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What kubectl and helm ask for. Source: Kubernetes API concepts, aggregated discovery."""

_USERS = f'{TOKEN},admin,1,"system:masters"\n'


@dataclass(frozen=True)
class KubernetesApi:
    """One API server, asked as its administrator."""

    url: str
    certificate: Path
    kubeconfig: Path
    service_account_key: Path

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, accept: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """The status, and the object or Status that the server answers with."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Accept": accept},
        )
        trust = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(request, context=trust, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _object_in(error.read())

    def create(self, path: str, body: dict[str, Any]) -> None:
        """Create an object; fails with the server's words where it refuses."""
        status, answer = self.ask("POST", path, body)
        assert status == 201, answer.get("message")

    def serves(self, group: str, version: str, plural: str) -> bool:
        """Whether clients find this kind in what the server lists of itself, which comes after the kind is served."""
        _, answer = self.ask("GET", "/apis", accept=_DISCOVERY)
        versions = {
            (one["metadata"]["name"], found["version"]): {resource["resource"] for resource in found["resources"]}
            for one in answer["items"]
            for found in one["versions"]
        }
        return plural in versions.get((group, version), ())

    def names(self, path: str) -> set[str]:
        """The names of the objects of a list."""
        status, answer = self.ask("GET", path)
        assert status == 200, answer.get("message")
        return {one["metadata"]["name"] for one in answer["items"]}


def _object_in(body: bytes) -> dict[str, Any]:
    """A Status. Of a path that it doesn't know, as of a kind that is just being defined, the server speaks in text."""
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace")}
    return found


@asynccontextmanager
async def kubernetes_api(folder: Path, *options: str, logs: Path | None = None) -> AsyncIterator[KubernetesApi]:
    """Start etcd and the API server, with further `options`; skips the test where one of them isn't on this machine."""
    logs = logs or folder
    etcd, server = program("etcd"), program("kube-apiserver")
    key, users = _service_account_key(folder), folder / "users.csv"
    users.write_text(_USERS)
    client, peer, port = free_ports(3)
    store = spawn(
        [
            *(str(etcd), "--name=test", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync"),
            *(f"--{kind}-client-urls=http://127.0.0.1:{client}" for kind in ("listen", "advertise")),
            *(f"--{kind}-urls=http://127.0.0.1:{peer}" for kind in ("listen-peer", "initial-advertise-peer")),
            f"--initial-cluster=test=http://127.0.0.1:{peer}",
        ],
        log_file=logs / "etcd.log",
    )
    api = spawn(
        [
            *(str(server), f"--etcd-servers=http://127.0.0.1:{client}", f"--cert-dir={folder / 'certificates'}"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *("--service-account-issuer=https://127.0.0.1", f"--token-auth-file={users}", "--authorization-mode=RBAC"),
            *(f"--secure-port={port}", "--bind-address=127.0.0.1", "--service-cluster-ip-range=10.0.0.0/24"),
            *options,
        ],
        log_file=logs / "kube-apiserver.log",
    )
    certificate = folder / "certificates" / "apiserver.crt"
    found = KubernetesApi(f"https://127.0.0.1:{port}", certificate, folder / "kubeconfig", key)
    found.kubeconfig.write_text(_kubeconfig(found))

    def ready() -> bool:
        if not certificate.exists():
            return False
        try:
            return found.ask("GET", "/api/v1/namespaces/default")[0] == 200
        except (OSError, ValueError):
            return False

    try:
        try:
            await wait_until(ready, START_SECONDS, "the API server")
        except AssertionError as error:
            raise AssertionError(tail(logs / "kube-apiserver.log")) from error
        yield found
    finally:
        end(api, within_seconds=20)
        end(store, within_seconds=20)


def _service_account_key(folder: Path) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here: the API server's key is made with it")
    key = folder / "service-account.key"
    subprocess.run([openssl, "genrsa", "-out", str(key), "2048"], check=True, capture_output=True, timeout=300)
    return key


def _kubeconfig(api: KubernetesApi) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [
                {"name": "test", "cluster": {"server": api.url, "certificate-authority": str(api.certificate)}}
            ],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
        }
    )
