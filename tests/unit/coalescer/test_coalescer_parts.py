"""The small pure parts of the coalescer."""

from coalescer_machine import OWNER
from hypothesis import given
from hypothesis import strategies as st

from farshore_coalescer.backoff import EXPECTED_FROM, EXPECTED_TO, LONGEST_SECONDS, backoff, poll_interval
from farshore_coalescer.coalescer import registries_of
from farshore_coalescer.deduplicate import Recent
from farshore_coalescer.slots import Slots
from farshore_coalescer.snapshot_names import Log, is_ours
from farshore_coalescer.state import Activity, Extent, Replica, Rules, State
from farshore_coalescer.why import why_behind


@given(
    st.integers(0, 10**18), st.integers(1, 10**18), st.integers(0, 999), st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
)
def test_a_snapshot_name_gives_its_cover_and_number_back(
    cover: int, number: int, partition: int, incarnation: str
) -> None:
    log = Log(incarnation, partition)
    name = log.snapshot_name(cover, number, OWNER)
    assert log.place_of(name) == (cover, number)
    assert log.cover_of(name) == cover
    assert is_ours(name)


def test_names_of_another_log_or_of_others_have_no_cover() -> None:
    log = Log("0a1b2c3d", 1)
    others = [other.snapshot_name(5, 1, OWNER) for other in (Log("0a1b2c3e", 1), Log("0a1b2c3d", 2))]
    for name in (*others, "hourly.0", "farshore-", "farshore-0a1b2c3d-1-5", ""):
        assert log.cover_of(name) is None


@given(st.integers(1, 500), st.text(max_size=8))
def test_backoff_grows_to_its_bound_and_no_further(failures: int, salt: str) -> None:
    assert 0 < backoff(failures, salt) <= LONGEST_SECONDS


def test_a_long_transfer_is_looked_at_less_often() -> None:
    assert poll_interval(0, 0.1, 0) < poll_interval(5, 0.1, 0) < poll_interval(1000, 0.1, 0) <= 2.0


def looks(took: float, expected: float) -> list[float]:
    """When a transfer is looked at that takes so long, until its end is seen."""
    times = [poll_interval(0.0, 0.1, expected)]
    while times[-1] < took:
        times.append(times[-1] + poll_interval(times[-1], 0.1, expected))
    return times


@given(st.floats(0.01, 10_000), st.floats(0, 10_000))
def test_the_end_of_a_transfer_is_seen_within_a_tenth_of_its_time_or_2_s(took: float, expected: float) -> None:
    assert looks(took, expected)[-1] - took <= min(2.0, max(0.02, took * 0.1)) + 1e-6


@given(st.floats(0.1, 1000), st.floats(0.8, 1.4))
def test_an_end_that_comes_as_expected_is_seen_four_times_as_soon(expected: float, part: float) -> None:
    took = expected * part
    assert looks(took, expected)[-1] - took <= max(0.01, min(2.0, took * 0.1) / 4) + 1e-6


@given(st.floats(0.1, 1000), st.floats(0.01, 1000))
def test_what_is_expected_costs_few_looks(took: float, expected: float) -> None:
    in_between = (EXPECTED_TO - EXPECTED_FROM) * expected
    more = in_between / max(0.01, min(2.0, max(0.02, EXPECTED_FROM * expected * 0.1)) / 4) + 2
    assert len(looks(took, expected)) <= len(looks(took, 0)) + more


def test_the_same_id_within_the_window_is_a_repetition() -> None:
    recent = Recent(window=10)
    assert [recent.is_repeated(offset, b"a") for offset in (0, 5, 15, 26)] == [False, True, True, False]


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=60), st.integers(0, 60), st.integers(1, 12))
def test_a_restart_comes_to_the_same_answer(ids: list[bytes], position: int, window: int) -> None:
    """Feeding only the window before a position gives the answers of having read the log from its beginning."""
    position = min(position, len(ids))
    whole, restarted = Recent(window), Recent(window)
    expected = [whole.is_repeated(offset, event_id) for offset, event_id in enumerate(ids)][position:]
    for offset in range(max(0, position - window), position):
        restarted.is_repeated(offset, ids[offset])
    answers = [restarted.is_repeated(offset, ids[offset]) for offset in range(position, len(ids))]
    assert answers == expected


