"""Starts what a compose file names, by podman-compose, in the order and by the health that Docker Compose documents.

podman-compose leaves out `service_healthy` and `--wait` before podman 4.6, and takes any end for
`service_completed_successfully`; podman asks health checks by timers of systemd, which may not be here. So
podman-compose makes the networks, volumes and containers, and what is here starts them in order and asks their health
checks. To stop, Docker Compose goes the opposite way, podman-compose does all at once.
"""

import asyncio
import json
import os
import random
import re
import shlex
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from container_images import Answer, Container, Images
from documents import DOCS
from waiting import wait_until

_WITHIN_SECONDS = 60.0
"""For one container, once what it needs is there; on a quiet machine."""
_GRACE_SECONDS = 60
_BETWEEN_CHECKS_SECONDS = 1.0
# limits that root has in a container of its own, too
_CONTAINERS_CONF = """
[network]
network_backend = "netavark"
network_config_dir = "{networks}"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""
# how what a project has is listed, and taken away
_REMOVALS = {
    ("ps", "--all"): ("rm", "--force", "--time=0", "--volumes"),
    ("volume", "ls"): ("volume", "rm", "--force"),
    ("network", "ls"): ("network", "rm", "--force"),
}


@dataclass
class ComposeProject:
    """One project, with networks of its own in `folder` and containers and volumes in the store of `images`.

    `environ`: what a user has in the environment when they type `docker compose`, for the files' variables.
    """

    images: Images
    folder: Path
    files: tuple[Path, ...]
    name: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any((Path(folder) / "netavark").exists() for folder in ("/usr/lib/podman", "/usr/libexec/podman")):
            pytest.skip("netavark is not here: apt-get install --no-install-recommends netavark")
        self.services: dict[str, dict[str, Any]] = {}
        for file in self.files:
            self.services |= yaml.safe_load(file.read_text())["services"]
        addresses = self.folder / "addresses.yaml"
        addresses.write_text(yaml.safe_dump(_addresses(self.services)))
        self.files = (*self.files, addresses)
        config = self.folder / "containers.conf"
        config.write_text(_CONTAINERS_CONF.format(networks=self.folder / "networks"))
        self._podman = self.folder / "podman"
        command = shlex.join(self.images.podman())
        self._podman.write_text(f'#!/bin/sh\nCONTAINERS_CONF={shlex.quote(str(config))} exec {command} "$@"\n')
        self._podman.chmod(0o700)

    async def up(self, services: Iterable[str]) -> None:
        """Create and start `services`; return when each is healthy, or has ended well where that is its task."""
        chosen = list(services)
        created = await self.compose("up", "--no-start", "--no-deps", "--no-build", *chosen)
        assert created.code == 0, created.err
        await self.start(chosen)

    async def start(self, services: Iterable[str]) -> None:
        """Start containers that are there, as `up` does."""
        chosen = set(services)
        needs = {name: set(self.services[name].get("depends_on", {})) & chosen for name in chosen}
        await _in_order(needs, self._start)

    async def stop(self) -> dict[str, int]:
        """Stop all that runs, what others need last; the exit codes by service, those of what had ended before too."""
        ids = await self.ids()
        needs = {name: set(self.services[name].get("depends_on", {})) & set(ids) for name in ids}
        needed_by = {name: {other for other in ids if name in needs[other]} for name in ids}
        await _in_order(needed_by, self._stop)
        return {name: int((await self.state(name))["ExitCode"]) for name in ids}

    async def compose(self, *arguments: str) -> Answer:
        """What podman-compose answers; what is typed behind `docker compose --file FILE`."""
        own = ("--podman-path", str(self._podman), "--project-name", self.name, "--in-pod=false")
        files = [f"--file={file}" for file in self.files]
        program = shutil.which("podman-compose") or "podman-compose"
        return await _answer([program, *own, *files, *arguments], {**os.environ, **self.environ})

    async def podman(self, *arguments: str) -> Answer:
        """What podman answers."""
        return await _answer([str(self._podman), *arguments], os.environ)

    async def ids(self) -> dict[str, str]:
        """The project's containers by service, ended ones too; without those of `run`."""
        listed = await self.podman("ps", "--all", self._mine, "--format=json")
        assert listed.code == 0, listed.err
        return {told["Labels"]["com.docker.compose.service"]: told["Id"] for told in json.loads(listed.out or "[]")}

    async def container(self, service: str) -> Container:
        """The container of a service."""
        return Container(self.images, (await self.ids())[service])

    async def state(self, service: str) -> dict[str, Any]:
        """What podman tells of the process of a service's container."""
        return (await self.container(service)).state()

    async def left(self) -> str:
        """What there is of the project: containers, volumes, networks; empty when it is gone."""
        found = [await self.podman(*kind, self._mine, "--quiet") for kind in _REMOVALS]
        return "".join(answer.out + answer.err for answer in found)

    async def remove(self) -> None:
        """Take all of it away, whatever state it is in."""
        for kind, removal in _REMOVALS.items():
            if names := (await self.podman(*kind, self._mine, "--quiet")).out.split():
                await self.podman(*removal, *names)

    @property
    def _mine(self) -> str:
        return f"--filter=label=com.docker.compose.project={self.name}"

    async def _start(self, service: str) -> None:
        container = await self.container(service)
        started = await self.podman("start", container.id)
        assert started.code == 0, f"{service}: {started.err}"
        try:
            if self.services[service].get("restart") == "no":
                await wait_until(lambda: self._ended_well(container), _WITHIN_SECONDS, f"{service} to end with 0")
            elif container.has_health_check():
                await wait_until(lambda: self._is_healthy(container), _WITHIN_SECONDS, f"{service} to be healthy")
        except AssertionError as error:
            raise AssertionError(f"{error}: {await asyncio.to_thread(container.log)}") from None

    async def _ended_well(self, container: Container) -> bool:
        state = await asyncio.to_thread(container.state)
        if state["Status"] != "exited":
            return False
        assert state["ExitCode"] == 0, state
        return True

    async def _is_healthy(self, container: Container) -> bool:
        if (await self.podman("healthcheck", "run", container.id)).code == 0:
            return True
        await asyncio.sleep(
            _BETWEEN_CHECKS_SECONDS
        )  # each look starts processes, which the service's start would wait for
        return False

    async def _stop(self, service: str) -> None:
        container = await self.container(service)
        stopped = await self.podman("stop", f"--time={_GRACE_SECONDS}", container.id)
        assert stopped.code == 0, f"{service}: {stopped.err}"


