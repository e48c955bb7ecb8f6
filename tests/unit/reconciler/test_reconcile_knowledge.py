"""The facts on disk: sorted, merged, and steady while they are read."""

from collections.abc import Iterator

import pytest

from farshore.oci import Digest
from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore_reconciler.facts import Announced, Answer, ImageName, Said, Seen
from farshore_reconciler.judge import Missing, Rules, judge
from farshore_reconciler.knowledge import Knowledge

A = str(Digest.of(b"a"))
MANY = 2_500
NAMES = [ImageName(f"r{number % 7}", f"t{number}") for number in range(MANY)]


def said(site: str = "fra", state: ReadinessState = ReadinessState.READY) -> Said:
    return Said(site, state, A, "0a1b2c3d-0-1", 1)


@pytest.fixture
def knowledge() -> Iterator[Knowledge]:
    with Knowledge() as knowledge:
        yield knowledge


def test_names_come_in_order_and_other_registries_stay_apart(knowledge: Knowledge) -> None:
    knowledge.see("main", [(name, Seen("nyc", Answer.HAS, A)) for name in NAMES])
    knowledge.see("other", [(NAMES[0], Seen("nyc", Answer.HAS, A))])
    assert [facts.name for facts in knowledge.facts("main")] == sorted(NAMES)
    assert [facts.name for facts in knowledge.facts("other")] == NAMES[:1]


def test_the_last_word_of_a_site_counts(knowledge: Knowledge) -> None:
    knowledge.hear("main", [(NAMES[0], said()), (NAMES[0], said(state=ReadinessState.REVOKED))])
    (facts,) = knowledge.facts("main")
    assert facts.said["fra"].state is ReadinessState.REVOKED


def test_what_is_proposed_while_facts_are_read_is_all_there(knowledge: Knowledge) -> None:
    knowledge.see("main", [(name, Seen("nyc", Answer.HAS, A)) for name in NAMES])
    rules = Rules("nyc", ("fra",))
    for facts in knowledge.facts("main"):
        knowledge.propose("main", [finding for finding in judge(facts, rules) if isinstance(finding, Missing)])
    assert [name for page in knowledge.candidates("main") for name in page] == sorted(NAMES)
    again = list(knowledge.facts("main", candidates_only=True))
    assert [facts.name for facts in again] == sorted(NAMES)
    (event,) = judge(again[0], rules)
    assert isinstance(event, Missing)
    assert knowledge.is_candidate("main", event)
    other = Missing(event.name, EventKind.TAG_DELETED, None, event.cause, event.sites, event.epoch)
    assert not knowledge.is_candidate("main", other)


def test_what_is_ready_or_served_elsewhere_is_to_be_asked_for_once(knowledge: Knowledge) -> None:
    knowledge.hear("main", [(name, said()) for name in NAMES[:600]])
    knowledge.hear("main", [(NAMES[700], said(state=ReadinessState.REVOKED))])
    knowledge.see("main", [(NAMES[650], Seen("fra", Answer.HAS, A)), (NAMES[0], Seen("nyc", Answer.ABSENT))])
    asked: list[ImageName] = []
    for page in knowledge.to_ask("main", "nyc"):
        asked += page
        knowledge.see("main", [(name, Seen("nyc", Answer.HAS, A)) for name in page])
    assert sorted(asked) == sorted([*NAMES[1:600], NAMES[650]])
    assert list(knowledge.to_ask("main", "nyc")) == []


def test_a_sample_goes_around_the_ring(knowledge: Knowledge) -> None:
    knowledge.hear("main", [(name, said()) for name in NAMES])
    start, seen = 2**31, set()
    for _ in range(MANY // 100):
        for name, _, ring in knowledge.ready_from("main", "fra", start, at_most=100):
            seen.add(name)
            start = ring + 1
    assert seen == set(NAMES)


def test_what_a_site_has_yet_to_decide_is_told_by_name(knowledge: Knowledge) -> None:
    def push(offset: int, event: str = "") -> Announced:
        return Announced(offset, EventKind.MANIFEST_PUSHED, A, event or f"event-{offset}")

    def decided(offset: int, state: ReadinessState = ReadinessState.READY, site: str = "fra") -> Said:
        return Said(site, state, A, f"0a1b2c3d-0-{offset}", offset)

    ready, late, behind, untold, elsewhere, later, failed, repeated = NAMES[:8]
    heard: list[tuple[ImageName, Said | Announced]] = [
        *((ready, push(1)), (late, push(2)), (behind, push(3)), (untold, push(4)), (elsewhere, push(5))),
        *((later, push(100)), (failed, push(6)), (repeated, push(7, "same")), (repeated, push(9, "same"))),
        *((ready, decided(1)), (late, decided(2, ReadinessState.LATE)), (behind, decided(0))),
        *((elsewhere, decided(5, site="syd")), (failed, decided(6, ReadinessState.CORRUPT)), (repeated, decided(7))),
    ]
    knowledge.hear("main", heard)
    knowledge.hear("other", [(NAMES[9], push(1))])
    assert knowledge.undecided("main", "fra", 100) == sorted([late, behind, untold, elsewhere])
    assert knowledge.undecided("main", "fra", 4) == sorted([late, behind])
    assert knowledge.last_said("main", "fra", [ReadinessState.CORRUPT, ReadinessState.LATE]) == sorted(
        [(failed, "corrupt"), (late, "late")]
    )
