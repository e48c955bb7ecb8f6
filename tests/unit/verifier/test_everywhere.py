"""Ready everywhere, over crashes, compaction and changes of the topology."""

from hypothesis import given, settings
from hypothesis import strategies as st

from farshore.records.readiness import EVERYWHERE, ReadinessState
from farshore_verifier.everywhere import EverywhereTable, Rebuild, Sighting

SITES = ("fra", "syd", "lon")
READY, REVOKED = ReadinessState.READY, ReadinessState.REVOKED


def table(sites: tuple[str, ...] = SITES) -> EverywhereTable:
    return EverywhereTable({"main": frozenset(sites)})


def seen(site: str, event: str, state: ReadinessState = READY, image: str = "app:v1") -> Sighting:
    return Sighting("main", image, site, state, event)


def test_the_last_site_completes_it_once_and_it_is_forgotten() -> None:
    known = table()
    assert [known.apply(seen(site, "e1")) for site in SITES] == [False, False, True]
    assert len(known) == 0


def test_sites_that_are_ready_for_different_events_are_not_everywhere() -> None:
    known = table(("fra", "syd"))
    assert not known.apply(seen("fra", "e1"))
    assert not known.apply(seen("syd", "e2"))
    assert known.apply(seen("fra", "e2"))


def test_what_all_sites_revoked_completes_too_but_words_that_differ_do_not() -> None:
    known = table(("fra", "syd"))
    assert not known.apply(seen("fra", "e1", REVOKED))
    assert not known.apply(seen("syd", "e1", READY))
    assert known.apply(seen("syd", "e1", REVOKED))
    assert len(known) == 0


def test_a_header_without_value_makes_no_readiness_record() -> None:
    assert (
        Sighting.from_record(b"main/fra/app:v1", [("ce_id", b"n"), ("ce_site", None), ("ce_state", b"ready")]) is None
    )
    assert (
        Sighting.from_record(b"main/fra/app:v1", [("ce_id", None), ("ce_site", b"fra"), ("ce_state", b"ready")]) is None
    )


def test_a_site_whose_last_word_is_not_ready_does_not_count() -> None:
    for state in set(ReadinessState) - {READY}:
        known = table(("fra", "syd"))
        known.apply(seen("fra", "e1"))
        known.apply(seen("fra", "e1", state))
        assert not known.apply(seen("syd", "e1"))
        assert known.apply(seen("fra", "e1"))


def test_sites_and_registries_that_the_topology_does_not_have_are_passed_over() -> None:
    known = table(("fra",))
    assert not known.apply(seen("atlantis", "e1"))
    assert not known.apply(Sighting("other", "app:v1", "fra", READY, "e1"))
    assert len(known) == 0


def test_only_what_is_written_like_a_readiness_record_is_one() -> None:
    headers = [("ce_id", b"n/1/0/fra/ready"), ("ce_site", b"fra"), ("ce_state", b"ready")]
    assert Sighting.from_record(b"main/fra/team/app:v1", headers) == Sighting(
        "main", "team/app:v1", "fra", READY, "n/1/0"
    )
    assert Sighting.from_record(b"main/syd/team/app:v1", headers) is None
    assert Sighting.from_record(None, headers) is None
    assert Sighting.from_record(b"main/fra/team/app:v1", headers[:2]) is None


Record = tuple[int, Sighting]


def compacted(log: list[Record], below: int) -> list[Record]:
    """What Kafka's cleaner leaves: below an offset only the last record of each key."""
    last = {(s.site, s.image): offset for offset, s in log if offset < below}
    return [(offset, s) for offset, s in log if offset >= below or last[s.site, s.image] == offset]


