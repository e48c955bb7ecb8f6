"""Bearer tokens from an endpoint by client credentials. Imported only where there is one: an HTTP client takes a while.

Source: RFC 6749 section 4.4.
"""

import asyncio
import json
import ssl
import time
from typing import Any

import aiohttp
from aiokafka.errors import KafkaConnectionError

from farshore.bus.access_settings import AccessSettings, variable
from farshore.bus.refusals import KafkaRefusedError
from farshore.reread import Reread
from farshore.tls import why_not_trusted

_SECONDS = 4.0
_LARGEST_ANSWER_BYTES = 256 * 1024
_USED_SHARE = 0.8
"""A token is asked for again after this share of its life: Kafka cuts a client off that comes with an old one."""
_UNTOLD_LIFE_SECONDS = 60.0


class TokenEndpoint:
    """Asks `token_url` for a token with client credentials, and keeps it for most of its life."""

    def __init__(self, settings: AccessSettings, secret: Reread[str], tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._secret = secret
        self._tls = tls
        self._asking = asyncio.Lock()
        self._kept: tuple[str, str, float] | None = None

    async def token(self) -> str:
        """Raises KafkaRefusedError where the endpoint refuses, KafkaConnectionError where it can't be asked."""
        async with self._asking:
            secret = self._secret()
            if self._kept is None or self._kept[1] != secret or time.monotonic() >= self._kept[2]:
                asked = time.monotonic()
                token, life_seconds = await self._ask(secret)
                self._kept = token, secret, asked + life_seconds * _USED_SHARE
            return self._kept[0]

    async def _ask(self, secret: str) -> tuple[str, float]:
        settings = self._settings
        form = {"grant_type": "client_credentials"} | ({"scope": settings.token_scope} if settings.token_scope else {})
        login = aiohttp.encode_basic_auth(settings.token_client_id, secret, "utf-8")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
                session.post(
                    settings.token_url,
                    data=form,
                    headers={"Accept": "application/json", "Authorization": login},
                    ssl=self._tls,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(_LARGEST_ANSWER_BYTES)
                status = answer.status
        except aiohttp.ClientConnectorCertificateError as error:
            reason = why_not_trusted(error.certificate_error)
            raise self._refused("token_ca_file", reason, "set it to the CA's certificate") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            raise KafkaConnectionError(f"no token from {settings.token_url}: {reason}") from error
        if status in (400, 401, 403):
            word = _word(body)
            raise self._refused("token_client_secret", f"{status} {word}".strip(), "correct it, or the client's id")
        if status >= 500 or status == 429:
            raise KafkaConnectionError(f"no token from {settings.token_url}: it answered {status}")
        return self._token_in(status, body)

    def _token_in(self, status: int, body: bytes) -> tuple[str, float]:
        found = _json(body) if status == 200 else {}
        token, life = found.get("access_token"), found.get("expires_in", _UNTOLD_LIFE_SECONDS)
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            reason = f"it answered {status}, and no access_token"
            raise self._refused("token_url", reason, "name an OAuth 2.0 token endpoint")
        return token, float(life) if isinstance(life, int | float) else _UNTOLD_LIFE_SECONDS

    def _refused(self, field: str, reason: str, hint: str) -> KafkaRefusedError:
        return KafkaRefusedError(
            "get a token from", f"{self._settings.token_url} with {variable(field)}", reason, hint=hint
        )


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(body: bytes) -> str:
    """RFC 6749's code of a refusal, such as `invalid_client`; nothing else of what a stranger sends is repeated."""
    word = _json(body).get("error")
    return word if isinstance(word, str) and word.isidentifier() and len(word) < 40 else ""
