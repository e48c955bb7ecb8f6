"""Arrivals are judged by their generations, in whichever order they are read."""

from datetime import UTC, datetime, timedelta

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival, Generation, Passage
from farshore.records.events import Event, EventKind
from farshore.records.readiness import ReadinessState
from farshore_verifier.docket import Begin, Docket, Overtaken, Reading
from farshore_verifier.supersede import Place, Reach
from farshore_verifier.window import Mark, Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Digest.of(b"a"), Digest.of(b"b")
PUSH, DELETE = EventKind.MANIFEST_PUSHED, EventKind.MANIFEST_DELETED
V1 = ("main", "app:v1")


def arrival(
    generation: int,
    digest: Digest = A,
    tag: str | None = "v1",
    kind: EventKind = PUSH,
    *,
    log: str = "0a",
    published: int = 0,
) -> Arrival:
    """`published` counts how often the coalescer published it: each time is another passage."""
    event = Event(
        id=f"e{generation}",
        kind=kind,
        registry="main",
        repository=Repository("app"),
        digest=digest,
        tag=Tag(tag) if tag else None,
        occurred_at=NOW,
        accepted_at=NOW,
    )
    passage = Passage("fra", "s", "v", None, NOW + timedelta(seconds=published))
    return Arrival(event, Generation(log, 0, generation), passage)


def docket(mark: Mark = Mark(0, "")) -> Docket:  # noqa: B008 - frozen
    return Docket(Window.restore(mark))


def role(reading: Reading) -> Begin | Overtaken | None:
    return reading.role


def test_a_newer_push_of_a_tag_touches_the_older_one_and_waits_for_it() -> None:
    lane = docket()
    assert lane.read(0, arrival(5)) == Reading(role=Begin(None, None, late=False))
    assert lane.read(1, arrival(9, B)) == Reading(touched=((0, Reach.NAME),), role=Begin(0, None, late=False))


def test_an_older_push_that_is_read_later_touches_nothing_and_ends_at_once() -> None:
    lane = docket()
    lane.read(0, arrival(9, B))
    assert lane.read(1, arrival(5)) == Reading(role=Overtaken(Place(0, 9), spoken=False))
    assert lane.window.waiting == 2  # its end is to be committed like any other


def test_an_older_push_says_nothing_once_the_newer_one_has_spoken() -> None:
    lane = docket()
    lane.read(0, arrival(9, B))
    lane.end(0, V1, ReadinessState.NOT_FOUND)
    assert role(lane.read(1, arrival(5))) == Overtaken(Place(0, 9), spoken=True)


def test_what_was_given_up_and_is_sent_back_is_decided_again() -> None:
    lane = docket()
    lane.read(0, arrival(9))
    lane.end(0, V1, ReadinessState.CORRUPT)
    assert role(lane.read(1, arrival(9))) == Begin(None, None, late=False)


def test_an_arrival_that_was_ready_is_not_said_to_be_so_twice() -> None:
    lane = docket()
    lane.read(0, arrival(9))
    assert role(lane.read(1, arrival(9))) == Overtaken(Place(0, 9), spoken=True)
    lane.end(0, V1, ReadinessState.READY)
    assert role(lane.read(2, arrival(9))) == Overtaken(Place(0, 9), spoken=True)


def test_an_arrival_that_an_operator_has_published_again_is_decided_again() -> None:
    lane = docket()
    lane.read(0, arrival(9))
    lane.end(0, V1, ReadinessState.READY)
    assert role(lane.read(1, arrival(9, published=1))) == Begin(None, None, late=False)


def test_an_old_delete_that_is_read_later_explains_no_absence() -> None:
    lane = docket()
    lane.read(0, arrival(9))
    assert lane.read(1, arrival(5, A, None, DELETE)) == Reading(role=Begin(None, Reach.CONTENT, late=False))
    assert lane.read(2, arrival(12, A, None, DELETE)).touched == ((0, Reach.CONTENT), (1, Reach.NAME))


def test_a_delete_waits_for_the_one_before_whatever_pushes_of_its_digest_came_between() -> None:
    lane = docket()
    lane.read(0, arrival(5, A, None, DELETE))
    lane.read(1, arrival(6, A, "v1"))
    assert role(lane.read(2, arrival(7, A, None, DELETE))) == Begin(0, None, late=False)


def test_a_new_incarnation_of_the_log_is_newer_whatever_its_offsets_say() -> None:
    lane = docket()
    lane.read(0, arrival(9))
    assert lane.read(1, arrival(2, B, log="ff")).touched == ((0, Reach.NAME),)
    assert role(lane.read(2, arrival(10))) == Overtaken(Place(1, 2), spoken=False)


def test_what_was_decided_before_a_restart_still_touches_what_was_not() -> None:
    before = docket()
    before.read(0, arrival(5))
    before.read(1, arrival(9, B))
    before.window.decide(1)
    lane = docket(before.window.mark())
    assert role(lane.read(0, arrival(5))) == Begin(None, None, late=False)
    assert lane.read(1, arrival(9, B)) == Reading(touched=((0, Reach.NAME),))
    assert role(lane.read(2, arrival(7))) == Overtaken(Place(0, 9), spoken=True)


def test_volume_dirty_moves_its_image_on_and_has_no_role_of_its_own() -> None:
    lane = docket()
    lane.read(0, arrival(5))
    assert lane.read(1, arrival(6, kind=EventKind.VOLUME_DIRTY)) == Reading(moved=(0,))
    assert lane.window.waiting == 1
