"""What the probe makes of those who answer at a port."""

import socket
import struct
import threading

import pytest

from farshore_cli.tools.kafka import ClusterView, ask_cluster
from farshore_cli.tools.ports import free_port


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


NULL = struct.pack(">h", -1)
BROKER = struct.pack(">i", 7) + text("127.0.0.1") + struct.pack(">i", 9092) + NULL
BODY = struct.pack(">ii", 1, 1) + BROKER + text("cluster") + struct.pack(">ii", 7, 0)


def ask_one_that_answers(answer: bytes) -> ClusterView | None:
    """Ask a server that reads one request, sends `answer` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return ask_cluster("127.0.0.1", server.getsockname()[1], timeout_seconds=5)
        finally:
            thread.join()


def test_a_node_tells_its_cluster_and_the_brokers_in_service() -> None:
    answer = struct.pack(">i", len(BODY)) + BODY
    assert ask_one_that_answers(answer) == ClusterView(cluster_id="cluster", brokers=frozenset({7}))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        struct.pack(">i", len(BODY)) + BODY[:-10],
        struct.pack(">i", 14) + BODY[:14],
        struct.pack(">i", 8) + struct.pack(">ii", 1, 1_000_000),
    ],
    ids=["closed", "http", "cut short", "ends inside a broker", "promises too many brokers"],
)
def test_what_is_not_kafkas_answer_is_no_view(answer: bytes) -> None:
    assert ask_one_that_answers(answer) is None


def test_nobody_at_the_port_is_no_view() -> None:
    assert ask_cluster("127.0.0.1", free_port()) is None