class Crashing:
    """The lane, reduced to what matters: records in, announcements and position in one step."""

    def __init__(self) -> None:
        self.log: list[Record] = []
        self.committed = 0
        self.announced: list[Sighting] = []
        self.table = table()

    def append(self, sighting: Sighting) -> None:
        self.log.append((self.log[-1][0] + 1 if self.log else 0, sighting))

    def read(self, most: int) -> None:
        batch = [record for record in self.log if record[0] >= self.committed][:most]
        complete = [sighting for _, sighting in batch if self.table.apply(sighting)]
        self._commit(complete, batch[-1][0] + 1 if batch else self.committed)

    def _commit(self, complete: list[Sighting], position: int) -> None:
        for sighting in complete:
            self.announced.append(sighting)
            said = ReadinessState.READY_EVERYWHERE if sighting.state is READY else sighting.state
            self.append(seen(EVERYWHERE, sighting.event_id, said, sighting.image))
        self.committed = position

    def restart(self, sites: tuple[str, ...] = SITES) -> None:
        self.table = table(sites)
        rebuild: Rebuild[Sighting] = Rebuild(self.table, self.committed)
        for offset, sighting in self.log:
            rebuild.add(offset, sighting, sighting)
        self._commit(rebuild.unannounced(), self.committed)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"),
            st.sampled_from(SITES),
            st.sampled_from([READY, READY, REVOKED, ReadinessState.LATE, ReadinessState.SUPERSEDED]),
            st.sampled_from(["app:v1", "app:v2"]),
        ),
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("crash")),
        st.tuples(st.just("compact"), st.floats(0, 1)),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(STEPS)
def test_each_event_is_announced_at_most_once_and_exactly_when_all_sites_last_said_the_same(
    steps: list[tuple[object, ...]],
) -> None:
    lane = Crashing()
    progress = {(site, image): 0 for site in SITES for image in ("app:v1", "app:v2")}
    for step in steps:
        match step:
            case ("say", str() as site, ReadinessState() as state, str() as image):
                # a site decides the events of an image in order, each once; LATE comes before the end
                event = progress[site, image]
                # of what kind an event is decides how it can end: the odd ones are deletions
                ends = state if state not in (READY, REVOKED) else REVOKED if event % 2 else READY
                lane.append(seen(site, f"e{event}", ends, image))
                progress[site, image] += state is not ReadinessState.LATE
            case ("read", int() as most):
                lane.read(most)
            case ("crash",):
                lane.restart()
            case ("compact", float() as share):
                lane.log = compacted(lane.log, int(share * (lane.log[-1][0] + 1)) if lane.log else 0)
    names = [(sighting.image, sighting.event_id) for sighting in lane.announced]
    assert len(names) == len(set(names))
    while lane.committed <= lane.log[-1][0] if lane.log else False:
        lane.read(10)
    last = {(s.image, s.site): s for _, s in lane.log}
    for image in ("app:v1", "app:v2"):
        words = [last.get((image, site)) for site in SITES]
        same = len({(w.event_id, w.state) for w in words if w}) == 1
        if same and all(word and word.state in (READY, REVOKED) for word in words):
            assert words[0] is not None
            assert (image, words[0].event_id) in [(s.image, s.event_id) for s in lane.announced]


def test_an_image_that_waited_for_a_site_that_is_taken_out_is_announced_at_the_restart_and_once() -> None:
    lane = Crashing()
    for site in ("fra", "syd"):
        lane.append(seen(site, "e1"))
    lane.read(10)
    assert lane.announced == []
    lane.restart(("fra", "syd"))
    lane.restart(("fra", "syd"))
    assert [s.event_id for s in lane.announced] == ["e1"]


def test_what_was_everywhere_waits_for_a_site_that_came_later() -> None:
    before, now = frozenset({"fra", "syd"}), ("fra", "syd", "sin")
    log = [seen("fra", "e1"), seen("syd", "e1"), seen(EVERYWHERE, "e1", ReadinessState.READY_EVERYWHERE)]
    later = table(now)
    rebuild: Rebuild[Sighting] = Rebuild(later, len(log))
    for offset, one in enumerate(log):
        rebuild.add(offset, one, one, before if one.site == EVERYWHERE else None)
    assert not rebuild.unannounced()
    assert later.apply(seen("sin", "e1"))
    same = table(("fra", "syd"))
    rebuild = Rebuild(same, len(log))
    for offset, one in enumerate(log):
        rebuild.add(offset, one, one, before if one.site == EVERYWHERE else None)
    assert not rebuild.unannounced()
    assert len(same) == 0
