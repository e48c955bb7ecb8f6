"""What the adapter for zot makes of its events: their shape is that of zot's source, none was captured."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farshore.records.events import EventKind
from farshore_receiver.adapters import Adapter, Change, Dropped, Parsed, choose_adapter
from farshore_receiver.adapters.zot import parse, single_out

EVENTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "payloads" / "by_hand" / "zot.json").read_text()
)["events"]
BY_LABEL = {event["label"]: event for event in EVENTS}
EXPECTED = {
    "01-repository-created": Dropped.NO_CHANGE,
    "02-push-by-tag": EventKind.MANIFEST_PUSHED,
    "03-push-by-digest": EventKind.MANIFEST_PUSHED,
    "04-delete-by-tag": EventKind.TAG_DELETED,
    "05-delete-by-digest": EventKind.MANIFEST_DELETED,
    "06-lint-failed": Dropped.NO_CHANGE,
    "07-scanned": Dropped.NO_CHANGE,
}


def headers_of(event: dict[str, Any], **others: str | None) -> dict[bytes, bytes]:
    """As the receiver has them; of `others` ce_time stands for ce-time, and None takes one away."""
    changed = {name.replace("_", "-"): value for name, value in others.items()}
    found = {name.lower(): value for name, value in event["headers"].items()} | changed
    return {name.encode(): value.encode() for name, value in found.items() if value is not None}


def parsed(label: str, *, headers: dict[str, str | None] | None = None, **data: Any) -> Parsed:
    event = BY_LABEL[label]
    body = json.dumps({**event["body"], **data}).encode()
    return parse(headers_of(event, **(headers or {})), body)


def change(label: str, **data: Any) -> Change:
    (found,) = parsed(label, **data).changes
    return found


@pytest.mark.parametrize("label", BY_LABEL)
def test_each_event_is_what_it_says(label: str) -> None:
    found = parsed(label)
    assert not found.rejected
    assert [*(one.kind for one in found.changes), *found.dropped] == [EXPECTED[label]]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event["label"]))
def test_the_adapter_is_chosen_by_the_type_of_the_event(event: dict[str, Any]) -> None:
    headers = {name.lower(): value for name, value in event["headers"].items()}
    chosen = choose_adapter(headers["content-type"], headers["ce-type"])
    assert isinstance(chosen, Adapter)
    assert chosen.parse is parse


def test_json_of_others_is_not_taken_for_zots() -> None:
    assert choose_adapter("application/json", "harbor.artifact.pushed") == "unknown-format"
    assert choose_adapter("text/plain", "zotregistry.image.updated") == "not-a-notification"


def test_a_push_by_tag_has_the_tag_and_one_by_digest_has_none() -> None:
    by_tag, by_digest = change("02-push-by-tag"), change("03-push-by-digest")
    assert (by_tag.repository, by_tag.tag, by_digest.tag) == ("team/app", "v1", None)
    assert by_tag.digest == by_digest.digest == BY_LABEL["02-push-by-tag"]["body"]["digest"]
    assert by_tag.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert by_tag.notification_id == BY_LABEL["02-push-by-tag"]["headers"]["Ce-Id"]
    assert by_tag.occurred_at == datetime(2026, 8, 21, 8, 0, 2, 123456, UTC)
    assert by_tag.registry_instance is None


@pytest.mark.parametrize(
    ("headers", "data", "code"),
    [
        ({"ce_type": "zotregistry.image.renamed"}, {}, "unknown-action"),
        ({"ce_type": None}, {}, "unknown-action"),
        ({"ce_id": None}, {}, "malformed-event"),
        ({"ce_time": None}, {}, "malformed-event"),
        ({"ce_time": "yesterday"}, {}, "malformed-event"),
        ({}, {"name": "Team/App"}, "malformed-event"),
        ({}, {"name": None}, "malformed-event"),
        ({}, {"digest": "sha256:short"}, "malformed-event"),
        ({}, {"digest": None}, "malformed-event"),
        ({}, {"reference": "no tag"}, "malformed-event"),
        ({}, {"reference": "-no-tag"}, "malformed-event"),
        ({}, {"reference": ["v1"]}, "malformed-event"),
        ({}, {"mediaType": "\u0000"}, "malformed-event"),
    ],
)
def test_what_is_wrong_is_kept_with_its_reason(headers: dict[str, str | None], data: dict[str, Any], code: str) -> None:
    found = parsed("02-push-by-tag", headers=headers, **data)
    assert not found.changes
    assert [rejected.code for rejected in found.rejected] == [code]
    assert found.rejected[0].index is None


@pytest.mark.parametrize(
    ("body", "code"), [(b"", "not-json"), (b"[]", "malformed-event"), (b"null", "malformed-event")]
)
def test_a_body_that_is_no_event_is_kept(body: bytes, code: str) -> None:
    (rejected,) = parse(headers_of(BY_LABEL["02-push-by-tag"]), body).rejected
    assert rejected.code == code


def test_a_dead_letter_is_the_body_as_it_came() -> None:
    assert single_out(b"body", [0]) == [b"body"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(["name", "digest", "reference", "mediaType"]), JSON)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(["updated", "deleted", "scanned", ""]), data=FIELDS | JSON, time=st.binary(max_size=40))
def test_nothing_that_is_sent_raises(kind: str, data: Any, time: bytes) -> None:
    headers = {b"ce-type": f"zotregistry.image.{kind}".encode(), b"ce-id": b"1", b"ce-time": time}
    found = parse(headers, json.dumps(data).encode())
    assert len(found.changes) + len(found.dropped) + len(found.rejected) == 1
