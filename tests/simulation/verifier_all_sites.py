"""One owner of the lane that says what every site has: what everywhere_lane.py does, told by a virtual clock."""

from verifier_lane import Clock
from verifier_log import EVERYWHERE_GROUP, Kafka, Said

from farshore.records.readiness import ReadinessState
from farshore_verifier.everywhere import ALL_SITES_SAY, EverywhereTable, Image, Rebuild
from farshore_verifier.window import Mark


class AllSites:
    """Takes over when it is made, and rebuilds its table from what compaction has left before its place."""

    def __init__(self, clock: Clock, kafka: Kafka, sites: frozenset[str], most_images: int, latency: float) -> None:
        self.clock, self.kafka, self.latency = clock, kafka, latency
        self._sites = {"main": sites}
        self.alive = True
        place = kafka.groups[EVERYWHERE_GROUP]
        self.owner = place.take_over()
        self.next = place.mark.offset
        self._committing = False
        self._table = EverywhereTable(self._sites, most_images)
        self._announce(self._read_again(self._table, self.next, None))

    @property
    def idle(self) -> bool:
        """Nothing is left to do."""
        return self.next == len(self.kafka.readiness) and not self._committing and not self._table.doubtful

    def read(self) -> None:
        """Take what has come, some at a time; while a transaction runs nothing is read."""
        if not self.alive or self._committing:
            return
        if doubtful := self._table.doubtful:
            self.clock.reached.add("everywhere: looked up")
            found = EverywhereTable(self._sites, len(doubtful))
            complete = self._read_again(found, self.next, doubtful)
            self._table.settle(doubtful, found)
            self._announce(complete)
            return
        end = min(len(self.kafka.readiness), self.next + 1 + int(self.clock.chance() * 8))
        complete = [said for said in self.kafka.readiness[self.next : end] if self._table.apply(said.sighting())]
        if end != self.next:
            self.next = end
            self._announce(complete)

    def _read_again(self, table: EverywhereTable, committed: int, images: frozenset[Image] | None) -> list[Said]:
        """Rebuild `table`; of what was committed long ago only each key's last record is left."""
        rebuild: Rebuild[Said] = Rebuild(table, committed)
        compacted = self.kafka.groups[EVERYWHERE_GROUP].mark.offset if self.clock.chance() < 0.5 else 0
        last = {(said.site, said.image): offset for offset, said in enumerate(self.kafka.readiness[:compacted])}
        for offset, said in enumerate(self.kafka.readiness):
            left = offset >= compacted or last[said.site, said.image] == offset
            if left and (images is None or ("main", said.image) in images):
                rebuild.add(offset, said.sighting(), said)
        return rebuild.unannounced()

    def _announce(self, complete: list[Said]) -> None:
        self._committing = True
        announced = [Said("*", one.image, one.event, one.generation, ALL_SITES_SAY[one.state], -1) for one in complete]
        for one in announced:
            revoked = one.state is ReadinessState.REVOKED
            self.clock.reached.add(f"everywhere: {'revoked' if revoked else 'ready'}")

        def land() -> None:
            self._committing = False
            if not self.kafka.commit(EVERYWHERE_GROUP, self.owner, announced, [], Mark(self.next, ""), []):
                self.alive = False
                return
            self.read()

        self.clock.after(self.latency * self.clock.chance(), land)
