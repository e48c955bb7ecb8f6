"""What events, readiness records and dead letters say, beyond their envelope."""

from datetime import timedelta, timezone

import pytest
from pydantic import ValidationError
from record_examples import ACCEPTED, DIGEST, EVENTS, PUSHED, READINESS, TRANSFER

from farshore.oci import Repository
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.deadletters import DeadLetter, Redriven, parse_dead_letter, without_secrets
from farshore.records.events import Event, EventKind
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.kind))
def test_an_event_survives_its_record(event: Event) -> None:
    envelope = event.to_cloudevent()
    assert Event.from_json(envelope.data, "here") == event
    assert envelope.type == f"io.farshore.{event.kind}.v1"
    assert (envelope.subject, envelope.source) == ("team/app", "/registries/main")


def event_of(kind: EventKind, **fields: object) -> Event:
    base = {"id": "1", "kind": kind, "registry": "main", "repository": "a", "occurred_at": PUSHED}
    return Event.model_validate({**base, "accepted_at": ACCEPTED, **fields})


@pytest.mark.parametrize("kind", sorted(set(EventKind) - {EventKind.TAG_DELETED, EventKind.VOLUME_DIRTY}))
def test_an_event_about_content_needs_its_digest(kind: EventKind) -> None:
    assert event_of(kind, digest=DIGEST)
    with pytest.raises(ValidationError, match="needs a digest"):
        event_of(kind, tag="v1")


def test_a_deleted_tag_needs_the_tag_and_a_dirty_volume_neither() -> None:
    assert event_of(EventKind.TAG_DELETED, tag="v1").image == "a:v1"
    assert event_of(EventKind.VOLUME_DIRTY)
    with pytest.raises(ValidationError, match="needs a tag"):
        event_of(EventKind.TAG_DELETED, digest=DIGEST)


def test_times_are_kept_in_utc_and_one_without_zone_is_refused() -> None:
    elsewhere = PUSHED.astimezone(timezone(timedelta(hours=10)))
    event = event_of(EventKind.MANIFEST_PUSHED, digest=DIGEST, occurred_at=elsewhere)
    assert event.occurred_at == PUSHED
    assert event.occurred_at.utcoffset() == timedelta(0)
    with pytest.raises(ValidationError, match="timezone"):
        event_of(EventKind.MANIFEST_PUSHED, digest=DIGEST, occurred_at=PUSHED.replace(tzinfo=None))


def test_a_malformed_value_says_which_field_is_wrong() -> None:
    good = EVENTS[0].to_cloudevent().data
    with pytest.raises(MalformedRecordError, match=r"farshore.events/0@7: repository: .*is not a repository"):
        Event.from_json(good.replace(b"team/app", b"Team/App"), "farshore.events/0@7")
    with pytest.raises(MalformedRecordError, match=r"^parse record here: Value error, manifest\.pushed needs a digest"):
        Event.from_json(good.replace(b'"digest"', b'"other"'), "here")


def test_a_readiness_record_survives_and_its_key_is_by_registry_site_and_image() -> None:
    envelope = READINESS.to_cloudevent()
    assert Readiness.from_json(envelope.data, "here") == READINESS
    assert READINESS.key == "main/fra/team/app:v1"
    untagged = READINESS.model_copy(update={"tag": None, "site": EVERYWHERE})
    assert untagged.key == f"main/*/team/app@{DIGEST}"
    assert envelope.extensions["generation"] == "1f3a9c04-0-712"


def test_all_that_is_said_of_a_repository_goes_to_one_partition() -> None:
    for other in ({"site": "syd"}, {"tag": None}, {"site": EVERYWHERE}):
        assert READINESS.model_copy(update=other).partition_by == READINESS.partition_by
    elsewhere = READINESS.model_copy(update={"repository": Repository("team/other")})
    assert elsewhere.partition_by != READINESS.partition_by


def test_each_statement_about_an_event_at_a_site_has_one_id() -> None:
    ids = {
        READINESS.model_copy(update={"site": site, "state": state}).to_cloudevent().id
        for site in ("fra", "syd")
        for state in (ReadinessState.READY, ReadinessState.REVOKED)
    }
    assert len(ids) == 4


def test_a_phase_reported_twice_has_the_same_id_and_progress_a_new_one() -> None:
    assert TRANSFER.to_cloudevent().id == TRANSFER.model_copy(update={"reason": "again"}).to_cloudevent().id
    progress = [
        TRANSFER.model_copy(update={"phase": "progressed", "logical_bytes": size}).to_cloudevent().id for size in (1, 2)
    ]
    assert len(set(progress)) == 2


def test_a_dead_letter_keeps_the_original_headers_beside_the_reason() -> None:
    letter = DeadLetter("receiver", "POST /x", "malformed", "no JSON", PUSHED, b"{", (("content-type", b"text/x"),))
    assert dict(letter.headers()) == {
        "farshore_service": b"receiver",
        "farshore_source": b"POST /x",
        "farshore_code": b"malformed",
        "farshore_reason": b"no JSON",
        "farshore_at": b"2026-11-24T21:02:37.250000Z",
        "original_content-type": b"text/x",
    }


@pytest.mark.parametrize(
    "name", ["Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token", "X-Secret"]
)
def test_headers_that_carry_credentials_are_not_kept(name: str) -> None:
    assert without_secrets([(name, b"x"), ("Content-Type", b"y")]) == (("Content-Type", b"y"),)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_dead_letter_survives_its_record(is_cut: bool) -> None:
    headers = (("content-type", b"text/x"), ("twice", b"1"), ("twice", b"\xff"), ("farshore_code", b"theirs"))
    letter = DeadLetter("receiver", "POST /x", "malformed", "no JSON", PUSHED, b"{", headers, is_cut)
    assert parse_dead_letter(letter.headers(), letter.value, "here") == letter


def test_a_mark_survives_its_record_and_is_no_letter() -> None:
    mark = Redriven(712, "farshore.arrivals", PUSHED)
    assert parse_dead_letter(mark.headers(), b"", "here") == mark


def _without(name: str) -> list[tuple[str, bytes]]:
    letter = DeadLetter("receiver", "POST /x", "malformed", "no JSON", PUSHED, b"{")
    return [pair for pair in letter.headers() if pair[0] != name]


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], b""),
        (_without("farshore_service"), b""),
        (_without("farshore_source"), b""),
        (_without("farshore_code"), b""),
        (_without("farshore_at"), b""),
        (_without(""), None),
        ([*_without("farshore_code"), ("farshore_code", b"\xff")], b""),
        ([*_without("farshore_at"), ("farshore_at", b"yesterday")], b""),
        ([*_without(""), ("farshore_code", b"again")], b""),
        ([("farshore_redriven", b"-1"), ("farshore_to", b"x"), ("farshore_at", b"2026-01-01T00:00:00Z")], b""),
        ([("farshore_redriven", "٣".encode()), ("farshore_to", b"x"), ("farshore_at", b"2026-01-01T00:00:00Z")], b""),
        ([("farshore_redriven", b"1")], b""),
    ],
)
def test_what_is_neither_letter_nor_mark_is_malformed(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    with pytest.raises(MalformedRecordError):
        parse_dead_letter(headers, value, "farshore.deadletter/0@1")
