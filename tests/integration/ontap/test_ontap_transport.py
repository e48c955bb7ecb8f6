"""What the client does when a cluster hangs, cuts connections, pages, or answers oddly."""

import asyncio
import itertools
import socket
from pathlib import Path

import pytest
from scripted_server import Answer, Script, ScriptedServer
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.ontap import OntapCluster, OntapError
from farshore.topology import Cluster

pytestmark = pytest.mark.integration

RELATIONSHIP = "11111111-1111-1111-1111-111111111111"
OURS = "22222222-2222-2222-2222-222222222222"
THEIRS = "33333333-3333-3333-3333-333333333333"
PASSWORD = "correct horse battery"
INFO = Answer({"name": "nyc", "uuid": "u", "version": {"full": "9.14.1"}})


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    return f"file:{file}"


def client(url: str, password: str, *, timeout: str = "5s", max_requests: int = 2) -> OntapCluster:
    settings = Cluster.model_validate(
        {"url": url, "password": password, "svm": "svm", "timeout": timeout, "max_requests": max_requests}
    )
    return OntapCluster("fra", settings)


async def test_a_cluster_that_never_answers_costs_one_time_out_and_one_request(password_file: str) -> None:
    with ScriptedServer(lambda _method, _path: Answer(hang=True)) as server:
        async with client(server.url, password_file, timeout="300ms") as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.info()
            assert caught.value.retry is RetryClass.RETRY_SOON
            await wait_until(lambda: server.requests, 10, "the server to have read the request")
            assert len(server.requests) == 1


async def test_a_port_where_nothing_listens_is_told_at_once_and_is_never_ambiguous(password_file: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with client(url, password_file) as cluster:
            with pytest.raises(OntapError, match="connection refused") as caught:
                await cluster.delete_snapshot("v", "s")
    assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, False)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_an_overloaded_cluster_gets_no_storm_of_repeated_requests(password_file: str, status: int) -> None:
    with ScriptedServer(lambda _method, _path: Answer("busy", status)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.info()
        assert (caught.value.retry, caught.value.http_status) == (RetryClass.RETRY_SOON, status)
        assert len(server.requests) == 1


async def test_a_read_over_a_connection_that_the_cluster_closed_is_sent_once_more(password_file: str) -> None:
    answers = iter([INFO, Answer(cut=True), INFO])
    with ScriptedServer(lambda _method, _path: next(answers)) as server:
        async with client(server.url, password_file) as cluster:
            await cluster.info()
            assert (await cluster.info()).name == "nyc"
        assert len(server.requests) == 3


async def test_a_cluster_that_always_cuts_the_connection_is_not_asked_for_ever(password_file: str) -> None:
    with ScriptedServer(lambda _method, _path: Answer(cut=True)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError, match="broke before the answer"):
                await cluster.info()
        assert len(server.requests) == 2


async def test_a_start_whose_reply_is_lost_before_anything_happened_is_ambiguous_and_not_repeated(
    password_file: str,
) -> None:
    def script(method: str, _path: str) -> Answer:
        return Answer(cut=True) if method == "POST" else Answer({"records": [], "num_records": 0})

    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.start_transfer(RELATIONSHIP, "farshore-a-0-7")
        assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, True)
        assert [method for method, _ in server.requests].count("POST") == 1


def _transfers_around_a_post(before: list[dict[str, str]], after: list[dict[str, str]], reply: Answer) -> Script:
    posted = False

    def script(method: str, _path: str) -> Answer:
        nonlocal posted
        if method == "POST":
            posted = True
            return reply
        records = after if posted else before
        return Answer({"records": records, "num_records": len(records)})

    return script


async def test_a_location_that_names_the_collection_doesnt_bind_to_somebody_elses_transfer(password_file: str) -> None:
    theirs = {"uuid": THEIRS, "state": "failed", "snapshot": "farshore-a-0-7", "end_time": "2026-01-01T00:00:00Z"}
    ours = {"uuid": OURS, "state": "transferring", "snapshot": "farshore-a-0-7"}
    location = {"Location": f"/api/snapmirror/relationships/{RELATIONSHIP}/transfers"}
    script = _transfers_around_a_post([theirs], [theirs, ours], Answer(status=201, headers=location))
    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            assert (await cluster.start_transfer(RELATIONSHIP, "farshore-a-0-7")).uuid == OURS
        assert [method for method, _ in server.requests].count("POST") == 1


