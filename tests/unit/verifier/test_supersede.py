"""Which later arrival makes an earlier one moot."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore_verifier import supersede
from farshore_verifier.supersede import Place, Reach, Waiting, reach

A, B = Digest.of(b"a"), Digest.of(b"b")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def happened(kind: EventKind, digest: Digest | None = None, tag: str | None = None, repository: str = "app") -> Event:
    return Event(
        id="e",
        kind=kind,
        registry="main",
        repository=Repository(repository),
        digest=digest,
        tag=Tag(tag) if tag else None,
        occurred_at=NOW,
        accepted_at=NOW,
    )


PUSH, DELETE, UNTAG = EventKind.MANIFEST_PUSHED, EventKind.MANIFEST_DELETED, EventKind.TAG_DELETED


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (happened(PUSH, A, "v1"), happened(PUSH, B, "v1"), Reach.NAME),
        (happened(PUSH, A, "v1"), happened(PUSH, A, "v1"), Reach.NAME),
        (happened(PUSH, A, "v1"), happened(UNTAG, None, "v1"), Reach.NAME),
        (happened(UNTAG, None, "v1"), happened(PUSH, B, "v1"), Reach.NAME),
        (happened(PUSH, A), happened(DELETE, A), Reach.NAME),
        (happened(DELETE, A), happened(PUSH, A), Reach.NAME),
        (happened(PUSH, A, "v1"), happened(DELETE, A), Reach.CONTENT),
        (happened(DELETE, A), happened(PUSH, A, "v2"), Reach.CONTENT),
        (happened(PUSH, A, "v1"), happened(PUSH, A, "v2"), None),
        (happened(PUSH, A, "v1"), happened(PUSH, B, "v2"), None),
        (happened(PUSH, A, "v1"), happened(DELETE, B), None),
        (happened(PUSH, A, "v1"), happened(PUSH, B, "v1", "other"), None),
        (happened(PUSH, A, "v1"), happened(EventKind.VOLUME_DIRTY, A, "v1"), None),
        (happened(PUSH, A), happened(EventKind.BLOB_PUSHED, A), None),
    ],
)
def test_what_bears_on_what(earlier: Event, later: Event, expected: Reach | None) -> None:
    assert reach(later, earlier) is expected


EVENTS = st.one_of(
    st.builds(happened, st.just(PUSH), st.sampled_from([A, B]), st.sampled_from([None, "v1", "v2"])),
    st.builds(happened, st.just(DELETE), st.sampled_from([A, B])),
    st.builds(happened, st.just(UNTAG), st.none(), st.sampled_from(["v1", "v2"])),
)


@given(
    st.lists(st.tuples(EVENTS, st.integers(0, 9)), max_size=12), st.sets(st.integers(0, 11)), EVENTS, st.integers(0, 9)
)
def test_the_index_finds_exactly_what_comparing_with_each_would(
    events: list[tuple[Event, int]], removed: set[int], one: Event, generation: int
) -> None:
    waiting, place = Waiting(), Place(0, generation)
    for offset, (event, own) in enumerate(events):
        waiting.add(offset, event, Place(0, own))
    for offset in removed & set(range(len(events))):
        waiting.remove(offset)
    left = [(offset, event, Place(0, own)) for offset, (event, own) in enumerate(events) if offset not in removed]
    older = {offset: bearing for offset, event, own in left if own < place and (bearing := reach(one, event))}
    assert dict(waiting.touched_by(one, place)) == older
    newer = {reach(event, one) for _, event, own in left if own > place} - {None}
    assert waiting.bears_on(one, place) is next((bearing for bearing in Reach if bearing in newer), None)
    same = [offset for offset, event, _ in left if event.image == one.image]
    assert waiting.of_image(one) == same


def test_names_of_one_digest_are_not_compared_with_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane may hold a thousand: comparing each with each took a second, in which nothing else was done."""
    compared = []

    def counted(newer: Event, older: Event) -> Reach | None:
        compared.append((newer, older))
        return reach(newer, older)

    monkeypatch.setattr(supersede, "reach", counted)
    waiting = Waiting()
    for number in range(100):
        event, place = happened(PUSH, A, f"v{number}"), Place(0, number)
        assert list(waiting.touched_by(event, place)) == []
        assert waiting.bears_on(event, place) is None
        waiting.add(number, event, place)
    assert compared == []
    assert len(list(waiting.touched_by(happened(DELETE, A), Place(0, 100)))) == 100
