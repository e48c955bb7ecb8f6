"""OCI names as types: a value of one of these types has been checked, a plain `str` has not.

Grammar: OCI distribution specification 1.1 ("Pulling manifests") and OCI image specification 1.1 ("Digests").
All types are `str` underneath, so they go into keys, URLs and JSON as they are.
"""

import hashlib
import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class InvalidNameError(ValueError):
    """Text that is not the OCI name it was meant to be; the message says which rule it breaks."""


class _Name(str):
    """A checked `str`; subclasses give the pattern and its description."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]]
    rule: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as this type, or raise InvalidNameError."""
        if not cls.pattern.fullmatch(text):
            shown = text if len(text) <= 80 else text[:77] + "…"
            raise InvalidNameError(f"{shown!r} is not a {cls.__name__.lower()}: {cls.rule}")
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema())


class Digest(_Name):
    """`algorithm:hex`, for instance `sha256:…`; only algorithms that farshore can check are accepted."""

    __slots__ = ()
    pattern = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
    rule = "sha256: and 64 lower-case hex digits, or sha512: and 128"

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`, as `hashlib.new` takes it."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hexadecimal part."""
        return self.partition(":")[2]

    def matches(self, content: bytes) -> bool:
        """Whether `content` hashes to this digest."""
        return hashlib.new(self.algorithm, content).hexdigest() == self.hex

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The sha256 digest of `content`."""
        return cls(f"sha256:{hashlib.sha256(content).hexdigest()}")


class Repository(_Name):
    """A repository's name without host and tag, for instance `team/app`."""

    __slots__ = ()
    pattern = re.compile(r"(?=.{1,255}\Z)[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
    rule = "lower-case path components of letters and digits, separated by '/', at most 255 characters"


class Tag(_Name):
    """A tag, for instance `v1.2`."""

    __slots__ = ()
    pattern = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
    rule = "letters, digits, '_', '.', '-', at most 128 characters, not beginning with '.' or '-'"


def image_name(repository: str, digest: str | None, tag: str | None) -> str:
    """How people and record keys name an image: `repository:tag` where there is a tag, else `repository@digest`."""
    return f"{repository}:{tag}" if tag else f"{repository}@{digest}"
