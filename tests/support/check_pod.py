"""The pod of `helm test`: its containers run here as processes, with the arguments, the environment and the mounts that
the chart gives them. A pod's paths and services' names are replaced by where those things are on this machine."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charts import Objects
from documents import ROOT

MOUNTED = "/etc/farshore"
"""Below it lies all that the chart mounts to be read."""

Contents = Mapping[str, Mapping[str, str]]
"""Keys and values of ConfigMaps and Secrets, by name."""


def run_check_pod(objects: Objects, folder: Path, contents: Contents, places: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of the first container that fails, or 0, and what they print.

    `contents` are those that the release's own objects don't have; `places` says what `HOST:PORT` is here.
    """
    (pod,) = [one for one in objects if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    known = {**contents, **{one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}}
    replaced = {MOUNTED: f"{folder}{MOUNTED}", **places}
    said = ""
    for container in pod["spec"]["containers"]:
        _mount(container, pod["spec"]["volumes"], known, folder, replaced)
        done = subprocess.run(
            [_here(word, replaced) for word in _command(container)],
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                **{one["name"]: _here(one["value"], replaced) for one in container.get("env", [])},
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said += done.stdout + done.stderr
        if done.returncode != 0:
            return done.returncode, said
    return 0, said


def _command(container: dict[str, Any]) -> list[str]:
    """Kubernetes: `command` stands in place of the image's entry point, and `args` follow either."""
    image = container["image"].rpartition("/")[2].partition(":")[0].removeprefix("farshore-")
    stage = (ROOT / "Dockerfile").read_text().partition(f" AS {image}\n")[2].partition("\nFROM ")[0]
    entry = re.search(r"^ENTRYPOINT (.*)$", stage, re.MULTILINE)
    assert entry is not None, image
    return [*container.get("command", json.loads(entry[1])), *container.get("args", [])]


def _mount(
    container: dict[str, Any], volumes: list[dict[str, Any]], known: Contents, folder: Path, replaced: Mapping[str, str]
) -> None:
    """Write what the container finds at its mounts; a ConfigMap or Secret that isn't known is a KeyError."""
    by_name = {volume["name"]: volume for volume in volumes}
    for mount in container["volumeMounts"]:
        volume = by_name[mount["name"]]
        source = volume["configMap"]["name"] if "configMap" in volume else volume.get("secret", {}).get("secretName")
        place = Path(f"{folder}{mount['mountPath']}")
        place.mkdir(parents=True, exist_ok=True)
        for key, value in known[source].items() if source else ():
            (place / key).write_text(_here(value, replaced))


def _here(text: str, replaced: Mapping[str, str]) -> str:
    for there, here in replaced.items():
        text = text.replace(there, here)
    return text
