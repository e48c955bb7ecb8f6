"""One shape for everything that goes wrong: what was tried, on what, why it failed, and what helps."""

from enum import StrEnum


class RetryClass(StrEnum):
    """What a caller should do about a failure; the four classes of the ONTAP error tables, used everywhere."""

    RETRY_SOON = "retry-soon"
    """It may heal by itself: back off with jitter, keep the state."""
    REDISCOVER = "rediscover"
    """The world is not as believed: read it again, then decide."""
    FINAL = "final"
    """Trying again can't help: stop this piece of work and say why."""
    OPERATOR = "operator"
    """A person has to act: stop, alarm, look again slowly; it heals when they do."""


class FarshoreError(Exception):
    """A failure that says what was tried (`operation`), on what (`subject`), why, and what to do (`hint`).

    `retry` tells a caller whether trying again can help. `str()` is one line that can be shown to a person;
    it never holds a secret.
    """

    def __init__(
        self,
        operation: str,
        subject: str,
        reason: str,
        *,
        retry: RetryClass = RetryClass.FINAL,
        hint: str = "",
    ) -> None:
        super().__init__(operation, subject, reason)
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.retry = retry
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.operation} {self.subject}: {self.reason}"
        return f"{line} ({self.hint})" if self.hint else line


class ConfigurationError(FarshoreError):
    """A setting that is wrong or missing; a service that meets one ends with exit code 78 (EX_CONFIG)."""
