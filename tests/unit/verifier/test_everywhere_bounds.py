"""Ready everywhere in bounded memory: what is forgotten while a site is dead is found again in the log."""

import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from farshore.records.readiness import EVERYWHERE, ReadinessState
from farshore_verifier.everywhere import EverywhereTable, Rebuild, Sighting

SITES = ("fra", "syd", "lon")
REQUIRED = {"main": frozenset(SITES)}
READY = ReadinessState.READY


def seen(site: str, number: int, *, push: int = 0) -> Sighting:
    """`site` is ready for the push `push` of image `number`."""
    return Sighting("main", f"app:v{number}", site, READY, f"e{number}.{push}", push * 1_000_000 + number)


def traced_bytes(images: int, most: int) -> int:
    tracemalloc.start()
    try:
        table = EverywhereTable(REQUIRED, most)
        for number in range(images):
            table.apply(seen("fra", number))
            table.apply(seen("syd", number))
        assert len(table) <= most
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_site_that_is_dead_for_long_costs_no_more_memory_than_one_that_is_dead_for_a_while() -> None:
    a_while, long = traced_bytes(500, 500), traced_bytes(5_000, 500)
    assert long < a_while * 1.5
    assert a_while < 500 * 1_500


def test_nothing_is_in_doubt_while_the_site_is_dead_or_before_anything_is_forgotten() -> None:
    table = EverywhereTable(REQUIRED, 10)
    table.apply(seen("lon", 0))
    assert not table.doubtful
    for number in range(1, 100):
        table.apply(seen("fra", number))
        table.apply(seen("syd", number))
    assert table.forgotten > 80
    assert not table.doubtful


def test_what_the_dead_site_says_when_it_is_back_is_in_doubt_where_it_was_forgotten_and_only_there() -> None:
    table = EverywhereTable(REQUIRED, 10)
    for number in range(30):
        table.apply(seen("fra", number))
        table.apply(seen("syd", number))
    table.apply(seen("lon", 3))
    assert table.doubtful == {("main", "app:v3")}
    assert table.apply(seen("lon", 29)), "what is remembered completes as ever"
    table.apply(seen("lon", 3, push=1))
    assert not table.apply(seen("lon", 31)), "the site is first to have what came later"
    assert table.doubtful == {("main", "app:v3")}


def test_a_restart_finds_no_doubt_in_what_was_announced_long_ago() -> None:
    table = EverywhereTable(REQUIRED, 10)
    log = [seen(site, number) for number in range(50) for site in ("fra", "syd")]
    for number in range(50):
        log.append(seen("lon", number))
        log.append(Sighting("main", f"app:v{number}", EVERYWHERE, ReadinessState.READY_EVERYWHERE, f"e{number}.0"))
    rebuild: Rebuild[Sighting] = Rebuild(table, len(log))
    for offset, one in enumerate(log):
        rebuild.add(offset, one, one)
    assert not table.doubtful
    assert not rebuild.unannounced()


class Lane:
    """The lane over a compacted log, reduced to what matters: all it does in one step is one transaction."""

    def __init__(self, most: int) -> None:
        self.log: list[tuple[int, Sighting]] = []
        self.announced: list[str] = []
        self.committed = 0
        self._most = most
        self.table = EverywhereTable(REQUIRED, most)

    def append(self, sighting: Sighting) -> None:
        self.log.append((self.log[-1][0] + 1 if self.log else 0, sighting))

    def read(self, most: int) -> None:
        batch = [(offset, one) for offset, one in self.log if offset >= self.committed][:most]
        complete = [one for _, one in batch if self.table.apply(one)]
        self._commit(complete, batch[-1][0] + 1 if batch else self.committed)
        if self.table.has_much_doubt:
            self.look_up()

    def look_up(self) -> None:
        images = self.table.doubtful
        found = EverywhereTable(REQUIRED, len(images))
        self._commit(self._read_again(found, images), self.committed)
        self.table.settle(images, found)

    def restart(self) -> None:
        self.table = EverywhereTable(REQUIRED, self._most)
        self._commit(self._read_again(self.table, None), self.committed)

    def compact(self) -> None:
        last = {(one.site, one.image): offset for offset, one in self.log}
        self.log = [(offset, one) for offset, one in self.log if last[one.site, one.image] == offset]

    def _read_again(self, table: EverywhereTable, images: frozenset[tuple[str, str]] | None) -> list[Sighting]:
        rebuild: Rebuild[Sighting] = Rebuild(table, self.committed)
        for offset, one in self.log:
            if images is None or (one.registry, one.image) in images:
                rebuild.add(offset, one, one)
        return rebuild.unannounced()

    def _commit(self, complete: list[Sighting], position: int) -> None:
        for one in complete:
            self.announced.append(one.event_id)
            said = Sighting("main", one.image, EVERYWHERE, ReadinessState.READY_EVERYWHERE, one.event_id)
            self.append(said)
        self.committed = position


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 12), st.floats(0, 0.3))
def test_however_little_is_remembered_each_push_is_announced_once_and_none_too_early(
    seed: int, most: int, dead_share: float
) -> None:
    """Sites fall behind one another for long stretches; the lane crashes and the log is compacted meanwhile."""
    chance = random.Random(seed)
    pushes = [(number, push) for push in range(2) for number in range(20)]
    at = dict.fromkeys(SITES, 0)
    lane = Lane(most)
    dead: str | None = None
    while any(place < len(pushes) for place in at.values()):
        if chance.random() < 0.05:
            dead = chance.choice(SITES) if chance.random() < dead_share * 3 else None
        behind = [site for site in SITES if at[site] < len(pushes) and site != dead]
        if not behind:
            dead = None
            continue
        site = chance.choice(behind)
        number, push = pushes[at[site]]
        lane.append(seen(site, number, push=push))
        at[site] += 1
        if chance.random() < 0.4:
            lane.read(chance.randrange(1, 6))
        if chance.random() < 0.03:
            lane.restart()
        if chance.random() < 0.03:
            lane.compact()
        assert all(_at_every_site(event, at, pushes) for event in lane.announced[-5:]), "announced too early"
    while lane.committed <= lane.log[-1][0]:
        lane.read(5)
    lane.look_up()
    assert len(lane.announced) == len(set(lane.announced))
    assert {f"e{number}.1" for number in range(20)} <= set(lane.announced), "the last push of each image"


def _at_every_site(event: str, at: dict[str, int], pushes: list[tuple[int, int]]) -> bool:
    number, push = (int(part) for part in event[1:].split("."))
    return all(place > pushes.index((number, push)) for place in at.values())
