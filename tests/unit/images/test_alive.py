"""The images' health check, as the Dockerfile calls it."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from documents import ROOT


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing on standard error."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


PROXY = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


def check(path: str, environ: dict[str, str], where: str = "FARSHORE_LISTEN") -> tuple[int, str]:
    command = (sys.executable, "-IS", str(ROOT / "images" / "alive.py"), where, path)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
def test_a_process_that_answers_is_alive(port: int, host: str) -> None:
    assert check("/livez", {"FARSHORE_LISTEN": f"{host}:{port}", **PROXY}) == (0, "")


def test_the_address_may_be_given_itself(port: int) -> None:
    assert check("/livez", PROXY, f"127.0.0.1:{port}") == (0, "")
    assert check("/other", PROXY, f"127.0.0.1:{port}") == (1, f"127.0.0.1:{port}: /other is answered with 503")


def test_a_refusal_is_no_life(port: int) -> None:
    assert check("/other", {"FARSHORE_LISTEN": f"127.0.0.1:{port}"}) == (
        1,
        "FARSHORE_LISTEN: /other is answered with 503",
    )


def test_silence_is_no_life() -> None:
    # port 0 is nobody's
    code, told = check("/livez", {"FARSHORE_LISTEN": "127.0.0.1:0"})
    assert code == 1
    assert told.startswith("FARSHORE_LISTEN: no answer: ")


@pytest.mark.parametrize("environ", [{}, {"FARSHORE_LISTEN": "host:"}, {"FARSHORE_LISTEN": "host:http"}])
def test_an_address_that_is_none_is_told(environ: dict[str, str]) -> None:
    assert check("/livez", environ) == (1, "FARSHORE_LISTEN is no host:port")
