"""Arrivals that later events made moot: pure.

An old arrival that is sent back comes *behind* the newer ones of its image. The verifier would find another digest
under its tag, give it up again, and the last word on the image would be about the old event.
"""

from collections.abc import Iterable, Mapping

from farshore.records.arrivals import Arrival, Generation
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import ANNOUNCED_KINDS
from farshore.records.readiness import ReadinessState
from farshore_cli.deadletters.route import Refusal

_ENDED_WELL = frozenset({ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.SUPERSEDED})


class Overtaken:
    """Give it the arrivals that are to be sent back, then what the topics say; it tells which had better stay."""

    def __init__(self) -> None:
        self._wanted: dict[str, dict[int, Generation]] = {}
        self._repositories: set[bytes] = set()
        self._refused: dict[int, Refusal] = {}

    def want(self, offset: int, arrival: Arrival) -> None:
        """The letter at `offset` holds `arrival`."""
        self._wanted.setdefault(_key(arrival), {})[offset] = arrival.generation
        self._repositories.add(arrival.event.repository.encode())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return not self._wanted

    def saw_statement(self, key: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        """A record of `farshore.readiness`, by its key and headers."""
        wanted = self._wanted.get((key or b"").decode(errors="replace"))
        if wanted is None:
            return
        attributes = dict(headers)
        state = attributes.get("ce_state", b"").decode(errors="replace")
        try:
            generation = Generation.parse(attributes.get("ce_generation", b"").decode(errors="replace"), "readiness")
        except MalformedRecordError:
            return
        self._compare(wanted, generation, f"readiness says {state} for", ended_well=state in _ENDED_WELL)

    def saw_arrival(self, key: bytes | None, headers: Iterable[tuple[str, bytes]], value: bytes | None) -> None:
        """A record of `farshore.arrivals`."""
        if key not in self._repositories:
            return
        try:
            arrival = Arrival.from_record(headers, value, "arrivals")
        except MalformedRecordError:
            return
        if (
            arrival.event.kind not in ANNOUNCED_KINDS
        ):  # the verifier's own request for a snapshot bears the image's name
            return
        if wanted := self._wanted.get(_key(arrival)):
            self._compare(wanted, arrival.generation, "there has arrived", ended_well=False)

    def refusals(self) -> Mapping[int, Refusal]:
        """By the offsets of the letters."""
        return self._refused

    def _compare(self, wanted: dict[int, Generation], seen: Generation, how: str, *, ended_well: bool) -> None:
        for offset, own in wanted.items():
            if seen == own:
                if ended_well:
                    self._refused[offset] = Refusal(f"{how} this very event")
            elif (seen.incarnation, seen.partition) != (own.incarnation, own.partition):
                # Which one is newer can't be told; that farshore.events was made again suggests the other one.
                self._refused[offset] = Refusal(f"{how} an event of another incarnation of farshore.events, {seen}")
            elif seen.offset > own.offset:
                self._refused[offset] = Refusal(f"{how} a later event of the same image, {seen}")


def _key(arrival: Arrival) -> str:
    """As the key of the image's readiness."""
    return f"{arrival.event.registry}/{arrival.site}/{arrival.event.image}"
