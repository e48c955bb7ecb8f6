"""What is told of a dead letter, where it goes back to, and when it had better stay."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_examples import ARRIVAL, EVENTS, READINESS, arrival_record

from farshore.records.deadletters import DeadLetter, Redriven
from farshore.records.events import EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.deadletters import rows, whole
from farshore_cli.deadletters.choose import Filter
from farshore_cli.deadletters.entry import Alien, Entry, Letter, read_entry
from farshore_cli.deadletters.marks import Marks
from farshore_cli.deadletters.overtaken import Overtaken
from farshore_cli.deadletters.printable import printable
from farshore_cli.deadletters.route import Refusal, ToArrivals, ToReceiver, objection, route
from farshore_cli.deadletters.tell import Plan, Sent, all_is_well, plan_lines
from farshore_receiver.adapters.table import Unsupported

AT = datetime(2026, 11, 24, 21, 3, tzinfo=UTC)
ARRIVAL_HEADERS, ARRIVAL_VALUE = arrival_record()


def entry_of(letter: DeadLetter) -> Letter:
    entry = read_entry(7, b"key", letter.headers(), letter.value, AT, "here")
    assert isinstance(entry, Letter)
    return entry


def refused_arrival(code: str = "not-found", **changed: Any) -> Letter:
    fields = {"value": ARRIVAL_VALUE, "original_headers": tuple(ARRIVAL_HEADERS), **changed}
    return entry_of(DeadLetter("farshore-verifier", "farshore.arrivals/3@712", code, "404", AT, **fields))


def refused_notification(code: str = "wrong-registry", **changed: Any) -> Letter:
    fields = {"value": b"{}", "original_headers": (("Content-Type", b"application/json"), ("Host", b"x")), **changed}
    return entry_of(DeadLetter("farshore-receiver", "POST /v1/notifications/main", code, "why", AT, **fields))


def test_what_a_letter_is_about_is_told_from_its_arrival() -> None:
    subject = refused_arrival().subject
    assert (subject.registry, subject.site, subject.image) == ("main", "fra", "team/app:v1")
    assert str(subject) == "main/fra team/app:v1"


def test_a_broken_arrival_is_still_told_by_its_attributes() -> None:
    subject = refused_arrival("malformed", value=b"{").subject
    assert (subject.registry, subject.site, subject.image) == ("main", "fra", "team/app")


@pytest.mark.parametrize(
    ("body", "image"),
    [
        ({"events": [{"target": {"repository": "lib/app", "tag": "v1"}}]}, "lib/app:v1"),
        ({"events": [{"target": {"repository": "lib/app"}}]}, "lib/app"),
        ({"events": [{"target": {"repository": "../x", "tag": "v1"}}]}, None),
        ({"events": [{"target": {"repository": 3}}]}, None),
        ({"events": [{"target": {"repository": "lib/app"}}] * 2}, None),
        ({"events": 5}, None),
        ([], None),
    ],
)
def test_a_notifications_image_is_told_where_it_can_be(body: Any, image: str | None) -> None:
    assert refused_notification(value=json.dumps(body).encode()).subject.image == image


@given(
    st.lists(st.tuples(st.sampled_from(["farshore_at", "farshore_source", "farshore_code", "x"]), st.binary())),
    st.binary(),
)
def test_no_record_upsets_what_is_told_of_it(headers: list[tuple[str, bytes]], value: bytes) -> None:
    entry = read_entry(1, None, headers, value, AT, "here")
    assert isinstance(entry, Alien)
    assert rows.table_row(entry, sent_back=False).isprintable()
    assert json.dumps(rows.json_row(entry, sent_back=False))
    assert all(line.isprintable() for line in whole.as_text(entry, None).split("\n"))
    assert json.dumps(whole.as_json(entry, None))


@given(st.text(), st.text(), st.binary(), st.lists(st.tuples(st.text(), st.binary()), max_size=3))
def test_no_letter_upsets_what_is_told_of_it(
    reason: str, code: str, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    source = "POST /v1/notifications/main"
    letter = DeadLetter("farshore-receiver", source, f"c{code}", reason, AT, value, tuple(headers))
    entry = entry_of(letter)
    assert entry.record == letter
    assert rows.table_row(entry, sent_back=True).isprintable()
    assert all(line.isprintable() for line in whole.as_text(entry, None).split("\n"))
    assert json.dumps(whole.as_json(entry, None))
    route(entry)


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"a": 1, "a": 2}', b"NaN", b"1e999", b"9" * 5000])
def test_json_that_cannot_be_shown_faithfully_is_shown_as_it_is(value: bytes) -> None:
    assert whole.as_json(refused_notification(value=value), None)["value"] is None


def test_a_long_value_is_bounded_for_people_and_whole_for_programs() -> None:
    letter = refused_notification(value=b"\xff" * 500_000)
    assert len(whole.as_text(letter, None)) < whole.MOST_CHARACTERS + 2000
    assert len(whole.as_json(letter, None)["value_base64"]) > 600_000


def test_secrets_are_not_shown() -> None:
    headers = (("content-type", b"a/b"), ("X-Api-Key", b"hunter2"), ("x-note", b"Bearer hunter2hunter2"))
    letter = refused_notification(original_headers=headers)
    assert "hunter2" not in whole.as_text(letter, None) + json.dumps(whole.as_json(letter, None))


def test_that_a_letter_was_sent_back_is_shown_with_when_and_where() -> None:
    mark = Redriven(7, "farshore.arrivals", AT)
    shown = whole.as_text(refused_arrival(), mark)
    assert "2026-11-24T21:03:00.000000Z to farshore.arrivals" in shown
    assert "goes to" not in shown
    assert "goes to farshore.arrivals" in whole.as_text(refused_arrival(), None)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\x9b", "\u202e", "\ud800", "\n"])
def test_nothing_reaches_the_terminal_that_it_would_obey(text: str) -> None:
    assert printable(text).isprintable()


def test_a_text_is_cut_at_its_limit() -> None:
    assert printable("x" * 10, 4) == "xxx…"
    assert printable("\x00\x00", 4) == r"\x0…"


def test_filters_take_a_services_short_name_and_all_have_to_pass() -> None:
    letter = refused_arrival()
    assert Filter(service="verifier", code="not-found", registry="main", site="fra", since=AT).passes(letter)
    assert Filter(service="farshore-verifier").passes(letter)
    for wrong in (
        Filter(service="receiver"),
        Filter(code="corrupt"),
        Filter(registry="other"),
        Filter(site="syd"),
        Filter(since=AT + timedelta(seconds=1)),
    ):
        assert not wrong.passes(letter)


def test_what_is_no_letter_passes_only_by_its_time() -> None:
    alien = read_entry(1, None, [], b"", AT, "here")
    assert isinstance(alien, Alien)
    assert Filter().passes(alien)
    assert Filter(since=AT).passes(alien)
    assert not Filter(code="x").passes(alien)
    assert not Filter(since=AT + timedelta(seconds=1)).passes(alien)


def test_letters_go_back_to_where_they_came_from() -> None:
    assert route(refused_arrival()) == ToArrivals()
    assert route(refused_notification()) == ToReceiver("main", "application/json", None)


def test_a_cloud_event_goes_back_with_its_attributes_and_no_other_header() -> None:
    headers = [("Content-Type", b"application/json"), ("Ce-Type", b"zotregistry.image.updated"), ("ce-id", b"7")]
    others = [("ce-bad", b"x\r\ny: z"), ("ce-a b", b"x"), ("x-own", b"1"), ("host", b"nyc.example")]
    where = route(refused_notification(original_headers=(*headers, *others)))
    attributes = (("ce-type", "zotregistry.image.updated"), ("ce-id", "7"))
    assert where == ToReceiver("main", "application/json", None, attributes)


@pytest.mark.parametrize(
    "letter",
    [
        entry_of(DeadLetter("s", "POST /v1/notifications/../x", "c", "r", AT, b"")),
        entry_of(DeadLetter("s", "farshore.events/0@1", "c", "r", AT, b"")),
        refused_notification(original_headers=()),
        refused_notification(original_headers=(("content-type", b"a/b\r\nx: y"),)),
        refused_notification("too-large"),
        refused_arrival(is_cut=True),
    ],
)
def test_what_has_no_way_back_cannot_be_forced(letter: Letter) -> None:
    where = route(letter)
    assert isinstance(where, Refusal)
    assert not where.can_be_forced


def test_every_failure_that_can_heal_may_go_back() -> None:
    failures = {"not-found", "corrupt", "timed-out", "unreachable", "registry-error"}
    assert failures <= {state.value for state in ReadinessState}
    healing = failures | {"unknown-registry", "wrong-registry", "adapter-failed", Unsupported.UNKNOWN_FORMAT.value}
    assert [code for code in healing if objection(refused_arrival(code))] == []


@pytest.mark.parametrize("code", ["malformed", "malformed-event", "not-json", "not-an-envelope", "of-the-future"])
def test_what_cannot_heal_has_to_be_forced(code: str) -> None:
    refusal = objection(refused_notification(code))
    assert refusal is not None
    assert refusal.can_be_forced


def judged(*, statement: Readiness | None = None, offset: int | None = None, site: str = "fra") -> bool:
    """Whether ARRIVAL is overtaken by a statement, or by the arrival of another generation."""
    overtaken = Overtaken()
    overtaken.want(1, ARRIVAL)
    if statement is not None:
        overtaken.saw_statement(statement.key.encode(), statement.to_cloudevent().headers())
    if offset is not None:
        changed = {"ce_generation": f"1f3a9c04-0-{offset}", "ce_site": site}
        headers = [(name, changed[name].encode() if name in changed else raw) for name, raw in ARRIVAL_HEADERS]
        overtaken.saw_arrival(EVENTS[0].repository.encode(), headers, ARRIVAL_VALUE)
    return 1 in overtaken.refusals()


@pytest.mark.parametrize(
    ("changed", "stays"),
    [
        ({"state": ReadinessState.NOT_FOUND}, False),
        ({"state": ReadinessState.LATE}, False),
        ({"state": ReadinessState.READY}, True),
        ({"generation": "1f3a9c04-0-713", "state": ReadinessState.NOT_FOUND}, True),
        ({"generation": "1f3a9c04-0-711"}, False),
        ({"generation": "ffffffff-0-1"}, True),
        ({"generation": "nonsense"}, False),
        ({"generation": "1f3a9c04-0-713", "site": "syd"}, False),
    ],
)
def test_an_arrival_stays_where_its_image_has_moved_on(changed: dict[str, Any], stays: bool) -> None:
    assert judged(statement=READINESS.model_copy(update=changed)) is stays


def test_a_later_arrival_overtakes_before_anything_is_said_of_it() -> None:
    assert judged(offset=713)
    assert not judged(offset=712)
    assert not judged(offset=711)
    assert not judged(offset=713, site="syd")


def test_the_verifier_s_own_request_for_a_snapshot_overtakes_nothing() -> None:
    overtaken = Overtaken()
    overtaken.want(1, ARRIVAL)
    dirty = ARRIVAL.event.model_copy(update={"kind": EventKind.VOLUME_DIRTY})
    headers = [(n, b"1f3a9c04-0-713" if n == "ce_generation" else raw) for n, raw in ARRIVAL_HEADERS]
    overtaken.saw_arrival(dirty.repository.encode(), headers, dirty.model_dump_json(exclude_none=True).encode())
    assert not overtaken.refusals()


@given(st.sets(st.integers(100, 400)), st.integers(100, 400))
def test_a_mark_counts_for_its_letter_alone(marked: set[int], asked: int) -> None:
    marks = Marks(100)
    for offset in marked:
        marks.add(Redriven(offset, "x", AT), 1000)
    assert (asked in marks) is (asked in marked)


def test_a_mark_of_what_is_not_before_it_counts_for_nothing() -> None:
    marks = Marks(100)
    for offset in (5, 99, 200, 2**63 - 1):
        marks.add(Redriven(offset, "x", AT), 200)
    assert [offset for offset in (5, 99, 200, 2**63 - 1) if offset in marks] == []


def test_a_redrive_is_well_only_if_nothing_stayed_or_came_back() -> None:
    assert all_is_well(Plan(send={1: "x"}, already=[2]), Sent(sent=1))
    for plan, sent in (
        (Plan(refused={1: Refusal("r")}), Sent()),
        (Plan(missing=[1]), Sent()),
        (Plan(), Sent(not_taken={1: "r"})),
        (Plan(), Sent(again=[1])),
    ):
        assert not all_is_well(plan, sent)


def test_a_refusal_says_whether_it_can_be_forced() -> None:
    plan = Plan(refused={3: Refusal("no way", can_be_forced=False), 2: Refusal("no use")})
    assert list(plan_lines(plan, dry_run=True))[:2] == [
        "2: refused: no use; --force sends it anyway",
        "3: refused: no way",
    ]


def test_entries_and_marks_are_told_apart() -> None:
    mark = Redriven(3, "farshore.arrivals", AT)
    found: Entry | Redriven = read_entry(9, b"k", mark.headers(), b"", AT, "here")
    assert found == mark
