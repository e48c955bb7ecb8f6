"""How bearer tokens get to Kafka. Source: RFC 7628 section 3.2.3 (how a refusal is told)."""

from collections.abc import Awaitable, Callable

import aiokafka.conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import OAuthAuthenticator


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka's classes have no types
    """What aiokafka asks for a token at each connection."""

    def __init__(self, token: Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def token(self) -> str:
        """Raises one of KAFKA_FAILURES."""
        return await self._token()


class _HeedsRefusals(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka's classes have no types
    """aiokafka 0.14 takes a refusal for a success: RFC 7628's first answer has the reason, and only what the client
    says to that is answered with a failure. Every later request would then be met by silence."""

    _heard = False

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if payload and not self._heard:
            self._heard = True
            return b"\x01", True
        return await super().step(payload)  # type: ignore[no-any-return]


def heed_refused_tokens() -> None:
    """Have aiokafka report a refused token as SaslAuthenticationFailed."""
    aiokafka.conn.OAuthAuthenticator = _HeedsRefusals
