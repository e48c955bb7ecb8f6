"""What the chart makes of values: compared with what was recorded, and held against what services know."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import CHART, TOPOLOGY, VALUES, containers, helm, pod_templates, rendered, with_values
from documents import DOCS, section
from values_comments import SCHEMA, described, schema_with_descriptions

from farshore.topology import load_topology

NAMES = sorted(path.stem for path in VALUES.glob("*.yaml") if path.stem != "topology")
RECORDED = Path(__file__).parent / "recorded"
SETTINGS = section((DOCS / "operations.md").read_text(), "## Settings")


@pytest.mark.parametrize("name", NAMES)
def test_lint_has_nothing_to_say(name: str) -> None:
    answer = helm("lint", "--strict", "--kube-version", "1.34.0", str(CHART), *with_values(name))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_objects_are_those_that_were_recorded(name: str) -> None:
    """After a change that is meant: python tests/helm/record.py, and look at the difference."""
    objects = rendered(*with_values(name))
    recorded = list(yaml.safe_load_all((RECORDED / f"{name}.yaml").read_text()))
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(by_name) == len(objects)
    assert by_name == {(one["kind"], one["metadata"]["name"]): one for one in recorded}


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_one_that_a_service_knows(name: str) -> None:
    for container in containers(rendered(*with_values(name))):
        variables = [one["name"] for one in container.get("env", [])]
        assert len(variables) == len(set(variables))
        for variable in variables:
            assert f"`{variable}`" in SETTINGS, container["name"]


def test_the_settings_that_a_receiver_may_be_given_are_the_documented_ones() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    offered = set(schema["properties"]["receiver"]["properties"]["env"]["propertyNames"]["enum"])
    own = {"FARSHORE_RECEIVER_WORKERS", "FARSHORE_RECEIVER_MANAGEMENT_LISTEN"}
    assert offered | own == set(re.findall(r"^\| `(FARSHORE_RECEIVER_[A-Z_]+)`", SETTINGS, re.MULTILINE))


def test_every_default_is_one_that_the_schema_knows() -> None:
    def keys(schema: dict[str, Any], values: object, path: str) -> None:
        if not isinstance(values, dict) or "properties" not in schema:
            return
        unknown = set(values) - set(schema["properties"])
        missing = set(schema["properties"]) - set(values) - {"global"}
        assert not unknown, path
        assert not missing or path == ".image.digests", path
        for key, value in values.items():
            keys(schema["properties"][key], value, f"{path}.{key}")

    keys(
        json.loads((CHART / "values.schema.json").read_text()), yaml.safe_load((CHART / "values.yaml").read_text()), ""
    )


def test_the_schema_says_of_each_key_what_the_values_say() -> None:
    """After a change of values.yaml: python tests/helm/record.py."""
    schema = json.loads(SCHEMA.read_text())
    assert SCHEMA.read_text() == schema_with_descriptions()
    said = described(
        "# file\n\na: 1\nb:\n  # of\n  # c\n  c:\n    # of d\n    d: {}\n  # - no key\n\n  e: []\n# of f\nf: x\n"
    )
    assert said == {("b", "c"): "of c", ("b", "c", "d"): "of d", ("f",): "of f"}
    assert schema["properties"]["keda"]["description"].startswith("Autoscaling of coalescer and verifier")


def test_the_recorded_topology_is_one_that_services_take() -> None:
    assert set(load_topology(TOPOLOGY).sites) == {"nyc", "fra", "syd"}


@pytest.mark.parametrize("name", NAMES)
def test_no_pod_has_a_token_or_a_writable_root(name: str) -> None:
    objects = rendered(*with_values(name))
    for pod, made in pod_templates(objects):
        assert made["spec"]["automountServiceAccountToken"] is False, pod
        assert made["spec"]["securityContext"]["runAsNonRoot"] is True, pod
    for container in containers(objects):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]


def test_a_secret_is_mounted_only_where_it_is_read() -> None:
    found = {
        name: {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        for name, pod in pod_templates(rendered(*with_values("hub-everything")))
    }
    kafka = {"kafka-ca", "kafka-client", "kafka-user"}
    assert found == {
        "Deployment farshore-receiver": kafka | {"notification-tokens"},
        "Deployment farshore-coalescer": kafka | {"ontap"},
        "Deployment farshore-verifier": kafka,
        "CronJob farshore-reconcile": kafka,
        "Pod farshore-check": kafka | {"notification-tokens", "ontap"},
    }


def test_a_hub_that_logs_in_by_oauth_mounts_the_clients_secret_and_the_token_endpoints_ca() -> None:
    for name, pod in pod_templates(rendered(*with_values("hub-oauth"))):
        mounted = {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        assert {"kafka-ca", "kafka-client", "login-ca"} <= mounted, name
    triggers = {
        (parameter["parameter"], parameter["name"])
        for one in rendered(*with_values("hub-oauth"))
        if one["kind"] == "TriggerAuthentication"
        for parameter in one["spec"]["env"] + one["spec"]["secretTargetRef"]
    }
    assert triggers == {
        ("username", "FARSHORE_KAFKA_TOKEN_CLIENT_ID"),
        ("oauthTokenEndpointUri", "FARSHORE_KAFKA_TOKEN_URL"),
        ("scopes", "FARSHORE_KAFKA_TOKEN_SCOPE"),
        ("password", "kafka-client"),
        ("ca", "kafka-ca"),
    }


def test_the_reconciler_stands_in_place_of_the_job() -> None:
    def reconciling(*sets: str) -> list[str]:
        objects = rendered(*with_values("hub-oauth", *sets))
        return [one["kind"] for one in objects if "reconcile" in one["metadata"]["name"]]

    assert sorted(reconciling()) == ["Deployment", "NetworkPolicy", "Service"]
    assert sorted(reconciling("reconcile.watch=false")) == ["CronJob", "NetworkPolicy"]
    assert reconciling("reconcile.enabled=false") == []


def annotations(name: str, topology: Path) -> dict[str, dict[str, str]]:
    made = pod_templates(rendered(*with_values(name, topology=topology)))
    return {pod: template["metadata"].get("annotations", {}) for pod, template in made if not pod.startswith("Pod")}


def test_another_topology_restarts_what_reads_it_and_leaves_the_edge_alone(tmp_path: Path) -> None:
    other = tmp_path / "topology.yaml"
    other.write_text(TOPOLOGY.read_text() + "    batching: {min_interval: 10s}\n")
    for name in ("hub", "site"):
        before, after = annotations(name, TOPOLOGY), annotations(name, other)
        for pod in before:
            assert (before[pod] == after[pod]) == (pod == "Deployment farshore-edge"), pod


def test_a_roll_out_never_has_more_consumers_than_replicas() -> None:
    """A fifth coalescer owns no partition and never gets ready: a roll-out that waits for it doesn't end."""
    for one in rendered(*with_values("hub", "coalescer.replicas=4")):
        if one["kind"] == "Deployment" and one["metadata"]["name"] != "farshore-receiver":
            assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_service_sends_connections_to_ends_after_the_service_has_noticed(name: str) -> None:
    """kube-proxy hears of a pod's end beside the pod: in a real cluster a receiver that ended at once was sent
    notifications for a second more, and registries waited out their time-outs."""
    objects = rendered(*with_values(name))
    balanced = {
        (one["spec"]["selector"]["app.kubernetes.io/component"], port["targetPort"])
        for one in objects
        if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None"
        for port in one["spec"]["ports"]
    }
    assert balanced == ({("edge", "public")} if name == "site" else {("receiver", "http")})
    for _, pod in pod_templates(objects):
        for container in pod["spec"]["containers"]:
            component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
            serves = {(component, port["name"]) for port in container.get("ports", [])} & balanced
            assert ("preStop" in container.get("lifecycle", {})) == bool(serves), container["name"]


