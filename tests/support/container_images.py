"""Builds farshore's images with buildah and runs them with podman, in a store of their own. Needs root."""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT

TARGETS = ("receiver", "coalescer", "verifier", "reconciler", "edge", "cli", "ontap-simulator")
BUILD_SECONDS = 1_200

Figures = dict[str, dict[str, float]]
"""What was measured, by target."""

_LOCAL_BASE = "localhost/farshore-base:bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates,netbase,tzdata"
# What lets this machine reach PyPI and Debian lets its builds reach them.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_BASE_FILE = f"""FROM scratch
ADD root /
ENV PIP_CERT={_CERTIFICATES} SSL_CERT_FILE={_CERTIFICATES}
"""
# What Debian's and Python's official slim images leave out too.
_LEFT_OUT = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale"),
    *("var/lib/apt/lists", "var/cache/apt", "var/log"),
)


log = logging.getLogger(__name__)


def image_name(target: str) -> str:
    """The image's name in a store."""
    return f"localhost/farshore-{target}:test"


@dataclass(frozen=True)
class Answer:
    """How a container ended."""

    code: int
    out: str
    err: str


@dataclass
class Images:
    """A store in a folder; the base; the folder that images are built from, each when it is first asked for."""

    store: Path
    base: str
    source: Path = ROOT
    base_archive: Path | None = None
    """Where the base is pulled from, with the same digest into every store; None for a registry."""
    built: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What podman tells of those that were built, by target."""

    @classmethod
    def below(cls, folder: Path, base: str | None) -> "Images":
        """`base` is an image that can be pulled, or None for one made of Debian's packages. Skips where it can't be."""
        needed = ["buildah", "podman", "runc", *([] if base else ["debootstrap"])]
        missing = [name for name in needed if shutil.which(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} not here: apt-get install --no-install-recommends {' '.join(missing)}")
        if os.geteuid() != 0:
            pytest.skip("only root can make the base image and run containers with the machine's network")
        folder.mkdir(parents=True, exist_ok=True)
        images = cls(folder, base or _LOCAL_BASE, base_archive=None if base else folder / "base.tar")
        if images.base_archive and not images.base_archive.exists():
            images._make_base(images.base_archive)
        images._get_base()
        return images

    def beside(self, folder: Path, source: Path) -> "Images":
        """Another store, in `folder`, that has nothing but the base and builds from `source`."""
        other = Images(folder / "store", self.base, source, base_archive=self.base_archive)
        other._get_base()
        return other

    def build(self, target: str) -> dict[str, Any]:
        """The image of `target`: what podman tells of it."""
        if target not in self.built:
            self._bud(target, "docker", image_name(target))
            self.built[target] = self.inspect(image_name(target))
        return self.built[target]

    def build_from(self, folder: Path, target: str, name: str, contexts: Mapping[str, Path]) -> None:
        """The image `name`, of a Dockerfile in `folder` that copies from the folders `contexts` too."""
        log.info("building %s from %s", name, folder)
        given = [f"--build-context={context}={place}" for context, place in contexts.items()]
        self._buildah(
            *("bud", "--layers", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={self.base}", *given),
            *(f"--target={target}", f"--tag={name}", str(folder)),
        )

    def tag(self, target: str, name: str) -> None:
        """Give the image of `target` another name."""
        self.build(target)
        self._buildah("tag", image_name(target), name)

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman tells of an image."""
        (told,) = json.loads(_ran(self.podman("image", "inspect", name)))
        return dict(told)

    def save(self, archive: Path, *names: str) -> None:
        """Write images into an archive in Docker's format."""
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.unlink(missing_ok=True)
        _ran(self.podman("save", "--format=docker-archive", "--multi-image-archive", f"--output={archive}", *names))

    def on_base(self, name: str, *entry_point: str) -> None:
        """Make an image of nothing but the base that runs `entry_point`."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text(f"FROM {self.base}\nENTRYPOINT {json.dumps(entry_point)}\n")
            self._buildah("bud", "--layers", "--format=docker", "--timestamp=0", f"--tag={name}", folder)

    def digest(self, target: str) -> str:
        """The digest of the image in OCI's format, which has no health check."""
        name = f"{image_name(target)}-oci"
        self._bud(target, "oci", name)
        return str(self.inspect(name)["Digest"])

    def run(self, target: str, *arguments: str, options: Sequence[str] = ()) -> Answer:
        """Run a container to its end."""
        self.build(target)
        restricted = (*_RESTRICTED, "--no-healthcheck")
        command = self.podman("run", "--rm", *restricted, *options, image_name(target), *arguments)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def start(
        self, target: str, *arguments: str, environ: Mapping[str, str], options: Sequence[str] = ()
    ) -> "Container":
        """Start a container in the background."""
        self.build(target)
        given = [f"--env={name}={value}" for name, value in environ.items()]
        command = ("run", "--detach", *_RESTRICTED, *given, *options, image_name(target), *arguments)
        return Container(self, _ran(self.podman(*command)).strip())

    def podman(self, *arguments: str) -> list[str]:
        """A command line of podman's."""
        runtime = ("--runtime=runc", "--cgroup-manager=cgroupfs")
        return ["podman", *self._places(), *runtime, *arguments]

    def remove(self) -> None:
        """Remove all images of the store, the base too."""
        subprocess.run(["buildah", *self._places(), "rmi", "--all", "--force"], capture_output=True, check=False)

    def _bud(self, target: str, form: str, name: str) -> None:
        log.info("building %s from %s", name, self.source)
        self._buildah(
            *("bud", "--layers", "--isolation=chroot", f"--format={form}", "--timestamp=0"),
            *(f"--build-arg=BASE={self.base}", f"--target={target}", f"--tag={name}", str(self.source)),
        )

    def _buildah(self, *arguments: str) -> str:
        return _ran(["buildah", *self._places(), *arguments])

    def _places(self) -> tuple[str, ...]:
        driver = os.environ.get("STORAGE_DRIVER", "overlay")
        return (f"--storage-driver={driver}", f"--root={self.store / 'images'}", f"--runroot={self.store / 'run'}")

    def _get_base(self) -> None:
        if self.base_archive is None:
            self._buildah("pull", self.base)
        else:
            self._buildah("tag", self._buildah("pull", f"oci-archive:{self.base_archive}").strip(), self.base)

    def _make_base(self, archive: Path) -> None:
        """A Debian with Python, about as large as the official image that the Dockerfile names."""
        log.info("making the base %s of Debian's packages", self.base)
        folder = self.store / "base"
        shutil.rmtree(folder, ignore_errors=True)
        root = folder / "root"
        root.mkdir(parents=True)
        _ran(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)])
        for settings in Path("/etc/apt/apt.conf.d").glob("99*"):
            shutil.copy(settings, root / "etc/apt/apt.conf.d")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        shutil.copy(_CERTIFICATES.resolve(), root / _CERTIFICATES.relative_to("/"))
        for name in _LEFT_OUT:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in _LEFT_OUT[-3:]:
            (root / name).mkdir()
        for file in (root / "usr").rglob("*.pyc"):
            file.unlink()
        (folder / "Dockerfile").write_text(_BASE_FILE)
        made = "localhost/farshore-base-made"
        self._buildah("bud", "--isolation=chroot", "--timestamp=0", f"--tag={made}", str(folder))
        draft = archive.with_suffix(".new")
        draft.unlink(missing_ok=True)
        self._buildah("push", made, f"oci-archive:{draft}")
        self._buildah("rmi", made)
        draft.replace(archive)
        shutil.rmtree(folder)


