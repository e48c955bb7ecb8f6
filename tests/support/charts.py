"""farshore's Helm chart, rendered and refused by the real helm."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import ROOT

from farshore_cli.tools.cache import tools_dir

CHART = ROOT / "helm" / "farshore"
VALUES = ROOT / "tests" / "helm" / "values"
TOPOLOGY = VALUES / "topology.yaml"
RELEASE = "farshore"
NAMESPACE = "registries"
KUBERNETES = "1.34.0"
"""What templates are rendered for where no cluster says."""

Objects = list[dict[str, Any]]


def program(name: str) -> Path:
    """A program that scripts/setup-kubernetes gets (promtool: scripts/setup too); skips the test where it isn't."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(tools_dir())]))
    if found is None:
        pytest.skip(
            f"{name} is not here: scripts/setup-kubernetes gets it (helm, kubeconform and kube-apiserver need Go)"
        )
    return Path(found)


def operators_kind(name: str) -> dict[str, Any]:
    """The definition of a kind of an operator's, as that operator has it; skips the test where it isn't."""
    file = tools_dir().parent / "kinds" / f"{name}.yaml"
    if not file.exists():
        pytest.skip(f"{name} is not here: scripts/setup-kubernetes gets it (out of a Go module)")
    definition: dict[str, Any] = yaml.safe_load(file.read_text())
    return definition


def helm(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; the caller looks at the exit code."""
    command = [str(program("helm")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, **(environ or {})}, check=False
    )


def with_values(name: str, *sets: str, topology: Path | None = TOPOLOGY) -> Sequence[str]:
    """Options for values/NAME.yaml, the topology, and `KEY=VALUE`s; a value in brackets is JSON."""
    options = ["--values", str(VALUES / f"{name}.yaml")]
    if topology is not None:
        options += ["--set-file", f"topology.file={topology}"]
    for one in sets:
        options += ["--set-json" if "=[" in one else "--set", one]
    return options


def template(*options: str) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart."""
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBERNETES, *options)


def rendered(*options: str) -> Objects:
    """The objects that the chart makes; fails with helm's words where it makes none."""
    answer = template(*options)
    assert answer.returncode == 0, answer.stderr
    return [one for one in yaml.safe_load_all(answer.stdout) if one]


def refusal(*options: str) -> str:
    """What helm says of values that it refuses; fails where it takes them."""
    answer = template(*options)
    assert answer.returncode != 0, "it was rendered"
    return answer.stderr


def pod_templates(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and template of every pod that the objects make: `metadata` and `spec`."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        match one["kind"]:
            case "Pod":
                yield name, {"metadata": one["metadata"], "spec": one["spec"]}
            case "Deployment":
                yield name, one["spec"]["template"]
            case "CronJob":
                yield name, one["spec"]["jobTemplate"]["spec"]["template"]


def containers(objects: Objects) -> Iterator[dict[str, Any]]:
    """Every container of every pod."""
    for _, pod in pod_templates(objects):
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]