async def test_a_location_that_names_an_older_transfer_is_not_believed(password_file: str) -> None:
    theirs = {"uuid": THEIRS, "state": "failed", "snapshot": "farshore-a-0-7", "end_time": "2026-01-01T00:00:00Z"}
    ours = {"uuid": OURS, "state": "transferring", "snapshot": "farshore-a-0-7"}
    location = {"Location": f"/api/snapmirror/relationships/{RELATIONSHIP}/transfers/{THEIRS}"}
    script = _transfers_around_a_post([theirs], [theirs, ours], Answer(status=201, headers=location))
    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            assert (await cluster.start_transfer(RELATIONSHIP, "farshore-a-0-7")).uuid == OURS


async def test_a_lost_start_never_adopts_a_transfer_that_was_there_before(password_file: str) -> None:
    theirs = {"uuid": THEIRS, "state": "transferring", "snapshot": "farshore-a-0-7"}
    with ScriptedServer(_transfers_around_a_post([theirs], [theirs], Answer(cut=True))) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.start_transfer(RELATIONSHIP, "farshore-a-0-7")
    assert caught.value.ambiguous


async def test_a_lost_start_never_adopts_a_new_transfer_of_another_snapshot(password_file: str) -> None:
    theirs = {"uuid": THEIRS, "state": "transferring", "snapshot": "manual"}
    with ScriptedServer(_transfers_around_a_post([], [theirs], Answer(cut=True))) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.start_transfer(RELATIONSHIP, "farshore-a-0-7")
    assert caught.value.ambiguous


async def test_a_start_that_the_gateway_gave_up_on_is_recognised(password_file: str) -> None:
    ours = {"uuid": OURS, "state": "queued"}
    with ScriptedServer(_transfers_around_a_post([], [ours], Answer("<html>", 504))) as server:
        async with client(server.url, password_file) as cluster:
            assert (await cluster.start_transfer(RELATIONSHIP, None)).uuid == OURS


SNAPSHOT = {"name": "n", "uuid": "s", "version_uuid": "v", "create_time": "2026-11-28T08:00:00+00:00"}
JOB = {"job": {"uuid": "j"}}


@pytest.mark.parametrize(
    ("reply", "then_asked"),
    [
        (Answer({"records": [SNAPSHOT]}, 201), []),
        (Answer({"records": [{"name": "n", "uuid": "s"}]}, 201), ["snapshots"]),
        (Answer({"records": [{**SNAPSHOT, "name": "another"}]}, 201), ["snapshots"]),
        (Answer({"records": [SNAPSHOT, SNAPSHOT]}, 201), ["snapshots"]),
        (Answer({"records": "none"}, 201), ["snapshots"]),
        (Answer({}, 201), ["snapshots"]),
        (Answer({**JOB, "records": [SNAPSHOT]}, 202), ["jobs", "snapshots"]),  # not taken yet: the record is a wish
    ],
)
async def test_a_reply_that_shows_the_whole_snapshot_spares_the_reading_of_it(
    password_file: str, reply: Answer, then_asked: list[str]
) -> None:
    def script(method: str, path: str) -> Answer:
        if method == "POST":
            return reply
        return Answer({"uuid": "j", "state": "success"}) if "/jobs/" in path else Answer({"records": [SNAPSHOT]})

    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            snapshot = await cluster.create_snapshot("volume", "n")
        assert (snapshot.name, snapshot.uuid, snapshot.version_uuid) == ("n", "s", "v")
        assert "return_records=true" in server.requests[0][1]
        kinds = ["jobs" if "/jobs/" in path else "snapshots" for _, path in server.requests[1:]]
        assert kinds == then_asked


async def test_the_emptiest_aggregate_of_an_svm_is_found_among_its_own(password_file: str) -> None:
    """The simulator has one aggregate; a cluster has many."""

    def aggregate(name: str, available: int) -> dict[str, object]:
        return {"name": name, "space": {"block_storage": {"available": available}}}

    def script(_method: str, path: str) -> Answer:
        if path.startswith("/api/svm/svms"):
            return Answer({"records": [{"name": "svm", "aggregates": [{"name": "small"}, {"name": "large"}]}]})
        return Answer({"records": [aggregate("small", 1), aggregate("large", 2), aggregate("foreign", 3)]})

    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            assert await cluster.emptiest_aggregate() == "large"


