"""Which letters a command is about: pure."""

from dataclasses import dataclass
from datetime import datetime

from farshore_cli.deadletters.entry import Entry, Letter

_SERVICE_PREFIX = "farshore-"


@dataclass(frozen=True, slots=True)
class Filter:
    """What is None doesn't matter. `service` may leave out `farshore-`; `since` is the earliest time of a letter."""

    service: str | None = None
    code: str | None = None
    registry: str | None = None
    site: str | None = None
    since: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return self == Filter()

    def passes(self, entry: Entry) -> bool:
        """Whether `entry` is meant; what is no letter has nothing but its time."""
        if not isinstance(entry, Letter):
            return self == Filter(since=self.since) and (self.since is None or entry.at >= self.since)
        record = entry.record
        return (
            (self.service is None or short_service(self.service) == short_service(record.service))
            and self.code in (None, record.code)
            and self.registry in (None, entry.subject.registry)
            and self.site in (None, entry.subject.site)
            and (self.since is None or record.at >= self.since)
        )


def short_service(name: str) -> str:
    """`verifier` for `farshore-verifier`."""
    return name.removeprefix(_SERVICE_PREFIX)