def typed(file: str, start: str) -> list[str]:
    """The words of the one command in docs/install.md that has `start` behind `docker compose --file compose/FILE`."""
    text = (DOCS / "install.md").read_text().replace("\\\n", " ")
    commands = re.findall(rf"docker compose --file compose/{re.escape(file)} ([^`\n]+)", text)
    (command,) = (command for command in commands if command.startswith(start))
    return shlex.split(command)


def _addresses(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is added to compose files: an address for each service, which all others have in their hosts file.

    aardvark-dns, podman's server for names, at times didn't answer for 10 s and more while containers came (1.4.0).
    """
    subnet = f"10.{random.randrange(100, 200)}.{random.randrange(256)}"  # podman refuses one that is in use
    ips, hosts = {}, []
    for number, (name, service) in enumerate(services.items(), 2):
        if "network_mode" in service:
            continue
        ips[name] = f"{subnet}.{number}"
        names = (name, *service.get("networks", {}).get("default", {}).get("aliases", ()))
        hosts += [f"{known}:{ips[name]}" for known in names]
    return {
        "networks": {"default": {"ipam": {"config": [{"subnet": f"{subnet}.0/24"}]}, "x-podman.disable_dns": True}},
        "services": {
            name: {"networks": {"default": {"ipv4_address": ip}}, "extra_hosts": hosts} for name, ip in ips.items()
        },
    }


async def _in_order(needs: Mapping[str, Iterable[str]], step: Callable[[str], Awaitable[None]]) -> None:
    """Do `step` for each name as soon as it is done for all that the name needs."""
    steps: dict[str, asyncio.Task[None]] = {}

    async def one(name: str) -> None:
        for needed in needs[name]:
            await steps[needed]
        await step(name)

    async with asyncio.TaskGroup() as group:
        for name in TopologicalSorter(needs).static_order():
            steps[name] = group.create_task(one(name))


async def _answer(command: list[str], environ: Mapping[str, str]) -> Answer:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), err.decode())
