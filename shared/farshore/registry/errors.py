"""What can go wrong when a registry is asked: four answers that must never be taken for one another."""

from farshore.errors import FarshoreError, RetryClass


class RegistryError(FarshoreError):
    """The registry didn't give what it was asked for; `subject` is `method address` without query."""

    def __init__(self, subject: str, reason: str, *, retry: RetryClass = RetryClass.RETRY_SOON, hint: str = "") -> None:
        super().__init__("ask registry", subject, reason, retry=retry, hint=hint)


class ContentNotFoundError(RegistryError):
    """404: the registry says that it doesn't have it."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject, "not found", retry=RetryClass.REDISCOVER)


class UnreachableError(RegistryError):
    """No connection, or one that broke before an answer began."""


class TimedOutError(RegistryError):
    """A connection, but silence for longer than the client waits."""


class RegistryAnsweredError(RegistryError):
    """An answer that is neither the content nor "not found"; `status` is HTTP's."""

    def __init__(self, subject: str, status: int, reason: str) -> None:
        refused = status in (401, 403)
        super().__init__(
            subject,
            f"{status} {reason}".strip(),
            retry=RetryClass.OPERATOR if refused else RetryClass.RETRY_SOON,
            hint="the registry of a site has to let farshore read" if refused else "",
        )
        self.status = status
