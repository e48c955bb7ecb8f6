"""Kafka as the verifier uses it: arrivals, readiness, offsets with metadata, and writers that fence one another."""

from dataclasses import dataclass, field

from farshore.records.arrivals import Arrival
from farshore.records.readiness import ReadinessState
from farshore_verifier.everywhere import Sighting
from farshore_verifier.window import Mark

EVERYWHERE_GROUP = "everywhere"
"""Whose place is that of the lane that says what every site has; a site's lane has the site's name."""


@dataclass(frozen=True)
class Said:
    """A readiness record."""

    site: str
    image: str
    event: str
    generation: int
    state: ReadinessState
    arrival: int
    """The offset of the arrival that it is about."""

    def sighting(self) -> Sighting:
        return Sighting("main", self.image, self.site, self.state, self.event, self.generation)


@dataclass
class Partition:
    """A group's place on a partition: only the latest owner may write, and what it writes is written together."""

    owner: int = 0
    mark: Mark = field(default_factory=lambda: Mark(0, ""))
    decided: set[int] = field(default_factory=set)
    """Offsets whose end has been committed."""

    def take_over(self) -> int:
        """Fence the former owner; returns what the new one has to show."""
        self.owner += 1
        return self.owner


@dataclass
class Kafka:
    """The topics of one partition, and each group's place."""

    arrivals: list[Arrival] = field(default_factory=list)
    readiness: list[Said] = field(default_factory=list)
    dead_letters: list[int] = field(default_factory=list)
    """Offsets of the arrivals that they hold."""
    groups: dict[str, Partition] = field(default_factory=dict)
    fenced: int = 0

    def commit(self, group: str, owner: int, said: list[Said], letters: list[int], mark: Mark, ends: list[int]) -> bool:
        """One transaction; False where another owner has taken over."""
        place = self.groups[group]
        if place.owner != owner:
            self.fenced += 1
            return False
        self.readiness += said
        self.dead_letters += letters
        place.mark = mark
        place.decided.update(ends)
        return True
