"""Which bearer tokens open which registry; files are read again when they change."""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore.reread import signatures
from farshore.secrets import read_secret
from farshore.settings import Collected
from farshore.telemetry import event
from farshore.topology import Topology
from farshore_receiver import metrics

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 1.0


def check_tokens(topology: Topology) -> None:
    """Raises ConfigurationError where a token can't be read."""
    collected = Collected()
    for name, registry in topology.registries.items():
        for reference in registry.notifications.tokens:
            setting = f"registries.{name}.notifications.tokens"
            collected.get(partial(read_secret, reference, setting=setting))
    collected.raise_if_any()


class Tokens:
    """The digests of all tokens of all registries; the tokens themselves are not kept.

    A file that can't be read any more leaves the last good tokens in force: a slip while rotating must not stop the
    notifications of a registry. Raises ConfigurationError when a reference can't be read at the start.
    """

    def __init__(
        self, references: Mapping[str, Sequence[str]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._sources = [_Source(registry, reference) for registry, some in references.items() for reference in some]
        self._pairs: list[tuple[bytes, str]] = self._collect()
        self._next_look = monotonic() + _LOOK_AGAIN_SECONDS

    def opens(self, token: bytes) -> frozenset[str]:
        """The registries that `token` opens. Takes the same time for every token: nothing ends the comparison early."""
        now = self._monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_AGAIN_SECONDS
            changed = [source for source in self._sources if source.refreshed()]
            if changed:
                self._pairs = self._collect()
        digest = hashlib.sha256(token).digest()
        matches = [(hmac.compare_digest(digest, known), registry) for known, registry in self._pairs]
        return frozenset([registry for match, registry in matches if match])

    def _collect(self) -> list[tuple[bytes, str]]:
        return [(digest, source.registry) for source in self._sources for digest in source.digests]


class _Source:
    """One secret reference of one registry."""

    def __init__(self, registry: str, reference: str) -> None:
        self.registry = registry
        self._reference = reference
        kind, _, place = reference.partition(":")
        self._paths = [Path(place)] if kind == "file" else []
        self._seen = signatures(self._paths)
        self.digests = _digests(reference)

    def refreshed(self) -> bool:
        """Read the file again if it changed; True when that gave tokens."""
        seen = signatures(self._paths)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.digests = _digests(self._reference)
        except ConfigurationError as error:
            metrics.token_failures.labels(self.registry).inc()
            event(log, logging.ERROR, "can't read tokens again, the old ones stay in force", error=str(error))
            return False
        event(log, logging.INFO, "tokens read again", registry=self.registry, tokens=len(self.digests))
        return True


def _digests(reference: str) -> tuple[bytes, ...]:
    """The digests of the tokens behind a reference, one a line."""
    lines = (line.strip() for line in read_secret(reference).splitlines())
    return tuple(hashlib.sha256(line.encode()).digest() for line in lines if line)
