"""A real registry over a stack's primary volume whose notifications are held back, to be delivered as a test likes."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from local_stack import LocalStack
from registry_process import Pusher
from waiting import wait_until

from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.ports import free_port


@dataclass(frozen=True)
class Envelope:
    """A notification as a registry posted it."""

    content_type: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """Its first event; distribution never puts several into one."""
        first: dict[str, Any] = json.loads(self.body)["events"][0]
        return first

    def at(self, timestamp: str) -> "Envelope":
        """The same, as a registry with another clock would have written it."""
        document = json.loads(self.body)
        for event in document["events"]:
            event["timestamp"] = timestamp
        return Envelope(self.content_type, json.dumps(document).encode())


@dataclass
class NotificationTap:
    """The registry to push to, and what it has announced so far."""

    push: Pusher
    receiver: str
    token: str
    session: aiohttp.ClientSession
    caught: list[Envelope] = field(default_factory=list)

    async def of(self, action: str, repository: str, *, digest: str | None = None, tag: str | None = None) -> Envelope:
        """Wait for the notification of an action that names all of this."""
        wanted = {
            name: value for name, value in (("repository", repository), ("digest", digest), ("tag", tag)) if value
        }

        def found() -> list[Envelope]:
            return [
                one
                for one in self.caught
                if one.event["action"] == action and wanted.items() <= one.event["target"].items()
            ]

        return (await wait_until(found, 60, f"the notification of {action} {wanted}"))[-1]

    async def deliver(self, envelope: Envelope) -> None:
        """Post it until it is accepted, as a registry does."""
        headers = {"Content-Type": envelope.content_type, "Authorization": f"Bearer {self.token}"}

        async def accepted() -> bool:
            try:
                async with self.session.post(self.receiver, data=envelope.body, headers=headers) as answer:
                    assert answer.status in (202, 503), await answer.text()
                    return answer.status == 202
            except aiohttp.ClientError:
                return False

        await wait_until(accepted, 60, "the receiver to accept a notification")


@contextlib.asynccontextmanager
async def notification_tap(stack: LocalStack, program: Path, folder: Path) -> AsyncIterator[NotificationTap]:
    """The registry, running; it shares the primary's folder with the stack's own."""
    endpoints = stack.endpoints
    name = endpoints["registry"]
    primary = next(Path(site["path"]) for site in endpoints["sites"].values() if site["role"] == "primary")
    async with contextlib.AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession())
        port = free_port()
        receiver = f"{endpoints['receiver']['url']}/v1/notifications/{name}"
        url = f"http://127.0.0.1:{port}"
        tap = NotificationTap(Pusher(url, session), receiver, _token(endpoints), session)

        async def catch(request: web.Request) -> web.Response:
            tap.caught.append(Envelope(request.headers["Content-Type"], await request.read()))
            return web.Response()

        app = web.Application()
        app.router.add_post("/", catch)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = NotificationTarget(f"http://127.0.0.1:{runner.addresses[0][1]}/", "tap")
        config = folder / "tap.yml"
        config.write_text(registry_config(primary, f"127.0.0.1:{port}", "tap", read_only=False, notify=target))
        command, environ = [str(program), "serve", str(config)], {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        process = spawn(command, log_file=folder / "tap.log", environ=environ)
        resources.callback(end, process, within_seconds=5)

        async def answers() -> bool:
            try:
                async with session.get(f"{url}/v2/") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await wait_until(answers, 30, "the registry")
        yield tap


def _token(endpoints: dict[str, Any]) -> str:
    topology = yaml.safe_load(Path(endpoints["topology"]).read_text())
    (token,) = topology["registries"][endpoints["registry"]]["notifications"]["tokens"]
    return Path(token.removeprefix("file:")).read_text().strip()


def give_up_after(stack: LocalStack, retry_for: str) -> None:
    """Write into the stack's topology how soon the verifier gives up; services that start later know it."""
    file = Path(stack.endpoints["topology"])
    document = yaml.safe_load(file.read_text())
    for registry in document["registries"].values():
        registry["verification"] = {"retry_for": retry_for}
    file.write_text(yaml.safe_dump(document))
