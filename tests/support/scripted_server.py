"""An HTTP server on loopback that answers as a test says, for what a well-behaved cluster never does."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply; `cut` closes the connection instead of sending it, `hang` sends nothing until the server ends."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False


Script = Callable[[str, str], Answer]


class ScriptedServer:
    """Answers each request with `script(method, path)` and remembers all in `requests` and `bodies`."""

    def __init__(self, script: Script) -> None:
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        ended = threading.Event()
        requests, bodies = self.requests, self.bodies

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                requests.append((self.command, self.path))
                answer = script(self.command, self.path)
                if answer.hang:
                    ended.wait()
                if answer.cut or answer.hang:
                    self.close_connection = True
                    return
                body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

        self._ended = ended
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
