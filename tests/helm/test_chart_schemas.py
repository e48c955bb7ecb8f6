"""kubeconform finds nothing wrong with what the chart makes, by schemas of the API server's and operators' kinds."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from charts import VALUES, Objects, operators_kind, program, rendered, template, with_values
from kind_schemas import LOCATION, strict, write_schemas
from kubernetes_api import KubernetesApi

pytestmark = pytest.mark.integration

NAMES = sorted(path.stem for path in VALUES.glob("*.yaml") if path.stem != "topology")
OPERATORS_KINDS = (
    "keda.sh_scaledobjects",
    "keda.sh_triggerauthentications",
    "monitoring.coreos.com_prometheusrules",
    "monitoring.coreos.com_servicemonitors",
)


class Judged(NamedTuple):
    """How many objects are valid, and what is told of each of the others."""

    valid: int
    wrong: list[str]


@pytest.fixture(scope="module")
def schemas(api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    kinds = write_schemas(folder, api, [operators_kind(name) for name in OPERATORS_KINDS])
    assert kinds > 100  # so the server was asked for all that it has
    return folder


def judged(text: str, schemas: Path) -> Judged:
    options = ("-strict", "-summary", "-output", "json", "-schema-location", f"{schemas}/{LOCATION}")
    answer = subprocess.run(
        [str(program("kubeconform")), *options], input=text, capture_output=True, text=True, timeout=300, check=False
    )
    told = json.loads(answer.stdout)
    wrong = [f"{one['kind']} {one['name']}: {one['msg']}" for one in told["resources"]]
    assert bool(answer.returncode) == bool(wrong), answer.stderr
    assert told["summary"]["skipped"] == 0
    return Judged(told["summary"]["valid"], wrong)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_valid(name: str, schemas: Path) -> None:
    """As helm writes them: a key that is there twice is found too, which is lost where YAML is read."""
    options = with_values(name)
    assert judged(template(*options).stdout, schemas) == Judged(len(rendered(*options)), [])


@pytest.fixture(scope="module")
def everything() -> Objects:
    return rendered(*with_values("hub-everything"))


def _unknown_field(one: dict[str, Any]) -> None:
    one["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}


def _wrong_type(one: dict[str, Any]) -> None:
    one["spec"]["replicas"] = "two"


def _missing_field(one: dict[str, Any]) -> None:
    del one["spec"]["selector"]


def _unknown_field_of_metadata(one: dict[str, Any]) -> None:
    one["metadata"]["label"] = {}


def _unknown_kind(one: dict[str, Any]) -> None:
    one["apiVersion"] = one["apiVersion"].replace("/v1", "/v9")


def _unknown_field_of_the_operators(one: dict[str, Any]) -> None:
    one["spec"]["minReplicas"] = 1


def _missing_field_of_the_operators(one: dict[str, Any]) -> None:
    del one["spec"]["scaleTargetRef"]["name"]


@pytest.mark.parametrize(
    ("kind", "spoil", "told"),
    [
        ("Deployment", _unknown_field, "readynessProbe"),
        ("Deployment", _wrong_type, "got string, want integer"),
        ("Deployment", _missing_field, "missing property 'selector'"),
        ("Deployment", _unknown_kind, "could not find schema for Deployment"),
        ("ScaledObject", _unknown_field_of_metadata, "label"),
        ("ScaledObject", _unknown_field_of_the_operators, "minReplicas"),
        ("ScaledObject", _missing_field_of_the_operators, "missing property 'name'"),
        ("ScaledObject", _unknown_kind, "could not find schema for ScaledObject"),
    ],
)
def test_what_is_wrong_is_found(
    kind: str, spoil: Callable[[dict[str, Any]], None], told: str, everything: Objects, schemas: Path
) -> None:
    one: dict[str, Any] = json.loads(json.dumps(next(found for found in everything if found["kind"] == kind)))
    assert judged(yaml.safe_dump(one), schemas) == Judged(1, [])
    spoil(one)
    valid, wrong = judged(yaml.safe_dump(one), schemas)
    assert (valid, len(wrong)) == (0, 1)
    assert told in wrong[0]


def test_a_key_that_is_there_twice_is_found(schemas: Path) -> None:
    valid, wrong = judged("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nmetadata: {name: b}\n", schemas)
    assert (valid, len(wrong)) == (0, 1)


def test_a_strict_schema_has_room_only_where_a_definition_leaves_it() -> None:
    any_string = {"type": "string"}
    assert strict({"type": "object", "properties": {"a": {"type": "array", "items": {"properties": {}}}}}) == {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"properties": {}, "additionalProperties": False}}},
        "additionalProperties": False,
    }
    for left_open in (
        {"type": "object"},
        {"type": "object", "additionalProperties": any_string},
        {"properties": {"a": any_string}, "x-kubernetes-preserve-unknown-fields": True},
        {"anyOf": [{"type": "integer"}, any_string], "x-kubernetes-int-or-string": True},
        {"allOf": [{"properties": {"a": {"enum": ["b"]}}}]},
    ):
        assert strict(left_open) == left_open
    assert strict({"type": "string", "nullable": True}) == {
        "anyOf": [{"type": "string", "nullable": True}, {"type": "null"}]
    }
