"""From an adapter's changes to events: ownership, hints, ids."""

from datetime import UTC, datetime

import pytest
from receiver_topology import topology

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore_receiver.adapters import Change, Dropped, Parsed, choose_adapter
from farshore_receiver.normalise import Normaliser, event_id

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)


def change(repository: str, kind: EventKind = EventKind.MANIFEST_PUSHED) -> Change:
    return Change("id-1", 0, kind, Repository(repository), DIGEST, Tag("v1"), "a/b", 7, NOW, "process-1")


def rules(registry: str, **prefixes: str) -> Normaliser:
    return Normaliser(registry, topology(prefixes).registries)


@pytest.mark.parametrize(
    ("repository", "owner"), [("app", "main"), ("team/app", "team"), ("team/a/app", "deep"), ("team", "main")]
)
def test_the_longest_prefix_owns_a_repository(repository: str, owner: str) -> None:
    prefixes = {"main": "", "team": "team/", "deep": "team/a/"}
    for registry in prefixes:
        found = rules(registry, **prefixes).normalise(Parsed((change(repository),)), NOW)
        assert bool(found.events) is (registry == owner)
        assert [item.code for item in found.rejected] == ([] if registry == owner else ["wrong-registry"])


def test_a_repository_that_nobody_owns_is_rejected() -> None:
    found = rules("team", team="team/").normalise(Parsed((change("app"),)), NOW)
    assert [item.code for item in found.rejected] == ["wrong-registry"]


def test_blob_pushes_count_only_where_a_head_start_is_asked_for() -> None:
    parsed = Parsed((change("app", EventKind.BLOB_PUSHED),))
    without = Normaliser("main", topology({"main": ""}).registries).normalise(parsed, NOW)
    with_it = Normaliser("main", topology({"main": ""}, head_start=True).registries).normalise(parsed, NOW)
    assert (without.events, without.dropped) == ((), (Dropped.BLOB_PUSH,))
    assert [event.kind for event in with_it.events] == [EventKind.BLOB_PUSHED]


def test_an_event_survives_its_own_json() -> None:
    (event,) = rules("main", main="").normalise(Parsed((change("team/app"),)), NOW).events
    assert Event.from_json(event.to_cloudevent().data, "here") == event


def test_an_id_is_the_same_each_time_and_its_parts_cannot_be_confused() -> None:
    assert event_id("main", "n", 1) == event_id("main", "n", 1)
    others = {event_id("main", "n", 1), event_id("main", "n1", 1), event_id("main", "n", 11), event_id("mainn", "", 1)}
    assert len(others) == 4


@pytest.mark.parametrize("content_type", ["application/json", "APPLICATION/CloudEvents+JSON; charset=utf-8"])
def test_json_of_an_unknown_kind_is_kept(content_type: str) -> None:
    assert choose_adapter(content_type) == "unknown-format"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_what_no_registry_sends_is_refused(content_type: str) -> None:
    assert choose_adapter(content_type) == "not-a-notification"
