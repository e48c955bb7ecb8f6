"""Fetching pinned files from a Maven repository that misbehaves."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farshore_cli.tools.kafka import Jar, JarsError, ensure_jars
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

CONTENT = b"a jar" * 100_000
JAR = Jar(path="org/example/one/1.0/one-1.0.jar", sha256=hashlib.sha256(CONTENT).hexdigest())


class Repository(ThreadingHTTPServer):
    """Serves `content` for every path; the first `cut_short` answers break off half-way."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.cut_short = 0
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/maven2"


class Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        repository = self.server
        repository.requests.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(repository.content)))
        self.end_headers()
        if len(repository.requests) <= repository.cut_short:
            self.wfile.write(repository.content[: len(repository.content) // 2])
        else:
            self.wfile.write(repository.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


@pytest.fixture
def repository() -> Iterator[Repository]:
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_jar_is_fetched_once_and_then_taken_from_the_folder(repository: Repository, tmp_path: Path) -> None:
    for _ in range(2):
        assert ensure_jars(tmp_path, jars=[JAR], maven_url=repository.url) == (tmp_path / JAR.name,)
    assert repository.requests == [f"/maven2/{JAR.path}"]
    assert (tmp_path / JAR.name).read_bytes() == CONTENT


def test_a_damaged_jar_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / JAR.name).write_bytes(CONTENT[:-1] + b"?")
    ensure_jars(tmp_path, jars=[JAR], maven_url=repository.url)
    assert (tmp_path / JAR.name).read_bytes() == CONTENT


def test_a_connection_that_breaks_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    repository.cut_short = 1
    ensure_jars(tmp_path, jars=[JAR], maven_url=repository.url)
    assert len(repository.requests) == 2
    assert (tmp_path / JAR.name).read_bytes() == CONTENT


def test_another_content_than_the_pinned_one_is_refused_and_leaves_no_file(
    repository: Repository, tmp_path: Path
) -> None:
    repository.content = b"something else"
    with pytest.raises(JarsError, match=JAR.sha256):
        ensure_jars(tmp_path, jars=[JAR], maven_url=repository.url)
    assert names(tmp_path) == []


def test_a_missing_network_is_said_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(JarsError, match=r"one-1\.0\.jar.*refused.*FARSHORE_MAVEN_URL"):
        ensure_jars(tmp_path, jars=[JAR], maven_url=f"http://127.0.0.1:{free_port()}")
    assert names(tmp_path) == []


def test_two_that_fetch_at_once_both_end_with_the_whole_jar(repository: Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_jars(tmp_path, jars=[JAR], maven_url=repository.url), range(4)))
    assert names(tmp_path) == [JAR.name]
    assert (tmp_path / JAR.name).read_bytes() == CONTENT
