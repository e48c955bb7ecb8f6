"""Which images every site has, or serves no longer: pure, and a function of each key's last record only.

`farshore.readiness` is compacted, so only the last record of an image at a site can be counted on after a restart.
Therefore only that one counts: an image is ready everywhere when the last word of each of its sites is READY for the
same event, and revoked everywhere when it is REVOKED. Two processes, one of which has read everything and one only what
compaction left, agree.

An image that is either needs no more memory. What isn't yet does, and a site that is dead for weeks lacks many: beyond
`most_images` the oldest are *forgotten*. The log still has what was said of them. So an image is *in doubt* when a site
says something of it that could complete what was forgotten; then the log has to be read again for it, see `settle`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, NamedTuple, Self, TypeVar

from farshore.records.cloudevent import RecordHeaders
from farshore.records.readiness import EVERYWHERE, ReadinessState

R = TypeVar("R")
ALL_SITES_SAY = {ReadinessState.READY: ReadinessState.READY_EVERYWHERE, ReadinessState.REVOKED: ReadinessState.REVOKED}
"""What is said of every site once each has said the same of an event."""
MOST_IMAGES = 100_000
_STATES = {state.encode(): state for state in ReadinessState}


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a readiness record says, as far as it matters here."""

    registry: str
    image: str
    site: str
    state: ReadinessState
    event_id: str
    generation: int = 0
    """The event's offset; later events of a registry have higher ones, unless the topic was made anew."""

    @classmethod
    def from_record(cls, key: bytes | None, headers: RecordHeaders) -> Self | None:
        """Read key and headers; the value needn't be parsed. None where it isn't a readiness record."""
        attributes = {name: value or b"" for name, value in headers}  # Kafka allows a header without value
        state = _STATES.get(attributes.get("ce_state", b""))
        if state is None:
            return None
        parts = (key or b"").decode(errors="replace").split("/", 2)
        site = attributes.get("ce_site", b"").decode(errors="replace")
        event_id = attributes.get("ce_id", b"").decode(errors="replace").removesuffix(f"/{site}/{state}")
        if len(parts) != 3 or parts[1] != site or not event_id:
            return None
        return cls(parts[0], parts[2], site, state, event_id, _offset(attributes.get("ce_generation", b"")))


def _offset(generation: bytes) -> int:
    digits = generation.rpartition(b"-")[2]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 0


Image = tuple[str, str]
"""Registry, and repository with tag or digest."""


class _Word(NamedTuple):
    event_id: str
    state: ReadinessState
    generation: int


@dataclass(slots=True)
class _Forgotten:
    """What is still known of a registry's forgotten images: who had spoken of any, and the newest event."""

    sites: set[str] = field(default_factory=set)
    newest: int = 0