async def test_an_svm_may_have_no_usable_aggregate(password_file: str) -> None:
    def script(_method: str, path: str) -> Answer:
        return Answer({"records": [{"name": "svm"}] if path.startswith("/api/svm/svms") else []})

    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            assert await cluster.emptiest_aggregate() is None


async def test_every_page_of_a_collection_is_read(password_file: str) -> None:
    def record(number: int) -> dict[str, str]:
        return {
            "name": f"farshore-a-0-{number}",
            "uuid": f"u{number}",
            "version_uuid": f"v{number}",
            "create_time": f"2026-01-01T00:00:0{number}+00:00",
        }

    def script(_method: str, path: str) -> Answer:
        if "start=2" in path:
            return Answer({"records": [record(1)], "num_records": 1})
        links = {"next": {"href": f"{path.split('?')[0]}?start=2"}}
        return Answer({"records": [record(3), record(2)], "num_records": 2, "_links": links})

    with ScriptedServer(script) as server:
        async with client(server.url, password_file) as cluster:
            found = await cluster.list_snapshots("v")
    assert [one.uuid for one in found] == ["u1", "u2", "u3"]


@pytest.mark.parametrize("body", ["<html>sign in</html>", "[]", "{}", '{"records": [{"uuid": "half"}]}'])
async def test_a_proxys_page_is_no_empty_collection(password_file: str, body: str) -> None:
    with ScriptedServer(lambda _method, _path: Answer(body)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError, match="isn't understood") as caught:
                await cluster.list_snapshots("v")
    assert caught.value.retry is RetryClass.RETRY_SOON


@pytest.mark.parametrize("body", ["<html>", [], {"error": "down"}, {"error": {"message": ["down"], "code": []}}])
async def test_a_change_that_something_else_answers_with_an_error_says_so(password_file: str, body: object) -> None:
    with ScriptedServer(lambda _method, _path: Answer(body, 502)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError, match=r"down|HTTP 502") as caught:
                await cluster.delete_snapshot("v", "s")
    assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, True)


async def test_a_job_that_vanished_while_it_was_waited_for_says_rediscover(password_file: str) -> None:
    answers = itertools.chain(
        [Answer({"uuid": "j", "state": "queued"}), Answer({"uuid": "j", "state": "running"})],
        itertools.repeat(Answer({"error": {"code": "4", "message": "entry doesn't exist"}}, 404)),
    )
    with ScriptedServer(lambda _method, _path: next(answers)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.wait_for_job("j")
    assert (caught.value.retry, caught.value.code) == (RetryClass.REDISCOVER, 4)


async def test_a_job_that_never_ends_is_given_up_at_its_deadline(password_file: str) -> None:
    with ScriptedServer(lambda _method, _path: Answer({"uuid": "j", "state": "running"})) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError, match="still running") as caught:
                await cluster.wait_for_job("j", deadline=0.2)
    assert caught.value.retry is RetryClass.REDISCOVER


async def test_a_hanging_cluster_holds_up_no_other(password_file: str) -> None:
    with (
        ScriptedServer(lambda _method, _path: Answer(hang=True)) as dead,
        ScriptedServer(lambda _method, _path: INFO) as alive,
    ):
        async with (
            client(dead.url, password_file, timeout="30s", max_requests=1) as syd,
            client(alive.url, password_file) as fra,
        ):
            stuck = [asyncio.create_task(syd.info()) for _ in range(3)]
            for _ in range(5):
                assert (await fra.info()).name == "nyc"
            assert not any(task.done() for task in stuck)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)


async def test_an_error_never_shows_the_password(password_file: str) -> None:
    with ScriptedServer(lambda _method, _path: Answer({"error": {"message": "no", "code": "6691623"}}, 401)) as server:
        async with client(server.url, password_file) as cluster:
            with pytest.raises(OntapError) as caught:
                await cluster.info()
    assert caught.value.retry is RetryClass.OPERATOR
    assert PASSWORD not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


async def test_the_environments_proxy_stands_not_between_farshore_and_storage(
    password_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with ScriptedServer(lambda _method, _path: INFO) as server:
        async with client(server.url, password_file) as cluster:
            assert (await cluster.info()).version == "9.14.1"
