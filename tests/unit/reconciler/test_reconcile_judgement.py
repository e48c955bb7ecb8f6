"""What follows from the facts of a name: never a deletion without certainty, never an event twice, none left out."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.oci import Digest
from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore_reconciler.announce import event_id, missing_event
from farshore_reconciler.facts import Announced, Answer, Fact, Facts, ImageName, Said, Seen, by_name
from farshore_reconciler.judge import Cause, Missing, Remark, Remarked, Rules, judge
from farshore_reconciler.limits import DeletionLimit

A, B = (str(Digest.of(text)) for text in (b"a", b"b"))
TAG, UNTAGGED = ImageName("team/app", "v1"), ImageName("team/app", f"@{A}")
NOW = datetime(2026, 11, 24, tzinfo=UTC)
RULES = Rules("nyc", ("fra", "syd"), proven=True)


def said(site: str, state: ReadinessState = ReadinessState.READY, digest: str = A, offset: int = 3) -> Said:
    return Said(site, state, digest, f"0a1b2c3d-0-{offset}", offset)


def pushed(digest: str = A, offset: int = 3) -> Announced:
    return Announced(offset, EventKind.MANIFEST_PUSHED, digest, f"e{offset}")


def has(site: str, digest: str = A) -> Seen:
    return Seen(site, Answer.HAS, digest)


def absent(site: str) -> Seen:
    return Seen(site, Answer.ABSENT)


def facts(*known: Fact, name: ImageName = TAG) -> Facts:
    found = Facts(name)
    for fact in known:
        found.add(fact)
    return found


def missing(found: Facts, rules: Rules = RULES) -> Missing | None:
    events = [finding for finding in judge(found, rules) if isinstance(finding, Missing)]
    assert len(events) <= 1
    return events[0] if events else None


def remarks(found: Facts, rules: Rules = RULES) -> set[tuple[Remark, str]]:
    return {(finding.remark, finding.site) for finding in judge(found, rules) if isinstance(finding, Remarked)}


def test_what_nobody_was_told_of_is_a_lost_push() -> None:
    found = missing(facts(has("nyc")))
    assert found is not None
    assert (found.kind, found.digest, found.cause) == (EventKind.MANIFEST_PUSHED, A, Cause.LOST_PUSH)
    assert found.sites == ("fra", "syd")


def test_what_is_ready_everywhere_is_in_step() -> None:
    assert list(judge(facts(has("nyc"), said("fra"), said("syd"), pushed()), RULES)) == []


def test_an_event_that_sites_have_yet_to_decide_is_not_announced_again() -> None:
    found = facts(has("nyc"), said("fra"), pushed())
    assert missing(found) is None
    assert remarks(found) == {(Remark.UNDER_WAY, "syd")}


def test_what_a_site_lost_on_the_way_is_announced_again() -> None:
    lost = replace(RULES, lost_before={"syd": 4})
    for undecided in ((), (said("syd", ReadinessState.LATE),)):
        found = missing(facts(has("nyc"), said("fra"), *undecided, pushed(offset=3)), lost)
        assert found is not None
        assert (found.cause, found.sites) == (Cause.BACKFILL, ("syd",))
    assert missing(facts(has("nyc"), said("fra"), pushed(offset=4)), lost) is None
    assert missing(facts(has("nyc"), said("fra"), said("syd"), pushed(offset=3)), lost) is None
    deletion = Announced(3, EventKind.TAG_DELETED, None, "e3")
    found = missing(facts(absent("nyc"), said("syd", offset=1), deletion), lost)
    assert found is not None
    assert (found.kind, found.sites) == (EventKind.TAG_DELETED, ("syd",))


def test_a_tag_that_moved_without_a_notification_is_announced() -> None:
    found = missing(facts(has("nyc", B), said("fra"), said("syd"), pushed()))
    assert found is not None
    assert (found.digest, found.cause) == (B, Cause.LOST_PUSH)


def test_a_tag_that_moved_back_without_a_notification_is_announced() -> None:
    found = missing(facts(has("nyc", A), said("fra"), said("syd"), pushed(B, 4)))
    assert found is not None
    assert found.digest == A


def test_a_site_that_was_never_told_is_backfilled() -> None:
    found = missing(facts(has("nyc"), said("fra")))
    assert found is not None
    assert (found.cause, found.sites) == (Cause.BACKFILL, ("syd",))


def test_a_site_that_gave_up_is_reported_and_nothing_announced() -> None:
    found = facts(has("nyc"), said("fra"), said("syd", ReadinessState.NOT_FOUND), pushed())
    assert missing(found) is None
    assert remarks(found) == {(Remark.GIVEN_UP, "syd")}


@pytest.mark.parametrize(
    ("name", "kind", "digest"),
    [(TAG, EventKind.TAG_DELETED, None), (UNTAGGED, EventKind.MANIFEST_DELETED, A)],
    ids=["tag", "digest"],
)
def test_what_is_called_ready_and_gone_is_a_lost_delete(name: ImageName, kind: EventKind, digest: str | None) -> None:
    found = missing(facts(absent("nyc"), said("fra"), said("syd"), pushed(), name=name))
    assert found is not None
    assert (found.kind, found.digest, found.cause) == (kind, digest, Cause.LOST_DELETE)
    missing_event("main", found, NOW)  # is an event that the model accepts


def test_an_unproven_primary_deletes_nothing_and_is_unknown() -> None:
    found = facts(absent("nyc"), said("fra"))
    assert missing(found, replace(RULES, proven=False)) is None
    assert remarks(found, replace(RULES, proven=False)) == {(Remark.UNKNOWN, "nyc")}


def test_a_deletion_under_way_is_not_announced_again() -> None:
    deleted = Announced(9, EventKind.TAG_DELETED, None, "e9")
    assert missing(facts(absent("nyc"), said("fra"), said("syd"), deleted)) is None


def test_content_that_only_a_site_has_is_extra() -> None:
    rules = replace(RULES, looked_at=frozenset({"fra"}))
    assert remarks(facts(absent("nyc"), has("fra")), rules) == {(Remark.EXTRA, "fra")}
    assert remarks(facts(absent("nyc"), has("fra")), replace(rules, proven=False)) == set()


def test_a_hole_is_announced_only_where_the_site_has_proved_itself() -> None:
    found = facts(has("nyc"), said("fra"), said("syd"), absent("syd"), pushed())
    holed = missing(found, replace(RULES, looked_at=frozenset({"syd"})))
    assert holed is not None
    assert (holed.cause, holed.sites) == (Cause.HOLE, ("syd",))
    assert missing(found) is None


states = st.sampled_from(list(ReadinessState))
digests = st.sampled_from([A, B])
offsets = st.integers(-1, 9)
answers = st.one_of(
    st.builds(lambda digest: (Answer.HAS, digest), digests),
    st.just((Answer.ABSENT, None)),
    st.just((Answer.UNKNOWN, None)),
)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    name = draw(st.sampled_from([TAG, UNTAGGED]))
    digest = st.just(A) if name is UNTAGGED else digests
    found = Facts(name)
    for site in draw(st.sets(st.sampled_from(["fra", "syd"]))):
        found.add(said(site, draw(states), draw(digest), draw(offsets)))
    if draw(st.booleans()):
        deletion = EventKind.MANIFEST_DELETED if name is UNTAGGED else EventKind.TAG_DELETED
        kind = draw(st.sampled_from([EventKind.MANIFEST_PUSHED, deletion]))
        found.add(Announced(draw(st.integers(0, 9)), kind, draw(digest), "last"))
    for site in draw(st.sets(st.sampled_from(["nyc", "fra", "syd"]))):
        answer, what = draw(answers)
        found.add(Seen(site, answer, draw(digest) if what else None))
    return found


any_rules = st.builds(
    Rules,
    st.just("nyc"),
    st.just(("fra", "syd")),
    st.frozensets(st.sampled_from(["fra", "syd"])),
    st.booleans(),
)


@given(any_facts(), any_rules)
def test_nothing_follows_from_a_primary_that_gave_no_certain_answer(found: Facts, rules: Rules) -> None:
    primary = found.seen.get("nyc")
    if primary is None or primary.answer is Answer.UNKNOWN:
        assert missing(found, rules) is None


@given(any_facts(), any_rules)
def test_a_deletion_needs_a_proven_primary_that_says_so_and_a_site_that_says_ready(found: Facts, rules: Rules) -> None:
    event = missing(found, rules)
    if event is not None and event.kind is not EventKind.MANIFEST_PUSHED:
        assert rules.proven
        assert found.seen["nyc"].answer is Answer.ABSENT
        assert any(record.state is ReadinessState.READY for record in found.said.values())


@given(any_facts(), any_rules)
def test_a_push_says_what_the_primary_has(found: Facts, rules: Rules) -> None:
    event = missing(found, rules)
    if event is not None and event.kind is EventKind.MANIFEST_PUSHED:
        assert (found.seen["nyc"].answer, found.seen["nyc"].digest) == (Answer.HAS, event.digest)


@given(any_facts(), any_rules)
def test_what_was_announced_is_not_announced_again(found: Facts, rules: Rules) -> None:
    event = missing(found, rules)
    if event is not None:
        found.add(Announced(10, event.kind, event.digest, event_id("main", event)))
        assert missing(found, rules) is None


@given(any_facts(), any_rules)
def test_once_every_site_has_decided_there_is_nothing_left(found: Facts, rules: Rules) -> None:
    event = missing(found, rules)
    if event is not None:
        found.add(Announced(10, event.kind, event.digest, event_id("main", event)))
        is_push = event.kind is EventKind.MANIFEST_PUSHED
        for site in rules.replicas:
            state = ReadinessState.READY if is_push else ReadinessState.REVOKED
            found.add(said(site, state, event.digest or A, 10))
            found.add(has(site, str(event.digest)) if is_push else absent(site))
        assert [
            finding for finding in judge(found, rules) if finding != Remarked(found.name, Remark.UNKNOWN, "nyc")
        ] == []


@given(any_facts(), any_rules)
def test_two_runs_that_know_the_same_announce_one_event_and_a_later_loss_another(found: Facts, rules: Rules) -> None:
    event = missing(found, rules)
    if event is not None:
        assert missing(found, rules) == event
        later = replace(event, epoch=event_id("main", event))
        assert event_id("main", later) != event_id("main", event)
        assert event_id("other", event) != event_id("main", event)


names = st.builds(ImageName, st.sampled_from(["a", "a-b", "a/b", "b"]), st.sampled_from(["v1", "v10", "V", f"@{A}"]))


@given(
    st.lists(st.lists(st.tuples(names, st.one_of(st.builds(has, st.sampled_from(["nyc", "fra"])), st.builds(pushed)))))
)
def test_merging_gives_each_name_once_in_order_with_all_its_facts(streams: list[list[tuple[ImageName, Fact]]]) -> None:
    merged = list(by_name(*[sorted(stream, key=lambda pair: pair[0]) for stream in streams]))
    assert [found.name for found in merged] == sorted({name for stream in streams for name, _ in stream})
    for found in merged:
        mine = [fact for stream in streams for name, fact in stream if name == found.name]
        assert set(found.seen.values()) == {fact for fact in mine if isinstance(fact, Seen)}
        assert (found.announced is not None) == any(isinstance(fact, Announced) for fact in mine)


@pytest.mark.parametrize(
    ("limit", "ready", "allowed"),
    [("1%", 100_000, 1000), ("1%", 20, 10), ("0", 500, 0), ("25", 3, 25), ("100%", 40, 40)],
)
def test_the_limit_of_deletions_is_a_number_or_a_share(limit: str, ready: int, allowed: int) -> None:
    assert DeletionLimit.parse(limit).of(ready) == allowed


@pytest.mark.parametrize("text", ["", "-1", "1.5%", "101%", "many"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        DeletionLimit.parse(text)
