"""From records to the report: what counts as held, and what doesn't."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival, Generation, Passage
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.demo.figures import figures
from farshore_cli.demo.legend import legend
from farshore_cli.demo.observations import Observations
from farshore_cli.demo.proof import Proof
from farshore_cli.demo.report import Totals, as_json, problems, rows
from farshore_cli.demo.scenario import Push, Scenario
from farshore_cli.demo.table import images_table, live_table, totals_table
from farshore_cli.stack.layout import REPLICAS

START = datetime(2026, 1, 1, tzinfo=UTC)
SITES = ["fra", "syd"]
TOTALS = Totals(2, 1, 100, 80, 300, 200, 160)


def push(name: str, content: bytes) -> Push:
    repository, _, tag = name.partition(":")
    digest = Digest.of(content)
    return Push(Repository.parse(repository), Tag.parse(tag) if tag else None, digest, digest.hex[:12])


APP, MOVED_FROM, MOVED_TO = push("team/app:v1", b"1"), push("team/web:latest", b"1"), push("team/web:latest", b"2")
BILL, TOOL = push("team/app", b"bill"), push("legacy/tool:v1", b"tool")
SCENARIO = Scenario(opening=[APP, MOVED_FROM], burst=[TOOL, BILL], closing=[MOVED_TO], deleted=TOOL)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def said(one: Push, site: str, state: ReadinessState, after: float = 3.0, **changes: Any) -> Readiness:
    return Readiness(
        state=state,
        event_id=f"{one.reference}-{one.digest}",
        registry="main",
        site=site,
        repository=one.repository,
        digest=one.digest,
        tag=one.tag,
        generation="a-0-1",
        pushed_at=START,
        accepted_at=START,
        arrived_at=at(2),
        ready_at=at(after),
    ).model_copy(update=changes)


def arrived(one: Push, site: str) -> Arrival:
    event = Event(
        id=one.reference,
        kind=EventKind.MANIFEST_PUSHED,
        registry="main",
        repository=one.repository,
        digest=one.digest,
        tag=one.tag,
        occurred_at=START,
        accepted_at=START,
    )
    return Arrival(event, Generation("a", 0, 1), Passage(site, "snap", "version", "transfer-1", at(2)))


def everything_as_it_should_be() -> Observations:
    observed = Observations()
    for site in SITES:
        observed.arrivals += [arrived(one, site) for one in SCENARIO.pushes]
        observed.statements += [said(one, site, ReadinessState.READY) for one in (APP, TOOL, BILL, MOVED_TO)]
        observed.statements.append(said(MOVED_FROM, site, ReadinessState.SUPERSEDED))
        observed.statements.append(said(TOOL, site, ReadinessState.REVOKED, after=60, pushed_at=at(50)))
    return observed


PROVED = Proof(expected=8, pulled=8, matched=8, problems=())


def found(observed: Observations, proof: Proof = PROVED) -> list[str]:
    return problems(rows(SCENARIO, observed, SITES), SCENARIO, observed, proof)


def test_when_all_is_as_it_should_be_nothing_is_found() -> None:
    assert found(everything_as_it_should_be()) == []


@pytest.mark.parametrize(
    ("push", "state"),
    [
        (APP, ReadinessState.CORRUPT),
        (APP, ReadinessState.SUPERSEDED),
        (APP, ReadinessState.REVOKED),
        (MOVED_TO, ReadinessState.SUPERSEDED),
        (BILL, ReadinessState.NOT_FOUND),
        (TOOL, ReadinessState.READY),
    ],
)
def test_a_wrong_end_at_one_site_is_found_and_named(push: Push, state: ReadinessState) -> None:
    observed = everything_as_it_should_be()
    observed.statements.append(said(push, "syd", state, event_id="another"))
    assert [line.split(":")[0] for line in found(observed)] == [f"{push.reference} at syd".split(":")[0]]


def test_silence_about_an_image_is_found() -> None:
    observed = everything_as_it_should_be()
    observed.statements = [one for one in observed.statements if (one.repository, one.site) != (APP.repository, "fra")]
    assert any("team/app:v1 at fra: nothing was said" in line for line in found(observed))


def test_an_image_that_is_called_ready_twice_is_found() -> None:
    observed = everything_as_it_should_be()
    observed.statements.append(said(APP, "fra", ReadinessState.READY))
    assert found(observed) == ["called ready twice: team/app:v1 at fra"]


@pytest.mark.parametrize(
    "proof",
    [
        Proof(expected=8, pulled=8, matched=7, problems=("syd: team/app:v1: sha256:… is missing",)),
        Proof(expected=8, pulled=7, matched=7, problems=("syd: team/app:v1: unreachable",)),
        Proof(expected=0, pulled=0, matched=0, problems=()),
    ],
)
def test_a_proof_that_is_not_whole_is_found(proof: Proof) -> None:
    assert len(found(everything_as_it_should_be(), proof)) == 1


def test_a_moved_tag_leaves_both_images_and_a_deleted_one_is_not_asked_for() -> None:
    assert SCENARIO.live == [APP, MOVED_FROM, BILL, MOVED_TO]


def test_a_late_notice_is_followed_by_the_end() -> None:
    observed = everything_as_it_should_be()
    observed.statements.append(said(APP, "fra", ReadinessState.LATE))
    assert observed.fate(APP, "fra").state == ReadinessState.READY


def test_a_deleted_images_times_are_those_of_its_push() -> None:
    fate = everything_as_it_should_be().fate(TOOL, "fra")
    assert (fate.state, fate.seconds_to_ready) == ("revoked", 3.0)


def test_the_deletion_of_a_digest_speaks_of_the_tag_that_named_it() -> None:
    observed = everything_as_it_should_be()
    observed.statements.append(said(APP, "fra", ReadinessState.REVOKED, tag=None))
    assert observed.revoked(APP, ["fra"])
    assert not observed.revoked(APP, SITES)


def test_waiting_ends_when_every_site_has_spoken_of_every_push() -> None:
    observed = everything_as_it_should_be()
    assert observed.settled(SCENARIO.pushes, SITES)
    observed.statements = [one for one in observed.statements if one.site != "syd"]
    assert not observed.settled(SCENARIO.pushes, SITES)


def test_the_report_has_the_fields_that_others_rely_on() -> None:
    observed = everything_as_it_should_be()
    report = as_json(rows(SCENARIO, observed, SITES), TOTALS, PROVED, [], 61.23)
    assert {
        "pushes": 5,
        "transfers": 2,
        "snapshots": 1,
        "logical_bytes": 100,
        "wire_bytes": 80,
        "skopeo_bytes": 160,
        "at_rest": {"logical_bytes": 300, "physical_bytes": 200},
        "seconds": 61.2,
    }.items() <= report.items()
    image = report["images"][0]
    assert (image["reference"], image["digest"]) == ("team/app:v1", APP.digest)
    assert {
        "state": "ready",
        "pushed_at": "2026-01-01T00:00:00.000000Z",
        "arrived_at": "2026-01-01T00:00:02.000000Z",
        "ready_at": "2026-01-01T00:00:03.000000Z",
        "seconds_to_ready": 3.0,
    }.items() <= image["sites"]["fra"].items()
    assert (report["proof"]["pulled"], report["proof"]["matched"]) == (8, 8)


def test_figures_are_summed_over_the_clusters() -> None:
    stats = {
        "total": {"transfers": 2, "logical_bytes": 10, "wire_bytes": 5},
        "snapshots_taken": 3,
        "volumes": [{"active_bytes": 100, "physical_bytes": 40}],
    }
    assert figures([stats, stats]).wire_bytes == 10
    assert figures([stats, stats]).at_rest_physical_bytes == 80


def test_the_tables_name_every_image_and_site() -> None:
    table = rows(SCENARIO, everything_as_it_should_be(), SITES)
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as capture:
        console.print(images_table(table), live_table(table, SITES), totals_table(5, TOTALS, PROVED, 61.2))
    shown = capture.get()
    assert shown.count("team/web:latest") == 4
    assert all(word in shown for word in ("superseded", "revoked", "transfer", "3.0 s", "8/8", "skopeo bytes"))


def test_the_legend_explains_the_slow_site_and_only_the_states_that_are_shown() -> None:
    table = rows(SCENARIO, everything_as_it_should_be(), SITES)
    told = "\n".join(legend(table, REPLICAS))
    assert "syd: behind a simulated link of 30 ms each way and 50 Mbit/s" in told
    assert "fra" not in told
    assert "revoked: deleted at the end" in told
    assert "superseded" not in "\n".join(legend(table[:1], REPLICAS))


def test_each_total_stands_on_one_line_where_there_is_no_terminal() -> None:
    console = Console(width=80, file=None)
    with console.capture() as capture:
        console.print(totals_table(5, TOTALS, PROVED, 61.2))
    assert len(capture.get().splitlines()) == 10
