"""How many deletions one run may announce for a registry. Pure."""

import re
from dataclasses import dataclass

_FORM = re.compile(r"(?P<number>[0-9]{1,9})(?P<percent>%?)")
AT_LEAST = 10
"""A share allows this many anyway: a percentage of a small registry would be nothing."""


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """A number, or a share in per cent of the names that are called ready."""

    number: int
    is_share: bool = False

    @classmethod
    def parse(cls, text: str) -> "DeletionLimit":
        """Parse `50` or `1%`, or raise ValueError."""
        match = _FORM.fullmatch(text.strip())
        if match is None or (match["percent"] and int(match["number"]) > 100):
            raise ValueError("not a limit: write a number or a share, for instance 50 or 1%")
        return cls(int(match["number"]), bool(match["percent"]))

    def of(self, ready: int) -> int:
        """How many of `ready` names may be announced as deleted."""
        return max(AT_LEAST, ready * self.number // 100) if self.is_share else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.is_share else str(self.number)


DEFAULT_LIMIT = DeletionLimit(1, is_share=True)
