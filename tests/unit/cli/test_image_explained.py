"""Where an image is on its way, from what Kafka holds of it."""

from datetime import UTC, datetime

import pytest

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Passage
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore.topology import parse_topology
from farshore.topology.model import VerificationLevel
from farshore_cli.images.judge import AtSite, Known, Stage, judge
from farshore_cli.images.waited import Verdict, goal_of, verdict
from farshore_cli.images.wanted import Wanted, registry_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
OLD, NEW = Digest.of(b"old"), Digest.of(b"new")
V1 = Tag("v1")
APP = Repository("team/app")
PUSHED, TAG_DELETED = EventKind.MANIFEST_PUSHED, EventKind.TAG_DELETED


def event(digest: Digest | None, tag: Tag | None = V1, kind: EventKind = PUSHED) -> Event:
    return Event(
        id="e",
        kind=kind,
        registry="main",
        repository=APP,
        digest=digest,
        tag=tag,
        occurred_at=NOW,
        accepted_at=NOW,
    )


def said(state: ReadinessState, digest: Digest | None, tag: Tag | None = V1, reason: str | None = None) -> Readiness:
    return Readiness(
        state=state,
        event_id="e",
        registry="main",
        site="fra",
        repository=APP,
        digest=digest,
        tag=tag,
        generation="i-0-1",
        level="closure" if state is ReadinessState.READY else None,
        reason=reason,
        pushed_at=NOW,
        accepted_at=NOW,
        ready_at=NOW,
    )


READY, REVOKED, LATE = ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.LATE
SUPERSEDED, CORRUPT = ReadinessState.SUPERSEDED, ReadinessState.CORRUPT


@pytest.mark.parametrize(
    ("image", "events", "records", "expected"),
    [
        ("team/app:v1", [], [], Stage.UNANNOUNCED),
        ("team/app:v1", [event(OLD)], [], Stage.WAITING),
        ("team/app:v1", [event(OLD)], [(said(READY, OLD), 0)], Stage.READY),
        ("team/app:v1", [event(OLD), event(NEW)], [(said(READY, OLD), 0)], Stage.WAITING),  # the new one isn't there
        ("team/app:v1", [event(OLD), event(NEW)], [(said(READY, NEW), 1)], Stage.READY),
        ("team/app:v1", [], [(said(READY, OLD), 0)], Stage.READY),  # Kafka has its event no more
        ("team/app:v1", [event(OLD)], [(said(READY, OLD), -1)], Stage.WAITING),  # of a topic that is no more
        ("team/app:v1", [event(OLD)], [(said(LATE, OLD), 0)], Stage.WAITING),
        ("team/app:v1", [event(OLD)], [(said(CORRUPT, OLD, reason="a blob"), 0)], Stage.FAILED),
        ("team/app:v1", [event(OLD), event(None, V1, TAG_DELETED)], [(said(REVOKED, OLD), 1)], Stage.GONE),
        ("team/app:v1", [event(OLD)], [(said(SUPERSEDED, OLD), 0)], Stage.WAITING),  # by one that isn't read yet
        (f"team/app:v1@{OLD}", [event(OLD), event(NEW)], [], Stage.SUPERSEDED),
        (f"team/app:v1@{OLD}", [event(OLD), event(NEW)], [(said(READY, OLD), 0)], Stage.READY),  # it was
        (f"team/app:v1@{NEW}", [event(OLD)], [(said(READY, OLD), 0)], Stage.UNANNOUNCED),  # its push isn't told yet
        (f"team/app@{OLD}", [event(OLD), event(OLD, Tag("v2"))], [(said(READY, OLD, Tag("v2")), 1)], Stage.READY),
        (f"team/app@{OLD}", [event(OLD)], [(said(READY, OLD), 0), (said(REVOKED, OLD), 0)], Stage.READY),
        (f"team/app@{OLD}", [event(OLD)], [(said(READY, OLD), 0), (said(REVOKED, OLD, None), 1)], Stage.GONE),
    ],
)
def test_where_an_image_is(
    image: str, events: list[Event], records: list[tuple[Readiness, int]], expected: Stage
) -> None:
    known = Known(Wanted.parse(image))
    for record, offset in records:
        known.hear_readiness(record, offset)
    for offset, one in enumerate(events):
        known.hear_event(one, offset)
    found = judge(known, "fra")
    assert found.stage is expected, found
    assert bool(found.why) == (expected is not Stage.READY)


