"""Notifications that the receiver gave up go back through it, and a repetition is harmless."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from farshore_command import Ended, end_of, farshore, start_farshore
from notifications import envelope, push
from receiver_process import TOKEN, ReceiverProcess, post, records_of

from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.records.events import Event
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

ZOT = Path(__file__).parents[2] / "payloads" / "by_hand" / "zot.json"


async def give_up(folder: Path, bootstrap: str, registry: str, *bodies: bytes) -> None:
    """Have a receiver refuse notifications: in its topology the repositories have the prefix of no registry."""
    async with ReceiverProcess(folder, bootstrap, {registry: "elsewhere/"}) as receiver:
        for body in bodies:
            assert (await post(receiver, registry, body)).counts[2] == 1


async def redrive(bootstrap: str, registry: str, url: str, *options: str, token: str | None = None) -> Ended:
    return await farshore(*command(bootstrap, registry, url), *options, environ=environ(registry, token))


def command(bootstrap: str, registry: str, url: str) -> tuple[str, ...]:
    filters = ("--all", "--registry", registry, "--yes", "--kafka", bootstrap)
    return ("deadletter", "redrive", *filters, "--receiver", url, "--token", "env:NOTIFICATION_TOKEN")


def environ(registry: str, token: str | None = None) -> dict[str, str]:
    return {"NOTIFICATION_TOKEN": token or f"{TOKEN}-{registry}"}


async def events_of(bootstrap: str, registry: str) -> list[Event]:
    return [Event.from_json(record.value, "events") for record in await records_of(bootstrap, EVENTS, registry)]


async def test_once_the_topology_is_corrected_its_notifications_become_events(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    first, second = push("lib/one"), push("lib/two")
    await give_up(tmp_path / "wrong", bootstrap, unique, envelope(first, push("elsewhere/x")), envelope(second))
    assert [event.repository for event in await events_of(bootstrap, unique)] == ["elsewhere/x"]
    async with ReceiverProcess(tmp_path / "right", bootstrap, {unique: ""}) as receiver:
        done = await redrive(bootstrap, unique, receiver.url)
        assert (done.code, "2 sent back" in done.out) == (0, True), done
        again = await redrive(bootstrap, unique, receiver.url)
        assert (again.code, "2 sent back before" in again.out) == (0, True), again
    assert [event.repository for event in await events_of(bootstrap, unique)] == ["elsewhere/x", "lib/one", "lib/two"]


async def test_an_event_of_zot_comes_back_as_one(bootstrap: str, unique: str, tmp_path: Path) -> None:
    events = {event["label"]: event for event in json.loads(ZOT.read_text())["events"]}
    headers = {name: value for name, value in events["02-push-by-tag"]["headers"].items() if name != "Authorization"}
    body = json.dumps(events["02-push-by-tag"]["body"])
    async with ReceiverProcess(tmp_path / "wrong", bootstrap, {unique: "elsewhere/"}) as receiver:
        assert (await post(receiver, unique, body, headers=headers)).counts == (0, 0, 1)
    async with ReceiverProcess(tmp_path / "right", bootstrap, {unique: ""}) as receiver:
        done = await redrive(bootstrap, unique, receiver.url)
        assert (done.code, "1 sent back" in done.out) == (0, True), done
    (event,) = await events_of(bootstrap, unique)
    assert (event.kind, event.repository, event.tag) == ("manifest.pushed", "team/app", "v1")


async def test_the_topologys_own_token_is_used(bootstrap: str, unique: str, tmp_path: Path) -> None:
    await give_up(tmp_path, bootstrap, unique, envelope(push("lib/one")))
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}) as receiver:
        by_topology = command(bootstrap, unique, receiver.url)[:-2]
        done = await farshore(*by_topology, "--topology", str(tmp_path / "topology.yaml"))
        assert done.code == 0, done
    assert len(await events_of(bootstrap, unique)) == 1


async def test_what_comes_back_at_once_is_told_and_not_sent_for_ever(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    await give_up(tmp_path, bootstrap, unique, envelope(push("lib/one")))
    async with ReceiverProcess(tmp_path, bootstrap, {unique: "elsewhere/"}) as receiver:
        done = await redrive(bootstrap, unique, receiver.url)
    assert (done.code, "1 dead again" in done.out) == (1, True), done
    kept = [dict(record.headers) for record in await records_of(bootstrap, DEADLETTER, unique)]
    assert [("farshore_redriven" in headers) for headers in kept] == [False, False, True]


async def test_killed_between_the_answer_and_the_mark_the_event_is_written_once(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    await give_up(tmp_path / "wrong", bootstrap, unique, envelope(push("lib/one")), envelope(push("lib/two")))
    async with ReceiverProcess(tmp_path / "right", bootstrap, {unique: ""}) as receiver, ClientSession() as session:
        killed: list[Any] = []

        async def forward_then_kill(request: web.Request) -> web.Response:
            headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
            async with session.post(receiver.url + request.path, data=await request.read(), headers=headers) as answer:
                assert answer.status == 202
            process = killed[0]
            os.kill(process.pid, signal.SIGKILL)
            return web.Response(status=202)

        app = web.Application()
        app.router.add_post("/{path:.*}", forward_then_kill)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            proxy = command(bootstrap, unique, f"http://127.0.0.1:{port}")
            killed.append(await start_farshore(*proxy, environ=environ(unique)))
            assert (await end_of(killed[0])).code == -signal.SIGKILL
        finally:
            await runner.cleanup()
        assert [event.repository for event in await events_of(bootstrap, unique)] == ["lib/one"]
        done = await redrive(bootstrap, unique, receiver.url)
        assert (done.code, "2 sent back" in done.out) == (0, True), done
    assert [event.repository for event in await events_of(bootstrap, unique)] == ["lib/one", "lib/two"]


async def test_a_refused_token_is_a_wrong_setting_and_marks_nothing(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    await give_up(tmp_path, bootstrap, unique, envelope(push("lib/one")))
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}) as receiver:
        done = await redrive(bootstrap, unique, receiver.url, token="wrong-but-secret")
    assert done.code == 78, done
    assert "wrong-but-secret" not in done.out + done.err
    nobody = await redrive(bootstrap, unique, f"http://127.0.0.1:{free_port()}")
    assert nobody.code == 69, nobody
    kept = [dict(record.headers) for record in await records_of(bootstrap, DEADLETTER, unique)]
    assert not any("farshore_redriven" in headers for headers in kept)


async def test_what_the_receiver_cut_says_so_and_stays(bootstrap: str, unique: str, tmp_path: Path) -> None:
    settings = {"FARSHORE_RECEIVER_MAX_BODY_BYTES": "1024"}
    async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=settings) as receiver:
        answer = await post(receiver, unique, json.dumps({"events": ["x" * 2000]}).encode())
        assert answer.counts == (0, 0, 1)
        done = await redrive(bootstrap, unique, receiver.url, "--force")
    assert (done.code, "refused: only its beginning was kept" in done.out) == (1, True), done
    (record,) = await records_of(bootstrap, DEADLETTER, unique)
    assert dict(record.headers)["farshore_cut"] == b"true"
