"""Anything at all, sent to the receiver: it answers as it promises, stays alive, and keeps what it accepted."""

import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notifications import CONTENT_TYPE, MANIFEST, push
from receiver_process import TOKEN, ReceiverProcess, records_of

from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.records.events import Event

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("FARSHORE_FUZZ_EXAMPLES", "200"))
GUESS = "a-token-that-somebody-guessed"


@dataclass
class Sent:
    """What was accepted over all examples."""

    digests: set[str] = field(default_factory=set)
    dead_letters: int = 0
    accepted: int = 0


def exchange(port: int, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the last answer to these bytes; (0, …) where the connection was closed without."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not lines[0]:
        return 0, {}, b""
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    return int(lines[0].split(b" ")[1]), headers, body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
actions = st.sampled_from(["push", "pull", "delete", "mount", "patch", ""])
repositories = st.sampled_from(["lib/app", "team/app", "Not/A/Name", "", "a" * 300])


@st.composite
def pushes(draw: st.DrawFn) -> dict[str, Any]:
    """Events as a registry sends them, some with something else in one place."""
    event = push(draw(repositories), draw(st.none() | st.sampled_from(["v1", "not a tag"])), action=draw(actions))
    if draw(st.booleans()):
        part = draw(st.sampled_from([event, event["target"], event["source"]]))
        part[draw(st.sampled_from([*sorted(part), "more"]))] = draw(json_values)
    return event


good_pushes = st.builds(lambda: push("lib/app", f"t{secrets.token_hex(4)}"))
bodies = st.one_of(
    st.lists(good_pushes, min_size=1, max_size=3).map(lambda events: json.dumps({"events": events}).encode()),
    st.lists(st.one_of(pushes(), json_values), max_size=5).map(lambda events: json.dumps({"events": events}).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=300),
)
tokens = st.one_of(st.just(TOKEN), st.just(TOKEN), st.sampled_from([GUESS, "", "\xff\xfe", " ", "x" * 5000]))
content_types = st.one_of(
    st.just(CONTENT_TYPE),
    st.sampled_from(["application/json", "application/CloudEvents+JSON; a=b", "text/plain", "", "\xe9", MANIFEST]),
)
header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
other_headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Expect",
                "Upgrade",
                "Connection",
                "Transfer-Encoding",
                "traceparent",
                "Authorization",
                "Content-Type",
                "Content-Length",
                "Cookie",
                "X-Forwarded-For",
                "Host",
            ]
        )
        | st.from_regex(r"[A-Za-z!#$%&'*+.^_`|~-]{1,12}", fullmatch=True),
        st.sampled_from(["100-continue", "h2c", "upgrade", "chunked", "close", "websocket", "5", "-1"]) | header_text,
    ),
    max_size=4,
)
methods = st.one_of(
    st.just("POST"),
    st.just("POST"),
    st.sampled_from(["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "CONNECT", "TRACE", "PRI"]),
)
paths = st.one_of(
    st.just("/v1/notifications/REGISTRY"),
    st.just("/v1/notifications/REGISTRY"),
    st.sampled_from(["/v1/notifications/", "/v1/notifications/REGISTRY/", "*", "/", "//", "host:1", "http://h/livez"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40).map(lambda text: f"/{text}"),
    st.text(max_size=6).map(lambda text: f"/v1/notifications/{text.encode('utf-8', 'replace').hex()}%ff%00?{'q' * 9}"),
)


@pytest.fixture
async def hasty(bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    """A receiver that doesn't wait for what a broken request promised to send."""
    limits = {"FARSHORE_RECEIVER_BODY_TIMEOUT": "0.2", "FARSHORE_RECEIVER_HEAD_TIMEOUT": "0.2"}
    async with ReceiverProcess(tmp_path, bootstrap, {unique: "", f"{unique}-team": "team/"}, environ=limits) as process:
        yield process


async def test_whatever_is_sent_the_answer_is_a_promised_one_and_what_was_accepted_is_kept(
    hasty: ReceiverProcess, bootstrap: str, unique: str
) -> None:

    sent = Sent()

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
    )
    @given(methods, paths, tokens, content_types, other_headers, bodies, st.booleans())
    def try_one(
        method: str,
        path: str,
        token: str,
        content_type: str,
        more: list[tuple[str, str]],
        body: bytes,
        plain: bool,
    ) -> None:
        if plain:  # an ordinary notification among the others
            method, path, token, content_type, more = "POST", "/v1/notifications/REGISTRY", TOKEN, CONTENT_TYPE, []
        lines = [
            f"{method} {path.replace('REGISTRY', unique)} HTTP/1.1",
            "Connection: close",
            f"Authorization: Bearer {f'{TOKEN}-{unique}' if token == TOKEN else token}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in more),
        ]
        status, headers, answer = exchange(hasty.port, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        assert status < 500 or status == 503, (status, answer)
        assert status in (0, 503) or 200 <= status < 500
        if status >= 400:
            assert headers[b"content-type"] == b"application/problem+json"
            assert method == "HEAD" or json.loads(answer[: int(headers[b"content-length"])])["status"] == status
        if status == 202:
            sent.accepted += 1
            counts = dict(part.split(b"=") for part in headers[b"farshore-accepted"].split(b", "))
            sent.dead_letters += int(counts[b"dead-letters"])
            if plain and counts[b"dead-letters"] == counts[b"dropped"] == b"0" and counts[b"events"] != b"0":
                sent.digests |= {event["target"]["digest"] for event in json.loads(body)["events"]}

    try_one()
    assert await hasty.answers("/readyz")
    assert sent.accepted > EXAMPLES // 10
    events = [Event.from_json(record.value, "here") for record in await records_of(bootstrap, EVENTS, unique)]
    assert sent.digests
    assert sent.digests <= {event.digest for event in events}
    assert len(await records_of(bootstrap, DEADLETTER, unique)) >= sent.dead_letters
    log = hasty.log()
    assert "Traceback" not in log
    assert GUESS not in log
    assert f"{TOKEN}-{unique}" not in log
