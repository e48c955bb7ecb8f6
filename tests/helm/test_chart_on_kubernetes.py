"""The chart against a real Kubernetes API server: installed, upgraded, rolled back, taken away."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from charts import (
    CHART,
    NAMESPACE,
    RELEASE,
    TOPOLOGY,
    VALUES,
    helm,
    operators_kind,
    pod_templates,
    rendered,
    with_values,
)
from kubernetes_api import KubernetesApi
from waiting import wait_until

pytestmark = pytest.mark.integration

NAMES = sorted(path.stem for path in VALUES.glob("*.yaml") if path.stem != "topology")
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
BEFORE = sorted((Path(__file__).parent / "charts").glob("*.tgz"))
"""The chart as it was: each can be upgraded to today's. `helm package` adds one here at each release."""
CHECKSUM = "farshore/topology-sha256"
OPERATORS = {
    "monitoring.coreos.com/v1": {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"},
    "keda.sh/v1alpha1": {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"},
}


@pytest.fixture(scope="module", autouse=True)
def restricted_namespace(api: KubernetesApi) -> None:
    api.create(
        "/api/v1/namespaces",
        {"metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )


def run(api: KubernetesApi, *arguments: str) -> str:
    answer = helm(*arguments, "--namespace", NAMESPACE, environ={"KUBECONFIG": str(api.kubeconfig)})
    assert answer.returncode == 0, answer.stderr
    assert "would violate PodSecurity" not in answer.stderr
    return answer.stdout


def checksums(api: KubernetesApi) -> dict[str, str]:
    _, answer = api.ask("GET", DEPLOYMENTS)
    return {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["annotations"][CHECKSUM] for one in answer["items"]
    }


def images(api: KubernetesApi) -> set[str]:
    """The tags that the deployments run."""
    _, answer = api.ask("GET", DEPLOYMENTS)
    pods = [one["spec"]["template"]["spec"] for one in answer["items"]]
    return {container["image"].rpartition(":")[2] for pod in pods for container in pod["containers"]}


@pytest.mark.parametrize("before", BEFORE, ids=lambda chart: chart.stem)
def test_install_upgrade_roll_back_and_uninstall(api: KubernetesApi, before: Path, tmp_path: Path) -> None:
    told = run(api, "install", RELEASE, str(before), *with_values("hub"))
    assert f"helm test {RELEASE} --namespace {NAMESPACE} --logs" in told
    installed = checksums(api)
    assert set(installed) == {"farshore-receiver", "farshore-coalescer", "farshore-verifier"}
    topology = f"/api/v1/namespaces/{NAMESPACE}/configmaps/farshore-topology"
    assert api.ask("GET", topology)[1]["data"]["topology.yaml"].rstrip() == TOPOLOGY.read_text().rstrip()

    other = tmp_path / "topology.yaml"
    other.write_text(TOPOLOGY.read_text() + "    batching: {min_interval: 10s}\n")
    run(api, "upgrade", RELEASE, str(CHART), *with_values("hub", topology=other))
    upgraded = checksums(api)
    assert all(upgraded[name] != installed[name] for name in installed)
    assert images(api) == {"0.1.0"}

    wrong = helm(
        *("upgrade", RELEASE, str(CHART), *with_values("hub", "coalescer.replicas=5"), "--namespace", NAMESPACE),
        environ={"KUBECONFIG": str(api.kubeconfig)},
    )
    assert "farshore.events has 4 partitions" in wrong.stderr
    assert checksums(api) == upgraded

    run(api, "rollback", RELEASE, "1")
    assert checksums(api) == installed
    assert images(api) == {version_of(before)}
    states = json.loads(run(api, "history", RELEASE, "--output", "json"))
    assert [one["status"] for one in states] == ["superseded", "superseded", "deployed"]

    run(api, "uninstall", RELEASE)
    assert left_over(api) == set()


@pytest.mark.parametrize("before", BEFORE, ids=lambda chart: chart.stem)
def test_a_site_is_upgraded_with_the_values_that_it_has(api: KubernetesApi, before: Path) -> None:
    """What the new chart has more of comes with its default; helm's older --reuse-values leaves that out."""
    run(api, "install", RELEASE, str(before), *with_values("site", "serviceMonitor.enabled=false"))
    assert images(api) == {version_of(before)}
    reused = ("upgrade", RELEASE, str(CHART), "--reuse-values", "--namespace", NAMESPACE)
    assert "missing propert" in helm(*reused, environ={"KUBECONFIG": str(api.kubeconfig)}).stderr
    run(api, "upgrade", RELEASE, str(CHART), "--reset-then-reuse-values")
    assert images(api) == {"0.1.0"}
    assert api.names(DEPLOYMENTS) == {"farshore-edge", "farshore-verifier"}
    run(api, "uninstall", RELEASE)
    assert left_over(api) == set()


def version_of(chart: Path) -> str:
    return chart.stem.removeprefix("farshore-")


@pytest.mark.parametrize(
    ("name", "sets", "steps"),
    [
        ("hub", (), 3),
        ("hub", ("receiver.enabled=false",), 2),
        ("hub", ("coalescer.enabled=false",), 2),
        ("site", (), 3),
        ("site", ("edge.enabled=false",), 2),
        ("site", ("verifier.enabled=false",), 2),
    ],
)
def test_the_notes_name_the_services_that_there_are(
    api: KubernetesApi, name: str, sets: tuple[str, ...], steps: int
) -> None:
    options = with_values(name, *sets, "serviceMonitor.enabled=false")
    _, _, notes = run(api, "install", RELEASE, str(CHART), *options, "--dry-run=client").rpartition("NOTES:")
    services = {one["metadata"]["name"] for one in rendered(*options) if one["kind"] == "Service"}
    named = set(re.findall(r"service[/ ]([a-z-]+)|http://([a-z-]+)\.", notes))
    assert {service or host for service, host in named} <= services
    assert re.findall(r"^([0-9])\. ", notes, re.MULTILINE) == [str(number + 1) for number in range(steps)]


async def test_helm_test_ends_as_its_pod_does_and_shows_the_log(api: KubernetesApi) -> None:
    """Nothing runs pods here. What this one runs, tests/end_to_end/test_up.py does."""
    run(api, "install", "tested", str(CHART), *with_values("hub"))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/tested-check"
    uid = ""
    for phase, code in (("Succeeded", 0), ("Failed", 1), ("Succeeded", 0)):
        command = ("test", "tested", "--logs", "--namespace", NAMESPACE)
        testing = asyncio.create_task(asyncio.to_thread(helm, *command, environ={"KUBECONFIG": str(api.kubeconfig)}))
        uid = await end_pod(api, path, uid, phase)
        done = await testing
        assert done.returncode == code, done.stderr
        assert "POD LOGS: tested-check" in done.stdout
    run(api, "uninstall", "tested")
    assert api.ask("DELETE", path)[0] == 200


async def end_pod(api: KubernetesApi, path: str, before: str, phase: str) -> str:
    """In a kubelet's place, say that the pod has ended so; it is another one than that with the uid `before`."""

    def found() -> dict[str, Any]:
        status, answer = api.ask("GET", path)
        return answer if status == 200 and answer["metadata"]["uid"] != before else {}

    pod = await wait_until(found, 60, f"{path}")
    status, answer = api.ask("PUT", f"{path}/status", {**pod, "status": {"phase": phase}})
    assert status == 200, answer
    return str(pod["metadata"]["uid"])


def left_over(api: KubernetesApi) -> set[str]:
    paths = [
        *(
            f"/api/v1/namespaces/{NAMESPACE}/{kind}"
            for kind in ("configmaps", "services", "serviceaccounts", "secrets")
        ),
        DEPLOYMENTS,
        f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs",
        f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets",
        f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies",
    ]
    return {name for path in paths for name in api.names(path) if "farshore" in name}


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_passes_the_restricted_standard(api: KubernetesApi, name: str) -> None:
    """Admission judges pods, and nothing here makes them of Deployments: so they are asked for one by one."""
    for pod, made in pod_templates(rendered(*with_values(name))):
        status, answer = ask_for_pod(api, made["spec"])
        assert status == 201, f"{pod}: {answer.get('message')}"


def test_secrets_and_certificates_may_have_any_name_that_the_server_takes(api: KubernetesApi) -> None:
    """Every namespace has a ConfigMap kube-root-ca.crt; a volume's name may have no dot, and 63 characters."""
    others = (
        'certificates=["private-ca","kube-root-ca.crt"]',
        f'receiver.secrets=["notification-tokens","{"long-" * 40}name"]',
    )
    for pod, made in pod_templates(rendered(*with_values("hub", *others))):
        status, answer = ask_for_pod(api, made["spec"])
        assert status == 201, f"{pod}: {answer.get('message')}"


def ask_for_pod(api: KubernetesApi, spec: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    spec = {key: value for key, value in spec.items() if key != "priorityClassName"}  # the cluster has no such class
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "try-"}, "spec": spec}
    options = "dryRun=All&fieldValidation=Strict"
    return api.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/pods?{options}", body)


def test_the_namespace_refuses_pods_that_are_not_restricted(api: KubernetesApi) -> None:
    status, answer = ask_for_pod(api, {"containers": [{"name": "any", "image": "any"}]})
    assert status == 403
    assert "violates PodSecurity" in answer["message"]


@pytest.mark.parametrize("name", NAMES)
def test_the_server_knows_every_field(api: KubernetesApi, name: str) -> None:
    """The API server drops fields that it doesn't know unless it is asked to be strict, as it is here."""
    for one in rendered(*with_values(name)):
        if one["apiVersion"] not in OPERATORS and one["kind"] != "Pod":
            is_taken(api, one)


def is_taken(api: KubernetesApi, one: dict[str, Any]) -> None:
    """Whether the server would take the object as it is: fields, types and values."""
    kind = one["kind"]
    group = "/api/v1" if one["apiVersion"] == "v1" else f"/apis/{one['apiVersion']}"
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"
    path = f"{group}/namespaces/{NAMESPACE}/{plural}?dryRun=All&fieldValidation=Strict"
    status, answer = api.ask("POST", path, one)
    assert status == 201, f"{kind} {one['metadata']['name']}: {answer.get('message')}"


async def test_what_needs_operators_is_installed_where_they_are(api: KubernetesApi) -> None:
    """Without Prometheus' and KEDA's operators helm says what is missing; with their kinds it installs, and all of what
    it makes for them is as they want it."""
    hub = ("install", "all", str(CHART), *with_values("hub-everything"), "--namespace", NAMESPACE)
    environ = {"KUBECONFIG": str(api.kubeconfig)}
    assert "ensure CRDs are installed first" in helm(*hub, environ=environ).stderr
    for version, kinds in OPERATORS.items():
        for kind, plural in kinds.items():
            await define(api, version, kind, plural)
    for name in NAMES:
        for one in rendered(*with_values(name)):
            if one["apiVersion"] in OPERATORS:
                is_taken(api, one)
    run(api, "install", "all", str(CHART), *with_values("hub-everything"))
    assert api.names(f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects") == {
        "all-coalescer",
        "all-verifier",
    }
    run(api, "uninstall", "all")


async def define(api: KubernetesApi, version: str, kind: str, plural: str) -> None:
    group, _, name = version.partition("/")
    api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", operators_kind(f"{group}_{plural}"))
    await wait_until(lambda: api.serves(group, name, plural), 60, f"the kind {kind}")
