"""What a registry's answer means before its body is read, and how long one may take, whichever client asks."""

import os
import ssl
import time
from collections.abc import Mapping

from yarl import URL

from farshore.registry.errors import ContentNotFoundError, RegistryAnsweredError, TimedOutError, UnreachableError
from farshore.registry.retry_after import retry_after_seconds
from farshore.tls import what_helps, why_not_trusted

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A blob that comes more slowly than this has timed out, even if it never falls silent."""


class Restraint:
    """Until when a registry wants to be left alone; all that ask it share one, in whichever thread."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def seconds(self) -> float:
        """How long nothing may be asked, from now; 0 or less where it may be asked at once."""
        return self._until - time.monotonic()

    def heed(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in what an answer asks for."""
        if status in (429, 503):
            self._until = max(self._until, time.monotonic() + retry_after_seconds(headers))


def longest_seconds(silence: float, expected_bytes: int | None) -> float | None:
    """How long a whole answer may take: in proportion to its size, at the slowest rate; None sets no bound."""
    return None if expected_bytes is None else silence * 2 + expected_bytes / SLOWEST_BYTES_PER_SECOND


def not_connected(subject: str, error: OSError) -> UnreachableError:
    """There is no connection, for the reason that the system or TLS gives."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = what_helps(error, "ca_file, beside this url in the topology,")
        return UnreachableError(subject, why_not_trusted(error), hint=hint)
    if isinstance(error, ssl.SSLError):
        reason = f"TLS failed ({error.reason})"
    elif isinstance(error, TimeoutError):
        reason = "no connection within the time-out"
    elif error.errno is not None and error.errno > 0:
        reason = os.strerror(error.errno)
    else:  # a name that can't be resolved has no errno, or a negative one
        reason = error.strerror or type(error).__name__
    return UnreachableError(subject, reason)


def timed_out(subject: str, silence: float) -> TimedOutError:
    """The answer fell silent for longer than `silence` seconds, or took too long as a whole."""
    return TimedOutError(subject, f"silent or too slow (waited {silence:g} s)")


def ended_early(subject: str) -> RegistryAnsweredError:
    """The body was cut off."""
    return RegistryAnsweredError(subject, 200, "the body ended before its length")


def not_http(subject: str, error: Exception) -> RegistryAnsweredError:
    """The answer can't be read."""
    return RegistryAnsweredError(subject, 0, f"not HTTP as it should be ({type(error).__name__})")


def redirects_without_end(subject: str) -> RegistryAnsweredError:
    """More than MAX_REDIRECTS in a row."""
    return RegistryAnsweredError(subject, 310, "redirects without end")


def raise_for_status(subject: str, status: int, reason: str) -> None:
    """Raise what any other status than 200 means."""
    if status == 404:
        raise ContentNotFoundError(subject)
    if status != 200:
        raise RegistryAnsweredError(subject, status, reason)


def redirected(asked: URL, subject: str, status: int, location: str) -> URL:
    """Where a redirect points to; only within the origin that was asked: another host's content proves nothing."""
    try:
        target = asked.join(URL(location, encoded=True))
        host, at_home = target.host, target.origin() == asked.origin()
        str(target).encode("ascii")
    except ValueError:
        raise RegistryAnsweredError(subject, status, "points to no address") from None
    if not at_home:
        raise RegistryAnsweredError(subject, status, f"points to another host, {host}")
    return target
