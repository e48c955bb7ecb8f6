"""Dead letters: what can't be handled is kept with the reason, so that it can be looked at and sent again."""

from collections.abc import Iterable
from datetime import datetime

from farshore.records.deadletters import DeadLetter, without_secrets
from farshore_receiver.adapters import Rejected

_MOST_HEADER_BYTES = 16 * 1024


def dead_letter(
    rejected: Rejected, *, registry: str, value: bytes, headers: Iterable[tuple[bytes, bytes]], at: datetime, limit: int
) -> DeadLetter:
    """The record of one rejection; of a value longer than `limit` bytes only the beginning is kept.

    `headers` are the request's; those that may hold a secret are left out, and so is what exceeds 16 KiB.
    """
    return DeadLetter(
        service="farshore-receiver",
        source=f"POST /v1/notifications/{registry}",
        code=rejected.code,
        reason=rejected.reason if len(value) <= limit else f"{rejected.reason} (only the first {limit} bytes are kept)",
        at=at,
        value=value[:limit],
        original_headers=_kept(headers),
        is_cut=rejected.code == "too-large" or len(value) > limit,
    )


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, bytes], ...]:
    kept: list[tuple[str, bytes]] = []
    room = _MOST_HEADER_BYTES
    for name, value in without_secrets((raw.decode("latin-1"), value) for raw, value in headers):
        room -= len(name) + len(value)
        if room >= 0:
            kept.append((name, value))
    return tuple(kept)
