"""Step 1: who is asking, and may they post for this registry."""

from collections.abc import Collection, Iterable
from enum import StrEnum

from farshore_receiver.tokens import Tokens

_LONGEST_TOKEN = 4096


class Access(StrEnum):
    """The answer to a sender."""

    GRANTED = "granted"
    NO_TOKEN = "no-token"  # noqa: S105 - the name of an outcome
    WRONG_TOKEN = "wrong-token"  # noqa: S105
    OTHER_REGISTRY = "other-registry"
    """The token is good, for another registry."""
    UNKNOWN_REGISTRY = "unknown-registry"
    """The token is good, there is no such registry. Told only to those with a good token: names can't be probed."""


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The token of the one `Authorization: Bearer …` header (RFC 6750); None without, or where there are several."""
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    token = token.strip()
    return token if scheme.lower() == b"bearer" and 0 < len(token) <= _LONGEST_TOKEN else None


def authenticate(
    headers: Iterable[tuple[bytes, bytes]], registry: str, registries: Collection[str], tokens: Tokens
) -> Access:
    """Whether the sender with these request headers (names in lower case) may post for `registry`."""
    token = bearer_token(headers)
    if token is None:
        return Access.NO_TOKEN
    opened = tokens.opens(token)
    if not opened:
        return Access.WRONG_TOKEN
    if registry not in registries:
        return Access.UNKNOWN_REGISTRY
    return Access.GRANTED if registry in opened else Access.OTHER_REGISTRY
