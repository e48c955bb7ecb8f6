"""Says a thing once in a while: a registry with a wrong token comes back every second, for ever."""

import logging
import time
from collections.abc import Callable
from typing import Any

from farshore.telemetry import event

_EVERY_SECONDS = 10.0


class Quieter:
    """Logs a message at most once in ten seconds for each registry, and how often it was left out in between."""

    def __init__(self, log: logging.Logger, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._monotonic = monotonic
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def say(self, level: int, message: str, registry: str, **fields: Any) -> None:
        """`message` and `registry` come from a bounded set."""
        now = self._monotonic()
        last, left_out = self._last.get((message, registry), (now - _EVERY_SECONDS, 0))
        if now - last < _EVERY_SECONDS:
            self._last[message, registry] = (last, left_out + 1)
            return
        self._last[message, registry] = (now, 0)
        event(self._log, level, message, registry=registry, left_out=left_out, **fields)
