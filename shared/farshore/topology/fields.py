"""Types of the topology file's values: durations, names, secrets by reference, addresses."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

_DURATION = re.compile(r"(?P<amount>[0-9]{1,15}(?:\.[0-9]{1,15})?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_duration(value: Any) -> Any:
    """Seconds of `250ms`, `5s`, `10m`, `1h`, `2d`; a bare number is refused since its unit would be a guess."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match["amount"]) * _SECONDS[match["unit"]]
    raise ValueError("not a duration: write a number and ms, s, m, h or d, for instance 250ms or 5m")


def format_duration(seconds: float) -> str:
    """`seconds` as the file writes them, in the largest unit that needs no fraction."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    milliseconds = f"{seconds * 1000:.9f}".rstrip("0").rstrip(".")
    return f"{milliseconds}ms" if seconds else "0s"


DURATION = r"^[0-9]{1,15}(\.[0-9]{1,15})?(ms|s|m|h|d)$"
_duration_schema = WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["250ms", "5m"]})
_as_written = PlainSerializer(format_duration, return_type=str, when_used="json")

Seconds = Annotated[float, BeforeValidator(parse_duration), _as_written, _duration_schema]
"""A duration; `250ms` or `5m` in the file, seconds in the program."""

PositiveSeconds = Annotated[float, Field(gt=0), BeforeValidator(parse_duration), _as_written, _duration_schema]
"""A duration longer than nothing."""

NAME = r"^[a-z][a-z0-9-]{0,30}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A site's or registry's name: it goes into Kafka group names, record keys and URLs."""

SECRET_REFERENCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$"  # noqa: S105 - the form of a reference, not a secret
SecretReference = Annotated[str, StringConstraints(pattern=SECRET_REFERENCE)]
"""Where a secret is: `env:NAME` or `file:/absolute/path`. The secret itself never stands in the file."""

OPTIONAL_SECRET_REFERENCE = rf"^$|{SECRET_REFERENCE}"
OptionalSecretReference = Annotated[str, StringConstraints(pattern=OPTIONAL_SECRET_REFERENCE)]
"""The same, or nothing."""

PREFIX = r"^([a-z0-9._-]+/)*$"
Prefix = Annotated[str, StringConstraints(pattern=PREFIX)]
"""The beginning of repository names, whole path components, each ending with '/'."""

PLATFORM = r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$"
Platform = Annotated[str, StringConstraints(pattern=PLATFORM)]
"""`os/architecture[/variant]`, as an image index names it."""

FORMS = {
    NAME: "a name is up to 31 lower-case letters, digits and '-', and begins with a letter",
    SECRET_REFERENCE: "write env:NAME or file:/path; the secret itself never stands in the file",
    OPTIONAL_SECRET_REFERENCE: "write env:NAME or file:/path; the secret itself is never a setting",
    PREFIX: "a prefix is path components of lower-case letters, digits, '.', '_' and '-', each ending with '/'",
    PLATFORM: "a platform is os/architecture or os/architecture/variant, for instance linux/amd64",
}
"""What to tell a person whose text doesn't match a pattern."""

_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"


def _address(pattern: str, form: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        match = compiled.fullmatch(value)
        # The value isn't repeated: it may hold credentials.
        if match is None or int(match["port"] or 0) > 65535:
            raise ValueError(f"not an address of the form {form}")
        return value.rstrip("/")

    return check


ADDRESS = r"^https?://[^/@?#\s]+/?$"
HttpUrl = Annotated[
    str,
    AfterValidator(_address(rf"https?://(?:{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?", "http(s)://host[:port]")),
    WithJsonSchema({"type": "string", "pattern": ADDRESS, "examples": ["https://fra.example:8443"]}),
]
"""`http(s)://host[:port]` without path, query or credentials."""

LISTEN = r"^[^/@?#\s]*:[0-9]{1,5}$"
ListenAddress = Annotated[
    str,
    AfterValidator(_address(rf"(?:{_HOST})?:(?P<port>[0-9]{{1,5}})", "[host]:port")),
    WithJsonSchema({"type": "string", "pattern": LISTEN, "examples": [":443", "127.0.0.1:8080"]}),
]
"""`host:port` to listen on; every address without a host."""
