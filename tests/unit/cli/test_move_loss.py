"""What a forced move loses, and what is announced of it."""

from datetime import UTC, datetime

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore_cli.moving.loss import LostImage, Window, correction

NOW = datetime(2026, 11, 28, tzinfo=UTC)
A, B = Digest.of(b"a"), Digest.of(b"b")
PUSH, DELETE, UNTAG = EventKind.MANIFEST_PUSHED, EventKind.MANIFEST_DELETED, EventKind.TAG_DELETED
MOVE = "0123abcd"


def event(kind: EventKind, tag: str | None, digest: Digest | None, event_id: str = "e") -> Event:
    return Event(
        id=event_id,
        kind=kind,
        registry="main",
        repository=Repository("team/app"),
        digest=digest,
        tag=Tag(tag) if tag else None,
        occurred_at=NOW,
        accepted_at=NOW,
    )


def window(*events: Event) -> Window:
    made = Window(MOVE)
    made.take(events)
    return made


def lost(there: dict[str, Digest | None], *events: Event) -> list[LostImage]:
    return list(window(*events).lost(there))


def test_what_came_through_all_the_same_is_not_lost() -> None:
    there = {"team/app:v1": A, "team/app:v2": None, f"team/app@{B}": None}
    assert lost(there, event(PUSH, "v1", A), event(UNTAG, "v2", None), event(DELETE, None, B)) == []


def test_what_the_target_contradicts_is_lost() -> None:
    there = {"team/app:new": None, "team/app:moved": B, "team/app:gone": A, f"team/app@{B}": B}
    events = (event(PUSH, "new", A), event(PUSH, "moved", A), event(UNTAG, "gone", None), event(DELETE, None, B))
    found = [(one.image, one.kind, one.digest, one.there) for one in lost(there, *events)]
    assert found == [
        ("team/app:new", PUSH, A, None),
        ("team/app:moved", PUSH, A, B),
        ("team/app:gone", UNTAG, None, A),
        (f"team/app@{B}", DELETE, B, B),
    ]


def test_the_last_event_of_an_image_counts_and_all_are_counted() -> None:
    (one,) = lost({"team/app:v1": None}, event(PUSH, "v1", A), event(UNTAG, "v1", None), event(PUSH, "v1", B))
    assert (one.digest, one.events) == (B, 3)
    assert lost({"team/app:v1": None}, event(PUSH, "v1", A), event(UNTAG, "v1", None)) == []


def test_hints_that_the_volume_changed_are_no_images() -> None:
    made = window(event(EventKind.BLOB_PUSHED, None, A), event(EventKind.VOLUME_DIRTY, None, None))
    assert (made.events, made.to_ask) == (0, [])


def test_an_image_that_nobody_could_be_asked_for_is_not_called_lost() -> None:
    assert lost({}, event(PUSH, "v1", A)) == []


def test_corrections_make_the_log_say_what_is_there_and_tell_a_later_run_the_same_loss() -> None:
    there = {"team/app:new": None, "team/app:moved": B, "team/app:gone": A, f"team/app@{B}": None}
    events = [event(PUSH, "new", A), event(PUSH, "moved", A), event(UNTAG, "gone", None), event(PUSH, None, B)]
    before = lost(there, *events)
    corrections = [correction(MOVE, "main", one, NOW) for one in before]
    assert [(one.image, one.kind, one.digest) for one in corrections] == [
        ("team/app:new", UNTAG, None),
        ("team/app:moved", PUSH, B),
        ("team/app:gone", PUSH, A),
        (f"team/app@{B}", DELETE, B),
    ]
    later = window(*events, *corrections)
    assert later.to_ask == []
    assert later.events == len(events)
    told = [(one.image, one.digest, one.there, one.events) for one in later.lost({})]
    assert told == [(one.image, one.digest, one.there, one.events) for one in before]
    assert [correction(MOVE, "main", one, NOW) for one in before] == corrections
    assert all(one.announced for one in later.lost({}))


def test_a_move_that_was_killed_between_two_corrections_writes_the_rest() -> None:
    events = [event(PUSH, "one", A), event(PUSH, "two", A)]
    first, _ = lost({"team/app:one": None, "team/app:two": None}, *events)
    half = window(*events, correction(MOVE, "main", first, NOW))
    assert [one.image for one in half.to_ask] == ["team/app:two"]
    assert [(one.image, one.announced) for one in half.lost({"team/app:two": None})] == [
        ("team/app:one", True),
        ("team/app:two", False),
    ]
