"""What farshore's topics said about the demo's pushes. Pure: records in, one line per push and site out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from farshore.oci import image_name
from farshore.records.arrivals import Arrival
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState
from farshore_cli.demo.scenario import Push

_PASSING = frozenset({ReadinessState.LATE})
"""States that a later record follows."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one push at one site. Times are the push's own, also after the image was deleted."""

    state: str | None = None
    """A ReadinessState; None while nothing has been said."""
    pushed_at: datetime | None = None
    arrived_at: datetime | None = None
    ready_at: datetime | None = None
    transfer: str | None = None
    snapshot: str | None = None
    reason: str | None = None

    @property
    def seconds_to_ready(self) -> float | None:
        """From the registry's time of the push to the verifier's statement."""
        if self.pushed_at is None or self.ready_at is None:
            return None
        return (self.ready_at - self.pushed_at).total_seconds()


@dataclass(slots=True)
class Observations:
    """Collects records; `fate` answers."""

    arrivals: list[Arrival] = field(default_factory=list)
    statements: list[Readiness] = field(default_factory=list)

    def fate(self, push: Push, site: str) -> Fate:
        """What is known of `push` at `site` now."""
        arrival = next((one for one in self.arrivals if one.site == site and _announces(one, push)), None)
        said = [one for one in self.statements if one.site == site and _speaks_of(one, push)]
        ready = next((one for one in said if one.state is ReadinessState.READY), None)
        last = said[-1] if said else None
        return Fate(
            state=last.state if last else None,
            pushed_at=arrival.event.occurred_at if arrival else ready.pushed_at if ready else None,
            arrived_at=arrival.passage.arrived_at if arrival else ready.arrived_at if ready else None,
            ready_at=ready.ready_at if ready else None,
            transfer=arrival.passage.transfer if arrival else ready.transfer if ready else None,
            snapshot=arrival.passage.snapshot if arrival else ready.snapshot if ready else None,
            reason=last.reason if last else None,
        )

    def settled(self, pushes: Iterable[Push], sites: Iterable[str]) -> bool:
        """Whether something final has been said of each push at each site."""
        places = list(sites)
        return all(self.fate(push, site).state is not None for push in pushes for site in places)

    def revoked(self, push: Push, sites: Iterable[str]) -> bool:
        """Whether each site is said to serve `push` no longer."""
        return all(self.fate(push, site).state == ReadinessState.REVOKED for site in sites)

    def twice_ready(self) -> list[str]:
        """Events that were called ready more than once at one site: there should be none."""
        counts = Counter(
            (one.event_id, one.site, one.image)
            for one in self.statements
            if one.state is ReadinessState.READY and one.site != EVERYWHERE
        )
        return [f"{image} at {site}" for (_, site, image), count in counts.items() if count > 1]


def _announces(arrival: Arrival, push: Push) -> bool:
    event = arrival.event
    return (event.repository, event.tag, event.digest) == (push.repository, push.tag, push.digest)


def _speaks_of(one: Readiness, push: Push) -> bool:
    if one.state in _PASSING:
        return False
    if one.state is ReadinessState.REVOKED:
        by_digest = one.repository == push.repository and one.digest == push.digest and one.tag is None
        return by_digest or one.image == image_name(push.repository, push.digest, push.tag)
    return (one.repository, one.tag, one.digest) == (push.repository, push.tag, push.digest)
