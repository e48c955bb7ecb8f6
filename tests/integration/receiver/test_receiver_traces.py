"""Spans leave the receiver by OTLP where an endpoint is set."""

from pathlib import Path

import pytest
from aiohttp import web
from notifications import envelope, push
from receiver_process import ReceiverProcess, post, records_of
from waiting import wait_until

from farshore.bus.topics import EVENTS
from farshore.records.cloudevent import CloudEvent
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration


async def test_spans_are_exported_and_the_event_carries_the_sending_span(
    bootstrap: str, unique: str, tmp_path: Path
) -> None:
    exported = bytearray()

    async def collect(request: web.Request) -> web.Response:
        exported.extend(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    try:
        async with ReceiverProcess(tmp_path, bootstrap, {unique: ""}, environ=environ) as receiver:
            trace = "0123456789abcdef0123456789abcdef"
            given = f"00-{trace}-00000000000000aa-01"
            assert (await post(receiver, unique, envelope(push()), headers={"traceparent": given})).status == 202
            await wait_until(lambda: b"send farshore.events" in exported, 20, "the spans")
        (record,) = await records_of(bootstrap, EVENTS, unique)
        carried = CloudEvent.from_record(record.headers, record.value, "here").traceparent
        assert carried is not None
        _, trace_id, span_id, _ = carried.split("-")
        assert trace_id == trace
        assert b"POST /v1/notifications/{registry}" in exported
        assert bytes.fromhex(span_id) in exported
    finally:
        await runner.cleanup()