def test_autoscaling_looks_at_the_groups_whose_lag_is_work() -> None:
    objects = rendered(*with_values("hub-everything"))
    groups = {
        one["metadata"]["name"]: [trigger["metadata"]["consumerGroup"] for trigger in one["spec"]["triggers"]]
        for one in objects
        if one["kind"] == "ScaledObject"
    }
    assert groups == {
        "farshore-coalescer": ["farshore.coalescer.main.fra", "farshore.coalescer.main.syd"],
        "farshore-verifier": ["farshore.verifier.syd"],
    }
    for one in objects:
        if one["kind"] == "Deployment" and one["metadata"]["name"] in groups:
            assert "replicas" not in one["spec"]


def test_a_policy_opens_the_ports_that_the_topology_names() -> None:
    objects = rendered(*with_values("hub-everything"))
    opened = {
        one["metadata"]["name"]: {port["port"] for rule in one["spec"]["egress"] for port in rule["ports"]}
        for one in objects
        if one["kind"] == "NetworkPolicy"
    }
    others = {53, 9093, 4318, 8200}  # names, Kafka, traces, and one that the values add
    assert opened == {
        "farshore-receiver": others,
        "farshore-coalescer": others | {443, 8443},
        "farshore-verifier": others | {5000, 443},
        "farshore-reconcile": others | {5000, 443},
        "farshore-check": others | {443, 8443, 5000} | {8080, 8081},
    }


def test_helm_test_may_ask_every_service_and_finds_each_by_its_name_and_port() -> None:
    """A policy that lets only the monitoring in would shut it out; a headless Service has its pods' port, no other."""
    for name in NAMES:
        objects = rendered(
            *with_values(name, "networkPolicy.enabled=true", 'networkPolicy.metricsFrom=[{"podSelector":{}}]')
        )
        (check,) = [one for one in objects if one["kind"] == "Pod"]
        asked = {word.removeprefix("--service=http://") for word in check["spec"]["containers"][0]["args"][2:]}
        services = {
            f"{one['metadata']['name']}:{port['port']}": one["spec"]["selector"]
            for one in objects
            if one["kind"] == "Service" and one["spec"].get("clusterIP") == "None"
            for port in one["spec"]["ports"]
        }
        assert asked - {"--connect"} == set(services)
        policies = {
            one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]["ingress"]
            for one in objects
            if one["kind"] == "NetworkPolicy"
        }
        for selector in services.values():
            admitted = policies[selector["app.kubernetes.io/component"]][-1]["from"]
            chosen = [one["podSelector"].get("matchLabels", {}) for one in admitted if "podSelector" in one]
            assert any(labels and labels.items() <= check["metadata"]["labels"].items() for labels in chosen), selector
