"""One blocking connection to a cluster: the transport of the `netapp-ontap` library, held to one time-out.

GETs go through the library's session and stay plain records: its resource objects cost several times the request
(docs/adr/0004-ontap-client.md has the figures). Changes go through its resource objects, never through its implicit
connection.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from netapp_ontap import NetAppRestError, config
from netapp_ontap.host_connection import HostConnection, LoggingAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProtocolError
from urllib3.util.retry import Retry

from farshore.errors import RetryClass
from farshore.ontap.errors import Call, OntapError, classify, hint_for
from farshore.ontap.parse import code_of
from farshore.tls import what_helps, why_not_trusted
from farshore.topology import Cluster

Params = Mapping[str, str | int]
Change = Callable[[HostConnection], Any]

config.ENABLE_VALIDATIONS = False  # a word that a newer ONTAP invents must not raise
config.RETRY_API_ON_ERROR = False
# Otherwise a Location that names a collection makes the library poll, and bind to whatever record comes first.
config.RETRY_ON_INCOMPLETE_LOCATION = False

PAGE = 1000
"""Records asked for in one reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a change that the cluster took."""

    status: int
    location: str | None
    job_uuid: str | None
    """The job that carries it out; None when it is done."""
    record: Mapping[str, Any]
    """What was made, as far as the cluster shows it (`return_records`); empty where it doesn't."""


class Connection:
    """Blocking and for one thread. `password` is asked for each request.

    Errors are OntapError with the class of `farshore.ontap.errors`.
    """

    def __init__(self, site: str, settings: Cluster, password: Callable[[], str]) -> None:
        address = urlsplit(settings.url)
        self._site = site
        self._place = f"at {site}"
        self._password = password
        self._replies: list[requests.Response] = []
        self._host = HostConnection(
            address.hostname or "",
            username=settings.username,
            password=password(),
            verify=settings.ca_file or _system_certificates(),
            scheme=address.scheme,
            port=address.port or (443 if address.scheme == "https" else 80),
            protocol_timeouts=(settings.timeout, settings.timeout),
        )
        session = self._host.session
        session.trust_env = False  # no proxy or .netrc of the environment between farshore and its storage
        # The library repeats a GET or DELETE five times, each with the whole time-out.
        session.mount(
            self._host.origin,
            LoggingAdapter(self._host, max_retries=Retry(0, read=False), timeout=self._host.protocol_timeouts),
        )
        session.hooks["response"].append(self._keep)

    def get(self, operation: str, path: str, params: Params) -> dict[str, Any]:
        """The record or collection at `path` (below `/api`)."""
        return self._get(operation, path, f"{self._host.origin}/api{path}", params)

    def records(self, operation: str, path: str, params: Params) -> Iterator[dict[str, Any]]:
        """Every record of the collection at `path`, page by page."""
        body = self._get(operation, path, f"{self._host.origin}/api{path}", {"max_records": PAGE, **params})
        while True:
            # Without `records` it is no empty collection but something else, say a proxy's page.
            yield from body["records"]
            following = body.get("_links", {}).get("next", {}).get("href")
            if not following:
                return
            body = self._get(operation, path, f"{self._host.origin}{following}", {})

    def change(self, operation: str, subject: str, call: Call, act: Change) -> Reply:
        """Have the library carry out `act`, which gets the connection to use. Not repeated: where no reply came, the
        error is `ambiguous` unless the request can't have left."""
        self._replies.clear()
        self._log_in()
        try:
            act(self._host)
        except NetAppRestError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, requests.RequestException):
                raise self._failure(operation, subject, call, cause) from error
            if not self._replies or not self._replies[-1].ok:  # the library refused what it was given
                raise OntapError(
                    operation, f"{subject} {self._place}", str(error), retry=classify(call, None, 400, "")
                ) from error
        return _reply(self._replies[-1])

    def send(
        self,
        operation: str,
        subject: str,
        call: Call,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
    ) -> Reply:
        """A change word for word, in place of what the library would make of it; else as `change`."""
        self._log_in()
        try:
            reply = self._host.session.request(method, f"{self._host.origin}/api{path}", json=body)
            reply.raise_for_status()
        except requests.RequestException as error:
            raise self._failure(operation, subject, call, error) from error
        return _reply(reply)

    def close(self) -> None:
        """Close the sockets."""
        self._host.session.close()

    def _get(self, operation: str, subject: str, url: str, params: Params) -> dict[str, Any]:
        self._log_in()
        try:
            try:
                reply = self._host.session.get(url, params=params)
            except requests.ConnectionError as error:
                if not _was_cut(error):
                    raise
                # The cluster closes connections that were idle; the next one is fresh.
                reply = self._host.session.get(url, params=params)
            reply.raise_for_status()
            return _json(reply)
        except requests.RequestException as error:
            raise self._failure(operation, subject, Call.READ, error) from error

    def _log_in(self) -> None:
        """With the password as it is now: it may be exchanged."""
        self._host.password = self._password()

    def _keep(self, reply: requests.Response, **_options: object) -> None:
        self._replies[:] = [reply]

    def _failure(self, operation: str, subject: str, call: Call, error: requests.RequestException) -> OntapError:
        reply = error.response
        code: int | None = None
        status: int | None = None
        if reply is None:
            message = _reason(error)
        else:
            status = reply.status_code
            detail = _object(_json(reply).get("error"))
            code = code_of(detail.get("code"))
            message = str(detail.get("message") or f"HTTP {status} {reply.reason}")
        untrusted = _certificate_error(error)
        no_tls = isinstance(error, requests.exceptions.SSLError)
        retry = RetryClass.OPERATOR if no_tls else classify(call, code, status, message)
        lost = not _never_sent(error) if status is None else status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return OntapError(
            operation,
            f"{subject} {self._place}",
            message if code is None else f"{message} [{code}]",
            retry=retry,
            hint=what_helps(untrusted, f"sites.{self._site}.ontap.ca_file")
            if untrusted
            else hint_for(retry, code, message),
            code=code,
            http_status=status,
            ambiguous=call is not Call.READ and lost,
        )


def _reply(reply: requests.Response) -> Reply:
    body = _json(reply)
    job = _object(body.get("job")).get("uuid") if reply.status_code == HTTPStatus.ACCEPTED else None
    records = body.get("records")
    alone = records[0] if isinstance(records, list) and len(records) == 1 else None
    return Reply(reply.status_code, reply.headers.get("Location"), job, _object(alone))


def _system_certificates() -> str | bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _json(reply: requests.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:  # an empty body, or a proxy's page
        return {}
    return _object(body)


def _object(value: object) -> dict[str, Any]:
    """`value`, or nothing where it isn't what ONTAP has there: something between may have answered."""
    return value if isinstance(value, dict) else {}


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Why the cluster's certificate isn't accepted; requests and urllib3 hide it in arguments and causes."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = getattr(error, "reason", None) if isinstance(error, MaxRetryError) else error.__cause__ or _first(error)
    return None


def _first(error: BaseException) -> BaseException | None:
    return error.args[0] if error.args and isinstance(error.args[0], BaseException) else None


def _was_cut(error: requests.ConnectionError) -> bool:
    return bool(error.args) and isinstance(error.args[0], ProtocolError)


def _never_sent(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return True
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return "no connection within the time-out"
    if isinstance(error, requests.Timeout):
        return "no answer within the time-out"
    if untrusted := _certificate_error(error):
        return why_not_trusted(untrusted)
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed: is it https there?"
    if _never_sent(error):
        return "connection refused or host not found"
    return "the connection broke before the answer"