def test_slots_are_given_in_the_order_of_asking() -> None:
    slots, called = Slots({"fra": 1}), []
    assert slots.take("fra", "a.fra", lambda: called.append("a"))
    assert not slots.take("fra", "b.fra", lambda: called.append("b"))
    assert not slots.take("fra", "c.fra", lambda: called.append("c"))
    slots.release("fra", "a.fra")
    assert called == ["b"]


def test_a_transfer_that_runs_already_counts_even_beyond_the_limit() -> None:
    slots, called = Slots({"fra": 1}), []
    slots.adopt("fra", "a.fra")
    slots.adopt("fra", "b.fra")
    assert not slots.take("fra", "c.fra", lambda: called.append("c"))
    slots.release("fra", "a.fra")
    assert called == []
    slots.release("fra", "b.fra")
    assert called == ["c"]


def test_a_relationship_that_went_elsewhere_gives_back_its_slot_and_its_place() -> None:
    slots, called = Slots({"fra": 1}), []
    slots.take("fra", "a.fra", lambda: called.append("a"))
    slots.take("fra", "b.fra", lambda: called.append("b"))
    slots.take("fra", "c.fra", lambda: called.append("c"))
    slots.forget("b.fra")
    slots.forget("a.fra")
    assert called == ["c"]


def test_every_registry_is_on_exactly_one_partition() -> None:
    names = [f"registry-{number}" for number in range(50)]
    found = [name for partition in range(4) for name in registries_of(partition, [0, 1, 2, 3], names)]
    assert sorted(found) == sorted(names)


def test_why_behind_names_the_trouble() -> None:
    replica = Replica("fra", position=2, trouble="the relationship is paused: resume it", look_at=30.0)
    state = State.begin(Log("0a1b2c3d", 0), OWNER, Rules(), (replica,), 10, 0.0)._replace(seen=Extent(10, 10, 0))
    assert (
        why_behind(state, replica, 10.0)
        == "8 offsets behind: the relationship is paused: resume it; looked at again in 20.0 s"
    )
    assert why_behind(state, replica._replace(position=10), 10.0) is None


def test_why_behind_follows_a_cascade_to_the_hop_that_is_stuck() -> None:
    fra = Replica("fra", position=2, trouble="the relationship is paused: resume it", look_at=30.0)
    ams = Replica("ams", "fra", position=2, activity=Activity.IDLE)
    syd = Replica("syd", "ams", position=2, activity=Activity.IDLE)
    state = State.begin(Log("0a1b2c3d", 0), OWNER, Rules(), (fra, ams, syd), 10, 0.0)._replace(seen=Extent(10, 10, 0))
    paused = "the relationship is paused: resume it; looked at again in 20.0 s"
    assert why_behind(state, syd, 10.0) == f"8 offsets behind: it waits for ams: it waits for fra: {paused}"


def test_why_behind_blames_no_upstream_that_has_done_its_part() -> None:
    fra = Replica("fra", position=10, proven=10, activity=Activity.IDLE)
    ams = Replica("ams", "fra", position=2, activity=Activity.WAITING_FOR_SLOT)
    state = State.begin(Log("0a1b2c3d", 0), OWNER, Rules(), (fra, ams), 10, 0.0)._replace(seen=Extent(10, 10, 0))
    assert why_behind(state, ams, 10.0) == "8 offsets behind: its cluster receives as many transfers as it may"


def test_a_relationship_that_leaves_after_it_was_called_passes_the_call_on() -> None:
    slots, called = Slots({"fra": 1}), []
    slots.take("fra", "a.fra", lambda: called.append("a"))
    slots.take("fra", "b.fra", lambda: called.append("b"))
    slots.take("fra", "c.fra", lambda: called.append("c"))
    slots.release("fra", "a.fra")
    slots.forget("b.fra")
    assert called == ["b", "c"]