class EverywhereTable:
    """For each image of which not all sites say the same: which event each site has, or serves no longer.

    Up to `most_images`, and what is in doubt besides, which is the caller's to settle before it grows.
    """

    def __init__(self, sites: Mapping[str, frozenset[str]], most_images: int = MOST_IMAGES) -> None:
        self._sites = sites  # of each registry: its replicas' sites
        self._most = most_images
        self._said: dict[Image, dict[str, _Word]] = {}
        self._gone: dict[str, _Forgotten] = {}
        self._doubtful: set[Image] = set()
        self.forgotten = 0
        """How many images have been forgotten."""

    def __len__(self) -> int:
        """How many images are remembered."""
        return len(self._said)

    @property
    def doubtful(self) -> frozenset[Image]:
        """The images that the log has to be read again for."""
        return frozenset(self._doubtful)

    @property
    def has_much_doubt(self) -> bool:
        """Whether so many images are in doubt that more would cost too much memory."""
        return len(self._doubtful) >= max(1, self._most // 2)

    def sites(self, registry: str) -> frozenset[str]:
        """The sites that have to have an image of `registry`."""
        return self._sites.get(registry, frozenset())

    def completes(self, sighting: Sighting) -> bool:
        """Whether `apply` would find that this completes the set of its image's sites."""
        required = self.sites(sighting.registry)
        if sighting.site not in required or sighting.state not in ALL_SITES_SAY:
            return False
        said = self._said.get((sighting.registry, sighting.image), {})
        word = (sighting.event_id, sighting.state)
        return all(site in said and said[site][:2] == word for site in required - {sighting.site})

    def apply(self, sighting: Sighting) -> bool:
        """Take the next record; True when it completes the set of its image's sites, which is then forgotten."""
        required = self.sites(sighting.registry)
        if sighting.site not in required:
            return False
        image = (sighting.registry, sighting.image)
        complete = self.completes(sighting)
        said = self._said.setdefault(image, {})
        word = _Word(sighting.event_id, sighting.state, sighting.generation)
        if sighting.state in ALL_SITES_SAY:
            said[sighting.site] = word
        else:
            said.pop(sighting.site, None)
        if complete or not said:
            self._drop(image)
        elif self._may_complete_what_is_gone(sighting, required - said.keys()):
            self._doubtful.add(image)
        self._forget_the_oldest()
        return complete

    def announced(self, image: Image, event_id: str, sites: frozenset[str] | None = None) -> None:
        """Of all `sites` (None: not known) the same has been said of the event already: what single sites said of it is
        done with, unless the registry has come to have more sites since."""
        said = self._said.get(image)
        if said is None or (sites is not None and not self.sites(image[0]) <= sites):
            return
        for site in [site for site, word in said.items() if word.event_id == event_id]:
            del said[site]
        if not said:
            self._drop(image)

    def settle(self, images: Collection[Image], found: "EverywhereTable") -> None:
        """Take from `found`, which has read the whole log for them, what `images` stand at."""
        for image in images:
            self._drop(image)
            if words := found._said.get(image):
                self._said[image] = words
        self._forget_the_oldest()

    def _drop(self, image: Image) -> None:
        self._said.pop(image, None)
        self._doubtful.discard(image)

    def _may_complete_what_is_gone(self, sighting: Sighting, silent: frozenset[str]) -> bool:
        """Whether the `silent` sites may have spoken of the sighting's event in what was forgotten."""
        gone = self._gone.get(sighting.registry)
        return gone is not None and sighting.generation <= gone.newest and silent <= gone.sites

    def _forget_the_oldest(self) -> None:
        """A tenth at once, for looking for them costs more than forgetting them."""
        if len(self._said) <= self._most:
            return
        oldest = (image for image in self._said if image not in self._doubtful)
        for image in list(islice(oldest, len(self._said) - self._most * 9 // 10)):
            gone = self._gone.setdefault(image[0], _Forgotten())
            for site, word in self._said.pop(image).items():
                gone.sites.add(site)
                gone.newest = max(gone.newest, word.generation)
            self.forgotten += 1


class Rebuild(Generic[R]):
    """Rebuilds a table from the log: give it every record in order, then take the table and what is unannounced.

    What the records before `committed` completed was announced in the transaction that committed it; its
    record of every site stands later in the log. Where none does, the image became complete because a site was taken
    out of the topology: that is announced now.
    """

    def __init__(self, table: EverywhereTable, committed: int) -> None:
        self._table = table
        self._committed = committed
        self._complete: dict[Image, tuple[tuple[str, ReadinessState], R]] = {}

    def add(self, offset: int, sighting: Sighting, record: R, sites: frozenset[str] | None = None) -> None:
        """Take the record at `offset`; of one that speaks of every site, `sites` are those that it meant, if known."""
        image = (sighting.registry, sighting.image)
        known = self._complete.get(image)
        if sighting.site == EVERYWHERE:
            self._table.announced(image, sighting.event_id, sites)
            if known is not None and known[0][0] == sighting.event_id:
                del self._complete[image]
        elif offset < self._committed:
            if known is not None and known[0] != (sighting.event_id, sighting.state):
                del self._complete[image]
            if self._table.apply(sighting):
                self._complete[image] = ((sighting.event_id, sighting.state), record)

    def unannounced(self) -> list[R]:
        """The records that completed images of which no record of every site was found."""
        return [record for _, record in self._complete.values()]
