"""Posts a notification to the receiver again."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore_cli.deadletters.printable import printable
from farshore_cli.deadletters.route import ToReceiver

_TIMEOUT_SECONDS = 15.0
_TRIES = 5
_PAUSE_SECONDS = 1.0  # what the receiver's Retry-After says
_COUNTS = re.compile(r"events=(?P<events>\d+), dropped=\d+, dead-letters=(?P<letters>\d+)")


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver answered 202: Kafka has what came of it. `again`: that is another dead letter."""

    again: bool


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The receiver refused this one; others may pass."""

    reason: str


class Receiver:
    """The receiver at `url`; `token_for` tells a registry's bearer token or raises ConfigurationError."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token_for: Callable[[str], str]) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token_for = token_for

    async def post(self, to: ToReceiver, body: bytes) -> Taken | NotTaken:
        """Post until it is answered.

        Raises ConfigurationError when the token is refused, FarshoreError (retry soon) when the receiver can't be
        reached or doesn't get Kafka's acknowledgement: whether it was taken is then unknown.
        """
        url = f"{self._url}/v1/notifications/{to.registry}"
        headers = {"Authorization": f"Bearer {self._token_for(to.registry)}", "Content-Type": to.content_type}
        headers |= dict(to.attributes)
        if to.traceparent:
            headers["traceparent"] = to.traceparent
        reason = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_SECONDS)
            try:
                timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
                async with self._session.post(
                    url, data=body, headers=headers, timeout=timeout, allow_redirects=False
                ) as answer:
                    if answer.status == 202:
                        return Taken(again=_became_letter(answer.headers.get("farshore-accepted", "")))
                    reason = f"HTTP {answer.status} {await _problem(answer)}".rstrip()
                    if answer.status in (401, 403):
                        hint = "give the registry's notification token with --token or --topology"
                        raise ConfigurationError("post", url, reason, hint=hint)
                    if answer.status < 500:
                        return NotTaken(reason)
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or "no answer"
        raise FarshoreError("post", url, reason, retry=RetryClass.RETRY_SOON, hint="is --receiver right, and is it up?")


def _became_letter(counts: str) -> bool:
    match = _COUNTS.fullmatch(counts)
    return match is not None and int(match["letters"]) > 0


async def _problem(answer: aiohttp.ClientResponse) -> str:
    """The problem's word, of an answer that may be anybody's."""
    text = (await answer.content.read(4096)).decode(errors="replace")
    match = re.search(r"urn:farshore:problem:([a-z-]+)", text)
    return match[1] if match else printable(text, 80)
