"""When a registry wants to be asked again: pure. Source: RFC 9110, section 10.2.3."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 300.0
"""A registry that asks for more is asked again after this: it may be well by then, and people wait for it."""


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """The pause that an answer's `Retry-After` asks for, in seconds; 0 where it asks for none or for nonsense.

    A date is held against the answer's own `Date`: hosts' clocks are never compared.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_SECONDS)
    try:
        wanted = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):  # no dates, or one with and one without a time zone
        return 0.0
    return min(max(0.0, wanted.total_seconds()), LONGEST_SECONDS)
