"""Blanks credentials out of what is logged.

By name: a value that belongs to a word like `password` or `authorization` goes, whatever it looks like. By form:
bearer and basic credentials, and the user part of URLs, go wherever they stand in a text. References (`env:NAME`,
`file:/path`) stay: they say where a secret is, not what it is.
"""

import re
from collections.abc import Mapping
from typing import Any

BLANK = "***"

_WORD = r"(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)"
_HEADER = r"(?:authorization|cookie)"
_NAME = re.compile(rf"(?i)(?:.*[-_ ])?(?:{_WORD}|{_HEADER})")

_IS = r"\\*[\"']?\s*[:=]\s*"
_QUOTED = r"(?P<escape>\\*)(?P<quote>[\"'])(?:(?!(?P=escape)(?P=quote))(?:\\.|[^\r\n]))*"
_HEADER_LINE = re.compile(rf"(?i)(?P<name>{_HEADER}{_IS})(?:{_QUOTED}|[^\r\n]+)")
_ASSIGNMENT = re.compile(
    rf"(?i)(?P<reference>(?:env:|file:/)\S{{0,200}}?)?(?P<name>{_WORD}{_IS})(?!\\*[\"']?(?:env:|file:/))"
    rf"(?:{_QUOTED}|[^\s,;&\"'{{}}\[\]()<>\\]+)"
)
_SCHEME = re.compile(r"(?i)\b(?P<name>(?:bearer|basic|digest|negotiate)\s+)(?!realm\b)[A-Za-z0-9._~+/=-]{3,}")
_URL_USER = re.compile(r"(?<=://)[^\s/@\"'<>]+@")


def redact(text: str) -> str:
    """`text` with credentials of the usual forms replaced by `***`."""
    text = _URL_USER.sub(f"{BLANK}@", text)
    for pattern in (_HEADER_LINE, _ASSIGNMENT, _SCHEME):
        text = pattern.sub(_blanked, text)
    return text


def _blanked(found: re.Match[str]) -> str:
    parts = found.groupdict()
    if parts.get("reference"):  # an error about the place where a secret is
        return found[0]
    return f"{parts['name']}{parts.get('escape') or ''}{parts.get('quote') or ''}{BLANK}"


def redact_value(value: Any) -> Any:
    """`value` as it may be logged: redacted at every depth, and blanked where its name says that it is secret.

    What JSON has no form for becomes its `str`.
    """
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if abs(value) < float("inf") else str(value)
        case Mapping():
            return {str(name): redact_field(str(name), inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_value(inner) for inner in value]
        case _:
            return redact(str(value))


def redact_field(name: str, value: Any) -> Any:
    """`value` as it may be logged under `name`."""
    is_secret = _NAME.fullmatch(name) and not (value is None or isinstance(value, bool))
    if is_secret and not str(value).startswith(("env:", "file:/")):
        return BLANK
    return redact_value(value)
