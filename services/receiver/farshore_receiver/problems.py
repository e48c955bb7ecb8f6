"""Refusals as `application/problem+json` (RFC 9457): what is wrong, and what the reader can do about it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Send

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal. `code` is a stable word; `detail` says what to do."""

    status: HTTPStatus
    code: str
    detail: str
    headers: Headers = ()

    def body(self) -> bytes:
        """The JSON object."""
        return json.dumps(
            {
                "type": f"urn:farshore:problem:{self.code}",
                "title": self.status.phrase,
                "status": self.status.value,
                "detail": self.detail,
            }
        ).encode()

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's headers."""
        return [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self.body())).encode()),
            *self.headers,
        ]

    def response(self) -> bytes:
        """The whole answer, for a connection that has made no request; it is closed then."""
        lines = [b"HTTP/1.1 %d %s" % (self.status.value, self.status.phrase.encode())]
        lines += [name + b": " + value for name, value in self.all_headers()]
        return b"\r\n".join([*lines, b"", self.body()])

    async def send(self, send: Send) -> None:
        """Answer an ASGI request."""
        await send({"type": "http.response.start", "status": self.status.value, "headers": self.all_headers()})
        await send({"type": "http.response.body", "body": self.body()})


_CHALLENGE: Headers = ((b"www-authenticate", b'Bearer realm="farshore"'),)
_BAD_CHALLENGE: Headers = ((b"www-authenticate", b'Bearer realm="farshore", error="invalid_token"'),)
_SOON: Headers = ((b"retry-after", b"1"),)
_CLOSE: Headers = ((b"connection", b"close"),)

NO_TOKEN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "no-token",
    "Send one header 'Authorization: Bearer TOKEN' (in the registry: notifications.endpoints[].headers).",
    _CHALLENGE,
)
WRONG_TOKEN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "wrong-token",
    "This token is not known. Compare it with the registry's notifications.tokens in the topology.",
    _BAD_CHALLENGE,
)
OTHER_REGISTRY = Problem(
    HTTPStatus.FORBIDDEN,
    "other-registry",
    "This token belongs to another registry. Correct the last part of the URL, or the token.",
)
UNKNOWN_REGISTRY = Problem(
    HTTPStatus.NOT_FOUND,
    "unknown-registry",
    "The topology has no registry of this name. Post to /v1/notifications/NAME with a name under registries.",
)
UNKNOWN_PATH = Problem(HTTPStatus.NOT_FOUND, "unknown-path", "Post to /v1/notifications/NAME.")
WRONG_METHOD = Problem(HTTPStatus.METHOD_NOT_ALLOWED, "wrong-method", "See the header Allow for what works here.")
SLOW_BODY = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "slow-body",
    "The body wasn't complete in time. Send it again, faster.",
    _CLOSE,
)
NOT_A_NOTIFICATION = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not-a-notification",
    "Send a registry's notification with its own Content-Type, for instance "
    "application/vnd.docker.distribution.events.v2+json.",
)
NOT_HTTP = Problem(HTTPStatus.BAD_REQUEST, "not-http", "This is not a request of HTTP/1.1.", _CLOSE)
SLOW_HEAD = Problem(
    HTTPStatus.REQUEST_TIMEOUT, "slow-head", "The request's headers weren't complete in time. Send it again.", _CLOSE
)
LONG_HEAD = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "long-head", "The request's headers are longer than 64 KiB.", _CLOSE
)
TOO_MANY_CONNECTIONS = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "too-many-connections",
    "Too many connections are open. Send it again in a moment.",
    (*_SOON, *_CLOSE),
)
TOO_BUSY = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "too-busy", "Too many requests are under way. Send it again in a moment.", _SOON
)
NOT_ACCEPTED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "not-accepted",
    "Kafka hasn't acknowledged this notification yet. Send it again; nothing is lost or doubled by that.",
    _SOON,
)
FAILED = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "The receiver failed; its log says why. Send it again later.", _SOON
)