# As an installation should run them: nothing to write but /tmp, and no rights.
_RESTRICTED = (
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"),
    *("--ulimit=nofile=20000:20000", "--ulimit=nproc=1024:1024", "--pull=never"),
)


@dataclass(frozen=True)
class Container:
    """A container in the background."""

    images: Images
    id: str

    def state(self) -> dict[str, Any]:
        """What podman tells of its process."""
        return dict(self._told()["State"])

    def has_health_check(self) -> bool:
        """Whether it has one, its image's or its own."""
        return bool(self._told()["Config"].get("Healthcheck"))

    def _told(self) -> dict[str, Any]:
        (told,) = json.loads(_ran(self.images.podman("container", "inspect", self.id)))
        return dict(told)

    def healthy(self) -> bool:
        """What the image's own health check says."""
        command = self.images.podman("healthcheck", "run", self.id)
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def peak_memory_bytes(self) -> int:
        """The most resident memory that its main process has had."""
        return int(self.status()["VmHWM"].split()[0]) * 1024

    def status(self) -> dict[str, str]:
        """What the kernel tells of its main process (proc(5), /proc/pid/status)."""
        text = Path(f"/proc/{self.state()['Pid']}/status").read_text()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}

    def root_is_read_only(self) -> bool:
        """Whether its main process sees its root file system so."""
        mounts = Path(f"/proc/{self.state()['Pid']}/mounts").read_text()
        (options,) = (line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/")
        return "ro" in options.split(",")

    def cpu_seconds(self) -> float:
        """Processor time that its main process has used."""
        fields = Path(f"/proc/{self.state()['Pid']}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """The end of what it said, both streams."""
        command = self.images.podman("logs", "--tail=50", self.id)
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return told.stdout + told.stderr

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        _ran(self.images.podman("stop", "--time=60", self.id))
        return int(self.state()["ExitCode"])

    def remove(self) -> None:
        """End it, whatever it does."""
        _ran(self.images.podman("rm", "--force", "--time=0", self.id))


def _ran(command: Sequence[str]) -> str:
    ended = subprocess.run(list(command), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert ended.returncode == 0, f"{' '.join(command[:8])} …: {ended.stderr[-3000:]}"
    return ended.stdout