def test_an_arrival_or_a_position_behind_it_says_that_the_site_has_it() -> None:
    known = Known(Wanted.parse("team/app:v1"))
    known.hear_event(event(OLD), 7)
    known.positions = {"fra": 5}
    assert judge(known, "fra").why == "it waits for a transfer: 3 offsets behind"
    known.positions = {"fra": 8}
    assert judge(known, "fra").stage is Stage.ARRIVED
    known.positions = {}
    known.arrived["fra"] = Passage("fra", "farshore-1", "v", "t", NOW)
    found = judge(known, "fra")
    assert (found.stage, found.as_json()["snapshot"], found.as_json()["transfer"]) == (
        Stage.ARRIVED,
        "farshore-1",
        "t",
    )


@pytest.mark.parametrize("text", ["team/app", "", "Team/app:v1", "team/app:", "team/app@sha256:12", "team/app:-x"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|names no image"):
        Wanted.parse(text)


def test_the_longest_prefix_decides_which_registry_it_is_of() -> None:
    def registry(prefix: str) -> str:
        place = "{site: nyc, volume: v" + str(len(prefix)) + ", url: 'http://nyc'}"
        return f"{{prefix: '{prefix}', primary: {place}, notifications: {{tokens: ['env:X']}}}}"

    text = (
        "{version: 1, sites: {nyc: {model: cloud, ontap: {url: 'http://x', password: 'env:X', svm: s}}}, registries: {"
    )
    topology = parse_topology(f"{text}ml: {registry('ml/')}, vision: {registry('ml/vision/')}}}}}", "test")
    assert registry_of(topology, Repository("ml/vision/a")) == "vision"
    assert registry_of(topology, Repository("ml/visions")) == "ml"
    assert registry_of(topology, APP) is None


REPLICAS = ("fra", "syd")


def at(stage: Stage) -> AtSite:
    return AtSite(stage, told=said(READY, OLD) if stage is Stage.READY else None)


@pytest.mark.parametrize(
    ("sites", "level", "fra", "syd", "expected"),
    [
        ("all", None, Stage.READY, Stage.WAITING, Verdict.OPEN),
        ("all", None, Stage.READY, Stage.READY, Verdict.SO),
        ("all", None, Stage.WAITING, Stage.FAILED, Verdict.NOT_SO),
        ("any", None, Stage.WAITING, Stage.FAILED, Verdict.OPEN),
        ("1", None, Stage.READY, Stage.FAILED, Verdict.SO),
        ("syd", None, Stage.READY, Stage.WAITING, Verdict.OPEN),
        ("syd,fra", None, Stage.READY, Stage.GONE, Verdict.NOT_SO),
        ("fra", VerificationLevel.CLOSURE, Stage.READY, Stage.WAITING, Verdict.SO),
        ("fra", VerificationLevel.CONTENT, Stage.READY, Stage.WAITING, Verdict.NOT_SO),  # nobody looks deeper later
    ],
)
def test_what_a_wait_comes_to(
    sites: str, level: VerificationLevel | None, fra: Stage, syd: Stage, expected: Verdict
) -> None:
    assert verdict(goal_of(sites, REPLICAS, level), {"fra": at(fra), "syd": at(syd)}) is expected


@pytest.mark.parametrize("sites", ["0", "3", "nyc", "fra,", ""])
def test_sites_that_can_not_be_are_refused(sites: str) -> None:
    with pytest.raises(ValueError, match=r"can't be|has no replica"):
        goal_of(sites, REPLICAS, None)


def test_without_a_replica_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(ValueError, match="no replica"):
        goal_of("all", [], None)
