"""Where the outside programs are: on PATH, or where scripts/setup put them."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.cache import tools_dir

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # nginx lives there, often not on a user's PATH
_VERSION_TIMEOUT_SECONDS = 10.0


class MissingToolError(FarshoreError):
    """An outside program that isn't on this machine; the hint says how to get it."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__("find", name, "neither on PATH nor set up", retry=RetryClass.OPERATOR, hint=hint)


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the programs; None where an optional one is absent.

    registry_v2 is CNCF distribution 2.8 and registry_v3 3.x: the same command line (`serve CONFIG`).
    """

    registry_v2: Path
    registry_v3: Path | None
    nginx: Path
    skopeo: Path
    crane: Path | None
    conformance: Path | None
    """The OCI distribution specification's test suite, as `scripts/conformance` builds it."""

    @property
    def registries(self) -> dict[str, Path]:
        """The registries that are here, by major version: {"v2": …, "v3": …}."""
        found = {"v2": self.registry_v2, "v3": self.registry_v3}
        return {version: path for version, path in found.items() if path is not None}


def find_tools(environ: Mapping[str, str] = os.environ) -> Tools:
    """Look for all programs, first on PATH, then in the tools folder of the cache.

    Raises MissingToolError for one that farshore can't do without.
    """
    path = os.pathsep.join([environ.get("PATH", ""), *_SYSTEM_FOLDERS, str(tools_dir(environ))])
    return Tools(
        registry_v2=_find_registry("2.", path) or _find("docker-registry", path),
        registry_v3=_find_registry("3.", path),
        nginx=_find("nginx", path),
        skopeo=_find("skopeo", path),
        crane=_look(path, "crane"),
        conformance=_look(path, "oci-conformance"),
    )


def _find(name: str, path: str) -> Path:
    found = _look(path, name)
    if found is None:
        raise MissingToolError(name, f"run scripts/setup, or install {name} so that it is on PATH")
    return found


def _look(path: str, name: str) -> Path | None:
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _find_registry(version: str, path: str) -> Path | None:
    """The registry of a major version: `registry` is the name of 3.x, and of 2.x outside Debian."""
    for folder in path.split(os.pathsep):
        for name in ("docker-registry", "registry"):
            found = _look(folder, name)
            if found is not None and _version_of(found).startswith(version):
                return found
    return None


def _version_of(registry: Path) -> str:
    """The version that a registry reports: `… github.com/docker/distribution v2.8.2+unknown` -> `2.8.2…`."""
    try:
        answer = subprocess.run(
            [registry, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = answer.stdout.split()
    return words[-1].removeprefix("v") if words else ""
