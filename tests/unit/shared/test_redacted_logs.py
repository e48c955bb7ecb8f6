"""Logs are one JSON object a line, with trace ids, and without credentials in any of their usual forms."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from farshore.telemetry import configure_logs, event
from farshore.telemetry.redact import redact, redact_value

SECRET = "hunter2.and-more_0/+~="


@pytest.mark.parametrize(
    "form",
    [
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        "AUTHORIZATION={}",
        'Proxy-Authorization: Digest username="x", response="{}"',
        "sent Bearer {} to it",
        "sent basic {}",
        "('Authorization', 'Bearer {}')",
        "[(b'authorization', b'Bearer {}')]",
        "Cookie: a=b; session={}",
        "X-Api-Key: {}",
        "x-auth-token: {}",
        "https://admin:{}@nyc.example/api",
        "https://{}@nyc.example/api",
        "postgres://user:{}@host:5432/db",
        "https://nyc.example/?access_token={}&x=1",
        "password={}",
        "passwd: {}",
        "client_secret = {}",
        '{{"password": "{}"}}',
        '{{"password":"{}","x":1}}',
        '{{\\"password\\": \\"{}\\"}}',
        '{{"token": "a\\"{}"}}',
        "{{'secret': '{}'}}",
        'TOKEN="{} with a blank"',
        "FARSHORE_TOKEN={}",
        "passphrase: {}",
        "credentials: {}",
        "AWS_ACCESS_KEY={}",
        "private-key: {}",
    ],
)
def test_a_credential_in_a_text_is_blanked(form: str) -> None:
    secret = SECRET.replace("/", "") if "@" in form else SECRET  # a slash would end the user part of a URL
    shown = redact(f"before {form.format(secret)}")
    assert secret not in shown
    assert "hunter2" not in shown
    assert "and-more" not in shown
    assert shown.startswith("before ")
    assert "***" in shown


@pytest.mark.parametrize("special", ["p@ss!w$rd", "päss", "a b", "$(x)", "x"])
def test_a_quoted_password_goes_whole_whatever_it_is_made_of(special: str) -> None:
    assert redact(json.dumps({"password": special, "port": 1}, ensure_ascii=False)) == '{"password": "***", "port": 1}'


@pytest.mark.parametrize(
    "text",
    [
        "read secret env:TOKEN: the variable is not set",
        "read secret env:MAIN_TOKEN: the variable is not set (set MAIN_TOKEN, or name a file)",
        "read secret file:/run/secrets/token: No such file or directory",
        "password: env:NYC_PASSWORD",
        "team/app@sha256:0123 at http://nyc.example:5000/v2/team/app@sha256:0123",
        "3 tokens of 2 registries",
        "unexpected token at line 3",
        "the token is wrong",
        'WWW-Authenticate: Basic realm="registry"',
    ],
)
def test_what_helps_and_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece", ["password", "authorization:", "://a", "password='", "env:", "file:/x", "token=\\", "Bearer ", "\\\\\\"]
)
def test_long_texts_are_redacted_without_backtracking(piece: str) -> None:
    redact(piece * 10_000)


def test_values_under_a_secrets_name_go_at_every_depth() -> None:
    shown = redact_value(
        {
            "password": "x",
            "ontap": {"api_key": 5, "url": "http://a:b@h", "username": "admin"},
            "headers": [{"Authorization": "abc"}],
            "token": None,
            "secret": "env:NYC",
            "tokens": 3,
        }
    )
    assert shown == {
        "password": "***",
        "ontap": {"api_key": "***", "url": "http://***@h", "username": "admin"},
        "headers": [{"Authorization": "***"}],
        "token": None,
        "secret": "env:NYC",
        "tokens": 3,
    }


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the root logger writes while the test runs."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("farshore-test", "debug")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return [json.loads(line, parse_constant=refuse) for line in text.split("\n") if line]


log = logging.getLogger("farshore.test")


def test_a_line_says_when_who_what_and_the_named_values(lines: io.StringIO) -> None:
    event(log, logging.WARNING, "transfer finished", relationship="main.fra", bytes=4096, password="hunter2")
    (line,) = parsed(lines)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "farshore-test",
        "logger": "farshore.test",
        "message": "transfer finished",
        "relationship": "main.fra",
        "bytes": 4096,
        "password": "***",
    }


def test_a_failures_trace_is_in_one_line_and_without_credentials(lines: io.StringIO) -> None:
    try:
        raise ValueError("no answer from https://admin:hunter2@nyc.example")
    except ValueError:
        log.exception("failed with %s", "password=hunter2")
    (line,) = parsed(lines)
    assert "ValueError" in line["error"]
    assert "Traceback" in line["error"]
    assert "hunter2" not in json.dumps(line)


def test_a_line_within_a_span_has_its_trace_id_and_one_outside_has_none(lines: io.StringIO) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        log.info("inside")
    log.info("outside")
    inside, outside = parsed(lines)
    assert inside["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in outside


def test_a_value_cant_take_the_place_of_the_lines_own(lines: io.StringIO) -> None:
    event(log, logging.INFO, "x", time="never", service="other", logger="other")
    (line,) = parsed(lines)
    assert line["time"] != "never"
    assert (line["service"], line["logger"]) == ("farshore-test", "farshore.test")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(), value=anything)
def test_whatever_is_logged_each_line_is_json(lines: io.StringIO, message: str, value: object) -> None:
    event(log, logging.INFO, message.replace("%", "%%"), value=value)
    (line,) = parsed(lines)
    assert "value" in line
