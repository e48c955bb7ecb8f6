"""What the adapter for CNCF distribution makes of captured and of invented envelopes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farshore_receiver.adapters import ADAPTERS, Dropped, Parsed
from farshore_receiver.adapters.distribution import CONTENT_TYPE_2_8, CONTENT_TYPE_3, parse, single_out

PAYLOADS = Path(__file__).parents[2] / "payloads"
DIGEST = "sha256:" + "a" * 64
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KEYS = ["id", "timestamp", "action", "target", "source"]
TARGET_KEYS = ["mediaType", "digest", "size", "repository", "tag"]

IMAGE = ["blob.pushed", "blob.pushed", "manifest.pushed"]
EXPECTED = {
    "01-push-image-crane": IMAGE,
    "02-push-image-skopeo": IMAGE,
    "03-push-same-tag-same-digest": ["pull"],
    "04-retag-other-digest": ["pull", *IMAGE],
    "05-add-second-tag": ["pull", "manifest.pushed"],
    "06-push-index": [
        *IMAGE,
        *["pull"] * 3,
        "blob.pushed",
        "manifest.pushed",
        *IMAGE,
        *["pull"] * 3,
        "blob.pushed",
        "manifest.pushed",
    ],
    "06b-index-itself": [*["pull"] * 12, "manifest.pushed"],
    "07-artifact-with-subject": ["pull", "blob.pushed", "blob.pushed", "manifest.pushed", "manifest.pushed"],
    "07b-referrers-list": ["pull"],
    "08-cross-repo-mount-crane-copy": ["pull", "blob.mounted", "blob.mounted", "manifest.pushed", "pull"],
    "08b-mount-raw": ["blob.mounted"],
    "09-head-manifest": ["pull"],
    "09b-pull-image": ["pull"] * 3,
    "09c-pull-skopeo": ["pull"] * 3,
    "10-push-by-digest-only": ["pull", "manifest.pushed"],
    "11-tag-delete": ["tag.deleted"],
    "12-manifest-delete": ["manifest.deleted"],
    "13-manifest-delete-tagged": ["pull", "manifest.deleted", "tag.deleted"],
    "14-blob-delete": ["manifest.deleted"],
    "16-docker-v2s2": ["pull", "blob.mounted", "blob.pushed", "manifest.pushed"],
}


def captured() -> list[Path]:
    return sorted(PAYLOADS.glob("v*.json"))


def outcome(parsed: Parsed) -> list[str]:
    assert not parsed.rejected
    return [change.kind.value for change in parsed.changes] + [reason.value for reason in parsed.dropped]


def test_every_captured_case_is_expected() -> None:
    assert {path.stem.partition("-")[2] for path in captured()} == set(EXPECTED)


@pytest.mark.parametrize("path", captured(), ids=lambda path: path.stem)
def test_a_captured_case_gives_the_expected_kinds(path: Path) -> None:
    kinds: list[str] = []
    for posted in json.loads(path.read_text()):
        adapter = ADAPTERS[posted["headers"]["Content-Type"]]
        parsed = adapter.parse({}, json.dumps(posted["body"]).encode())
        kinds += outcome(parsed)
        assert parsed.instances == (posted["body"]["events"][0]["source"]["instanceID"],)
    assert kinds == EXPECTED[path.stem.partition("-")[2]]


def test_both_versions_have_an_adapter() -> None:
    assert ADAPTERS[CONTENT_TYPE_2_8] is ADAPTERS[CONTENT_TYPE_3]


def notification(**changed: Any) -> dict[str, Any]:
    target: dict[str, Any] = {"mediaType": MANIFEST, "digest": DIGEST, "size": 7, "repository": "team/app", "tag": "v1"}
    target.update(changed.pop("target", {}))
    event: dict[str, Any] = {
        "id": "id-1",
        "timestamp": "2026-11-24T14:18:52.515514714Z",
        "action": "push",
        "target": {key: value for key, value in target.items() if value is not ...},
        "source": {"instanceID": "process-1"},
    }
    event.update(changed)
    return {key: value for key, value in event.items() if value is not ...}


def parse_events(*events: Any) -> Parsed:
    return parse({}, json.dumps({"events": events}).encode())


def test_a_manifest_push_keeps_all_that_the_event_needs() -> None:
    (change,) = parse_events(notification()).changes
    assert change.notification_id == "id-1"
    assert (change.repository, change.digest, change.tag) == ("team/app", DIGEST, "v1")
    assert (change.media_type, change.size, change.registry_instance) == (MANIFEST, 7, "process-1")


def test_nanoseconds_are_cut_to_microseconds() -> None:
    (change,) = parse_events(notification()).changes
    assert change.occurred_at == datetime(2026, 11, 24, 14, 18, 52, 515514, tzinfo=UTC)


def test_a_time_with_an_offset_becomes_utc() -> None:
    (change,) = parse_events(notification(timestamp="2026-11-24T16:18:52+02:00")).changes
    assert change.occurred_at == datetime(2026, 11, 24, 14, 18, 52, tzinfo=UTC)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ],
)
def test_a_push_of_any_manifest_type_without_a_tag_is_a_manifest(media_type: str) -> None:
    assert outcome(parse_events(notification(target={"mediaType": media_type, "tag": ...}))) == ["manifest.pushed"]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/octet-stream",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ],
)
def test_a_push_of_another_type_is_a_blob(media_type: str) -> None:
    assert outcome(parse_events(notification(target={"mediaType": media_type, "tag": ...}))) == ["blob.pushed"]


def test_a_push_with_a_tag_is_a_manifest_whatever_its_type() -> None:
    assert outcome(parse_events(notification(target={"mediaType": "application/x-new"}))) == ["manifest.pushed"]


def test_a_delete_with_digest_and_tag_deletes_the_manifest() -> None:
    assert outcome(parse_events(notification(action="delete"))) == ["manifest.deleted"]


def test_an_unknown_action_on_a_blob_is_dropped() -> None:
    event = notification(action="touch", target={"mediaType": "application/octet-stream", "tag": ...})
    assert parse_events(event).dropped == (Dropped.UNKNOWN_BLOB_ACTION,)


REJECTED_EVENTS = {
    "an unknown action on a manifest": (notification(action="replace"), "unknown-action"),
    "an unknown action on something": (
        notification(action="x", target={"mediaType": ..., "tag": ...}),
        "unknown-action",
    ),
    "an action that is a number": (notification(action=7), "malformed-event"),
    "no action": (notification(action=...), "malformed-event"),
    "no target": (notification(target=dict.fromkeys(TARGET_KEYS, ...)), None),
    "a target that is a list": (notification() | {"target": []}, "malformed-event"),
    "a source that is text": (notification(source="here"), "malformed-event"),
    "an instance with a line break": (notification(source={"instanceID": "a\nb"}), "malformed-event"),
    "an instance of a lone surrogate": (notification(source={"instanceID": "\ud800"}), "malformed-event"),
    "no repository": (notification(target={"repository": ...}), "malformed-event"),
    "a repository with capitals": (notification(target={"repository": "Team/App"}), "malformed-event"),
    "a repository that climbs": (notification(target={"repository": "../etc"}), "malformed-event"),
    "a repository of 300 letters": (notification(target={"repository": "a" * 300}), "malformed-event"),
    "a digest that is too short": (notification(target={"digest": "sha256:abc"}), "malformed-event"),
    "a digest of another algorithm": (notification(target={"digest": "md5:" + "a" * 32}), "malformed-event"),
    "a digest that is a number": (notification(target={"digest": 1}), "malformed-event"),
    "a tag with a space": (notification(target={"tag": "v 1"}), "malformed-event"),
    "a push without a digest": (notification(target={"digest": ...}), "malformed-event"),
    "a mount without a digest": (notification(action="mount", target={"digest": ""}), "malformed-event"),
    "a push without a type": (notification(target={"mediaType": ..., "tag": ...}), "malformed-event"),
    "a delete of nothing": (notification(action="delete", target={"digest": "", "tag": ...}), "malformed-event"),
    "a media type with a line break": (notification(target={"mediaType": "a/b\r\nx: y"}), "malformed-event"),
    "a media type of 300 letters": (notification(target={"mediaType": "a" * 300}), "malformed-event"),
    "a size that is text": (notification(target={"size": "7"}), "malformed-event"),
    "a size that is true": (notification(target={"size": True}), "malformed-event"),
    "a size below zero": (notification(target={"size": -1}), "malformed-event"),
    "a size beyond 64 bits": (notification(target={"size": 2**63}), "malformed-event"),
    "a size with a fraction": (notification(target={"size": 1.5}), "malformed-event"),
    "no id": (notification(id=...), "malformed-event"),
    "an id that is a list": (notification(id=[]), "malformed-event"),
    "an id with a zero byte": (notification(id="a\0b"), "malformed-event"),
    "no time": (notification(timestamp=...), "malformed-event"),
    "a time without a zone": (notification(timestamp="2026-11-24T14:18:52"), "malformed-event"),
    "a date": (notification(timestamp="2026-11-24"), "malformed-event"),
    "Go's zero time": (notification(timestamp="0001-01-01T00:00:00Z"), "malformed-event"),
    "a month 13": (notification(timestamp="2026-13-24T14:18:52Z"), "malformed-event"),
    "a time that no UTC has": (notification(timestamp="0001-01-01T00:00:00+23:59"), "malformed-event"),
    "a number in place of an event": (3, "malformed-event"),
    "null in place of an event": (None, "malformed-event"),
}


@pytest.mark.parametrize("case", REJECTED_EVENTS, ids=str)
def test_an_event_is_rejected_alone(case: str) -> None:
    bad, code = REJECTED_EVENTS[case]
    parsed = parse_events(notification(id="before"), bad, notification(id="after"))
    assert [change.notification_id for change in parsed.changes] == ["before", "after"]
    assert [(item.code, item.index) for item in parsed.rejected] == [(code or "malformed-event", 1)]


REJECTED_BODIES = {
    "nothing": (b"", "not-json"),
    "spaces": (b"  \n", "not-json"),
    "half of it": (b'{"events": [', "not-json"),
    "two values": (b"{} {}", "not-json"),
    "not UTF-8": (b'{"events": "\xff\xfe"}', "not-json"),
    "UTF-16": ('{"events": []}'.encode("utf-16"), "not-json"),
    "a byte order mark": (b'\xef\xbb\xbf{"events": []}', "not-json"),
    "the same key twice": (b'{"events": [], "events": [1]}', "not-json"),
    "the same key twice, deep inside": (b'{"events": [{"target": {"tag": "a", "tag": "b"}}]}', "not-json"),
    "NaN": (b'{"events": [{"size": NaN}]}', "not-json"),
    "Infinity": (b'{"events": [{"size": -Infinity}]}', "not-json"),
    "a hundred thousand brackets": (b"[" * 100_000, "not-json"),
    "nesting that closes": (b'{"events": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not-json"),
    "a number of 10,000 digits": (b'{"events": [' + b"9" * 10_000 + b"]}", "not-json"),
    "a list": (b"[]", "not-an-envelope"),
    "a word": (b'"events"', "not-an-envelope"),
    "null": (b"null", "not-an-envelope"),
    "an object without events": (b"{}", "not-an-envelope"),
    "events that are an object": (b'{"events": {}}', "not-an-envelope"),
    "events that are text": (b'{"events": "push"}', "not-an-envelope"),
}


@pytest.mark.parametrize("case", REJECTED_BODIES, ids=str)
def test_a_body_is_rejected_as_a_whole(case: str) -> None:
    body, code = REJECTED_BODIES[case]
    parsed = parse({}, body)
    assert [(item.code, item.index) for item in parsed.rejected] == [(code, None)]
    assert not parsed.changes
    assert not parsed.dropped


@pytest.mark.parametrize("body", [b'{"events": []}', b'{"events": null}', b'{"events": [], "more": 1e999}'])
def test_an_envelope_without_events_has_nothing_to_lose(body: bytes) -> None:
    assert parse({}, body) == Parsed()


def test_a_single_event_is_taken_out_of_its_envelope() -> None:
    first, second = notification(id="one"), notification(id="two", action="replace")
    body = json.dumps({"events": [first, second]}).encode()
    assert [json.loads(each) for each in single_out(body, [1, 0])] == [{"events": [second]}, {"events": [first]}]


def test_the_only_event_keeps_its_envelope_byte_for_byte() -> None:
    body = b'{ "events" : [ {"odd" :1} ] }'
    assert single_out(body, [0]) == [body]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(body: bytes) -> None:
    parsed = parse({}, body)
    assert parsed == Parsed() or parsed.rejected


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, max_size=3))
@settings(max_examples=300)
def test_no_json_breaks_the_parser(events: list[Any]) -> None:
    parsed = parse({}, json.dumps({"events": events}).encode())
    whole = any(item.index is None for item in parsed.rejected)
    assert whole or len(parsed.changes) + len(parsed.dropped) + len(parsed.rejected) == len(events)


@given(st.sampled_from(KEYS), st.sampled_from([None, *TARGET_KEYS]), JSON)
@settings(max_examples=500)
def test_one_wrong_value_in_a_good_event_never_breaks_the_parser(key: str, inner: str | None, value: Any) -> None:
    event = notification()
    if inner is None:
        event[key] = value
    else:
        event["target"][inner] = value
    parsed = parse({}, json.dumps({"events": [event]}).encode())
    assert len(parsed.changes) + len(parsed.dropped) + len(parsed.rejected) == 1
