"""The application: the endpoint, and problems for everything that isn't one."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from farshore_receiver import problems
from farshore_receiver.problems import Problem
from farshore_receiver.receive import Notifications

_PREFIX = "/v1/notifications"


class ReceiverApp(FastAPI):
    """FastAPI, with a short way past its middleware and routing for the one path that has to be fast.

    The endpoint is an ASGI application of its own: it has to look at the token before it reads the body and to stop
    reading at a limit, and what FastAPI does around an endpoint costs as much as the endpoint itself
    (bench/receiver.py). The route is registered too, for the methods that it doesn't have.
    """

    def __init__(self, notifications: Notifications) -> None:
        super().__init__(
            title="farshore receiver",
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            max_body_size=None,
            telemetry={"tracing": False, "metrics": False, "logs": False},  # the receiver has its own
        )
        self._notifications = notifications
        self.router.routes.append(Route(f"{_PREFIX}/{{registry}}", notifications, methods=["POST"]))
        self.add_exception_handler(HTTPException, _explain)
        self.add_exception_handler(Exception, _apologise)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            prefix, _, registry = scope["path"].rpartition("/")
            if prefix == _PREFIX and registry:
                scope["path_params"] = {"registry": registry}
                await self._notify(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _notify(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._notifications(scope, receive, send)
        except Exception:
            await problems.FAILED.send(send)
            raise  # the server logs it with its traceback


async def _explain(_request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, no such method."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    known = {404: problems.UNKNOWN_PATH, 405: problems.WRONG_METHOD}
    problem = known.get(status) or Problem(HTTPStatus(status), "refused", "See the status.")
    return _response(problem, getattr(error, "headers", None))


async def _apologise(_request: Request, _error: Exception) -> Response:
    """An unexpected failure; the server logs it with its traceback."""
    return _response(problems.FAILED, None)


def _response(problem: Problem, headers: dict[str, str] | None) -> Response:
    response = Response(problem.body(), problem.status.value, headers, "application/problem+json")
    for name, value in problem.headers:
        response.headers[name.decode()] = value.decode()
    return response
