"""An OAuth 2.0 token endpoint with one client, over TLS."""

import ssl
from types import TracebackType
from typing import Self

from aiohttp import encode_basic_auth, web
from authorities import Certificate
from secured_kafka import bearer_token

CLIENT = "farshore-client"


class TokenEndpoint:
    """Gives tokens that last `lasts_seconds` to CLIENT with `secret`; `url` names it."""

    def __init__(self, certificate: Certificate, secret: str, lasts_seconds: float = 600.0) -> None:
        self._certificate = certificate
        self._runner: web.AppRunner | None = None
        self.secret = secret
        self.lasts_seconds = lasts_seconds
        self.given = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self._certificate.certificate, self._certificate.key)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if request.headers["Authorization"] != encode_basic_auth(CLIENT, self.secret):
            return web.json_response({"error": "invalid_client"}, status=401)
        self.given += 1
        token = bearer_token(self.lasts_seconds)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.lasts_seconds})
