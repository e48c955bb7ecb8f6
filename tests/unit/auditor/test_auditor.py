"""The auditor finds every broken promise, planted by hand, and says nothing where all is well."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from auditor import Pushed, judge, owed
from evidence import Commit, Logged, parse_commit
from history import SITES, History

from farshore.oci import Digest
from farshore.records.events import EventKind
from farshore.records.readiness import EVERYWHERE, ReadinessState

READY, REVOKED, SUPERSEDED = ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.SUPERSEDED


def a_good_day() -> History:
    """All that may rightly happen: a repeated notification, a moved tag, a deletion, a letter that was sent back."""
    history = History()
    history.well(history.event("v1"))
    history.event("v1", event_id="event-0")  # the registry didn't see the answer
    history.well(history.event("v3"))
    last = history.event("v4")
    for one in (history.arrive(last, site, cover=f"{last.offset + 1}-1") for site in SITES):
        history.say(one, READY)
    history.say_everywhere(one, READY)
    first = history.event("latest", content="one")
    second = history.event("latest", content="two")
    early = [history.arrive(first, site) for site in SITES]
    history.say(early[0], READY)
    history.say(early[1], SUPERSEDED)
    history.well(second)
    history.arrive(dirty := history.event(None, kind=EventKind.VOLUME_DIRTY), "fra")
    history.arrive(dirty, "syd")
    history.well(history.event(None, content="v1", kind=EventKind.MANIFEST_DELETED), REVOKED)
    failed = history.event("v2")
    at_fra, at_syd = (history.arrive(failed, site) for site in SITES)
    history.say(at_fra, READY)
    letter = history.give_up(at_syd, ReadinessState.UNREACHABLE)
    again = history.send_back(at_syd, letter)
    history.say(again, READY)
    history.say_everywhere(again, READY)
    for position in (1, 4, 4, 7):
        history.commit("farshore.coalescer.main.fra", position)
    history.commit("somebody.elses", 9)
    history.commit("somebody.elses", 3)
    return history


def found(history: History, **options: object) -> list[str]:
    return judge(history.evidence, SITES, may_fail=[ReadinessState.UNREACHABLE], **options)  # type: ignore[arg-type]


def test_nothing_is_wrong_with_a_good_day() -> None:
    assert found(a_good_day()) == []
    assert owed(a_good_day().evidence, SITES) == []


def lose_an_arrival(day: History) -> None:
    one = day.event("v9")
    day.say(day.arrive(one, "fra"), READY)


def arrive_twice(day: History) -> None:
    one = day.event("v9")
    day.well(one)
    day.arrive(one, "fra")


def arrive_unannounced(day: History) -> None:
    day.arrive(Logged(0, 999, day.evidence.events[0].what), "fra", cover=1000)


def arrive_at_a_strange_site(day: History) -> None:
    day.arrive(day.evidence.events[0], "mars")


def arrive_as_something_else(day: History) -> None:
    entry = day.event("v9")
    other = entry.what.model_copy(update={"digest": Digest.of(b"other")})
    day.well(replace(entry, what=other))


def arrive_out_of_order(day: History) -> None:
    first, second = day.event("v8"), day.event("v9")
    day.well(second)
    day.well(first)


def arrive_by_an_older_snapshot(day: History) -> None:
    first, second = day.event("v8"), day.event("v9")
    for entry, cover in ((first, 1000), (second, second.offset + 1)):
        arrivals = [day.arrive(entry, site, cover=cover) for site in SITES]
        for one in arrivals:
            day.say(one, READY)
        day.say_everywhere(arrivals[0], READY)


def arrive_before_the_snapshot_covers_it(day: History) -> None:
    entry = day.event("v9")
    day.arrive(entry, "fra", cover=entry.offset)


def arrive_by_the_snapshot_of_another_log(day: History) -> None:
    day.arrive(day.event("v9"), "fra", cover=100, log="1f3a9c04-1")


def arrive_by_somebody_elses_snapshot(day: History) -> None:
    day.arrive(day.event("v9"), "fra", cover="1.2026-11-24_120000")


def arrive_by_an_older_one_of_two_of_the_same_cover(day: History) -> None:
    day.arrive(day.event("v8"), "fra", cover="100-2")
    day.arrive(day.event("v9"), "fra", cover="100-1")


def another_incarnation(day: History) -> None:
    one = day.evidence.arrivals[-1].what
    generation = replace(one.generation, incarnation="ffffffff")
    day.evidence.arrivals.append(Logged(0, 99, replace(one, generation=generation)))


def never_decide(day: History) -> None:
    entry = day.event("v9")
    day.arrive(entry, "syd")
    day.say(day.arrive(entry, "fra"), READY)


def decide_twice(day: History) -> None:
    day.say(day.well(day.event("v9"))[0], READY)


def decide_otherwise_the_second_time(day: History) -> None:
    day.say(day.well(day.event("v9"))[0], SUPERSEDED)


def decide_of_another_generation(day: History) -> None:
    one = day.well(day.event("v9"))[0]
    wrong = replace(one.what, generation=replace(one.what.generation, offset=998))
    day.say(replace(one, what=wrong), READY)


def ready_by_a_snapshot_that_did_not_bring_it(day: History) -> None:
    entry = day.event("v9")
    arrivals = [day.arrive(entry, site) for site in SITES]
    passage = replace(arrivals[0].what.passage, snapshot="farshore-1f3a9c04-0-1-1-5e1f0c4a")
    day.say(replace(arrivals[0], what=replace(arrivals[0].what, passage=passage)), READY)
    day.say(arrivals[1], READY)
    day.say_everywhere(arrivals[1], READY)


def fail_for_no_reason(day: History) -> None:
    arrivals = [day.arrive(day.event("v9"), "fra")]
    day.say(arrivals[0], ReadinessState.CORRUPT)


def say_everywhere_too_early(day: History) -> None:
    entry = day.event("v9")
    at_fra, at_syd = (day.arrive(entry, site) for site in SITES)
    day.say(at_fra, READY)
    day.say_everywhere(at_fra, READY)
    day.say(at_syd, READY)


def say_everywhere_twice(day: History) -> None:
    day.say_everywhere(day.well(day.event("v9"))[0], READY)


def never_say_everywhere(day: History) -> None:
    day.well(day.event("v9"))
    day.evidence.statements.pop()


def never_revoke_everywhere(day: History) -> None:
    day.evidence.statements = [
        one for one in day.evidence.statements if (one.what.site, one.what.state) != (EVERYWHERE, REVOKED)
    ]


def go_back(day: History) -> None:
    day.commit("farshore.coalescer.main.fra", 6)


def forget_a_position(day: History) -> None:
    day.commit("farshore.coalescer.main.fra", None)


def leave_a_letter(day: History) -> None:
    one = day.arrive(day.event("v9"), "fra")
    day.give_up(one, ReadinessState.NOT_FOUND)


def send_a_letter_back_twice(day: History) -> None:
    mark = day.evidence.marks[0]
    day.evidence.marks.append(replace(mark, offset=9))


def write_nonsense(day: History) -> None:
    day.evidence.unreadable.append("farshore.events/0@5: no JSON")


@pytest.mark.parametrize(
    ("plant", "sign"),
    [
        (lose_an_arrival, "v9 (event 0@9) arrived 0 times at syd"),
        (arrive_twice, "v9 (event 0@9) arrived 2 times at fra"),
        (arrive_unannounced, "an arrival of team/app:v1 at fra that no event announced"),
        (arrive_at_a_strange_site, "an arrival of team/app:v1 at mars"),
        (arrive_as_something_else, "v9 (event 0@9) arrived at fra as something else"),
        (arrive_out_of_order, "team/app:v8 arrived at syd after a later event"),
        (arrive_by_an_older_snapshot, "team/app:v9 arrived at fra by an older snapshot"),
        (arrive_before_the_snapshot_covers_it, "farshore-1f3a9c04-0-9-1-5e1f0c4a doesn't cover it"),
        (arrive_by_the_snapshot_of_another_log, "farshore-1f3a9c04-1-100-1-5e1f0c4a doesn't cover it"),
        (arrive_by_somebody_elses_snapshot, "120000-5e1f0c4a doesn't cover it"),
        (arrive_by_an_older_one_of_two_of_the_same_cover, "team/app:v9 arrived at fra by an older snapshot"),
        (another_incarnation, "several incarnations"),
        (never_decide, "v9 (event 0@9) decided 0 times at syd"),
        (decide_twice, "v9 (event 0@9) decided 2 times at fra"),
        (decide_otherwise_the_second_time, "v9 (event 0@9) decided 2 times at fra"),
        (decide_of_another_generation, "event-9 of generation 1f3a9c04-0-998 decided at fra"),
        (ready_by_a_snapshot_that_did_not_bring_it, "with which it didn't arrive"),
        (fail_for_no_reason, "team/app:v9 at fra: corrupt"),
        (say_everywhere_too_early, "before all of them say so"),
        (say_everywhere_twice, "said 2 times"),
        (never_say_everywhere, "said 0 times"),
        (never_revoke_everywhere, "revoked at all sites, which was said 0 times"),
        (go_back, "farshore.coalescer.main.fra went back on farshore.events/0 from 7 to 6"),
        (forget_a_position, "was forgotten"),
        (leave_a_letter, "a dead letter of farshore.arrivals/0@"),
        (send_a_letter_back_twice, "sent back twice"),
        (write_nonsense, "no JSON"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_promise_is_found(plant: Callable[[History], None], sign: str) -> None:
    day = a_good_day()
    plant(day)
    assert [line for line in found(day) if sign in line]


def test_an_acknowledged_push_without_an_event_is_found() -> None:
    pushed = Pushed("team/app", Digest.of(b"v1"), "v1")
    lost = Pushed("team/app", Digest.of(b"v9"), "v9")
    assert found(a_good_day(), pushed=[pushed]) == []
    assert found(a_good_day(), pushed=[pushed, lost]) == ["team/app:v9 was pushed, and no event says so"]


def test_an_id_that_comes_again_much_later_is_another_event() -> None:
    history = History()
    history.well(first := history.event("v1"))
    again = Logged(0, first.offset + 4097, first.what)
    history.evidence.events.append(again)
    assert [line for line in found(history) if "arrived 0 times" in line]
    history.well(again)
    assert not [line for line in found(history) if "arrived" in line]


def test_a_failure_that_a_test_allows_is_no_broken_promise_but_another_one_is() -> None:
    history = History()
    entry = history.event("v1")
    for site in SITES:
        history.give_up(history.arrive(entry, site), ReadinessState.CORRUPT)
    assert judge(history.evidence, SITES, may_fail=[ReadinessState.CORRUPT]) == []
    assert len(judge(history.evidence, SITES, may_fail=[ReadinessState.NOT_FOUND])) == 6


@pytest.mark.parametrize("site", SITES)
def test_what_is_still_to_come_is_owed(site: str) -> None:
    history = History()
    entry = history.event("v1")
    assert len(owed(history.evidence, SITES)) == 2
    arrivals = {name: history.arrive(entry, name) for name in SITES}
    for name in SITES:
        if name != site:
            history.say(arrivals[name], READY)
    assert owed(history.evidence, SITES) == [f"a decision about team/app:v1 (event 0@0) at {site}"]
    history.say(arrivals[site], READY)
    assert owed(history.evidence, SITES) == ["team/app:v1 is ready-everywhere at all sites"]
    history.say_everywhere(arrivals[site], READY)
    assert owed(history.evidence, SITES) == []


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def test_commits_are_read_as_kafka_writes_them() -> None:
    key = struct.pack(">h", 1) + text("farshore.x") + text("farshore.events") + struct.pack(">i", 3)
    value = struct.pack(">hqi", 3, 712, 5) + text("metadata") + struct.pack(">q", 0)
    assert parse_commit(key, value) == Commit("farshore.x", "farshore.events", 3, 712)
    assert parse_commit(key, None) == Commit("farshore.x", "farshore.events", 3, None)
    assert parse_commit(struct.pack(">h", 2) + text("farshore.x"), b"") is None
