"""A token server as the registry's Bearer authentication wants one: it signs what a user may do. For tests.

Source: CNCF distribution, "Token Authentication Specification"; tokens are JSON Web Tokens (RFC 7519), signed by RS256.
"""

import base64
import json
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

SERVICE = "registries of the test"
ISSUER = "the test"


@dataclass(frozen=True)
class Signer:
    """A key and its self-signed certificate."""

    openssl: str
    key: Path
    certificate: Path

    @classmethod
    def make(cls, openssl: str, folder: Path, name: str) -> "Signer":
        signer = cls(openssl, folder / f"{name}.key", folder / f"{name}.pem")
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2"]
        command += ["-keyout", str(signer.key), "-out", str(signer.certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return signer

    def token(self, user: str, access: list[dict[str, object]]) -> str:
        """A token by which `user` may do what `access` says, for a minute."""
        lines = self.certificate.read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "iat": now, "nbf": now - 10, "exp": now + 60}
        claims |= {"jti": secrets.token_hex(8), "access": access}
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        command = [self.openssl, "dgst", "-sha256", "-sign", str(self.key)]
        done = subprocess.run(command, input=signed.encode(), check=True, capture_output=True, timeout=300)
        return f"{signed}.{_encoded(done.stdout)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenServer:
    """Gives tokens to one user for whatever that one asks; use it as an async context manager."""

    def __init__(self, signer: Signer, user: str, password: str) -> None:
        self.signer = signer
        self.realm = ""
        self._known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        application = web.Application()
        application.router.add_get("/token", self._answer)
        self._runner = web.AppRunner(application)

    async def __aenter__(self) -> "TokenServer":
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.realm = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._known:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}, status=401)
        access: list[dict[str, object]] = []
        for scope in request.query.getall("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        return web.json_response({"token": self.signer.token("reader", access)})

    def auth(self) -> str:
        """The `auth` of a registry's configuration that trusts this server."""
        bundle = self.signer.certificate
        settings = {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}
        return f"auth: {json.dumps({'token': settings})}\n"
