"""The REST surface as the real netapp-ontap client and plain HTTP see it."""

import urllib.error
from collections.abc import Callable, Iterator

import pytest
from netapp_ontap.error import NetAppRestError
from netapp_ontap.resources import (
    Aggregate,
    ClusterPeer,
    EmsDestination,
    EmsEvent,
    Job,
    SnapmirrorPolicy,
    Snapshot,
    Svm,
    SvmPeer,
    Volume,
)
from netapp_ontap.resources import Cluster as OntapCluster
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def nyc(sites: dict[str, SimulatedCluster]) -> Iterator[SimulatedCluster]:
    yield sites["nyc"]
    sites["nyc"].clean()


@pytest.fixture
def fra(sites: dict[str, SimulatedCluster], nyc: SimulatedCluster) -> Iterator[SimulatedCluster]:
    yield sites["fra"]
    sites["fra"].clean()


def code_of(error: NetAppRestError) -> str:
    """ONTAP's code in a refusal."""
    return str(error.http_err_response.http_response.json()["error"]["code"])


def test_the_cluster_says_who_it_is(nyc: SimulatedCluster) -> None:
    cluster = OntapCluster()
    cluster.set_connection(nyc.connection)
    cluster.get(fields="version,name,uuid")
    assert cluster.name == "nyc"
    assert cluster.version.generation == 9


def test_a_wrong_password_is_refused(nyc: SimulatedCluster) -> None:
    status, headers, body = nyc.api("GET", "/cluster", password="wrong")
    assert (status, body["error"]["code"]) == (401, "6691623")
    assert headers["WWW-Authenticate"].startswith("Basic")


def test_a_collection_shows_only_keys_unless_fields_ask(nyc: SimulatedCluster) -> None:
    nyc.create_volume("one")
    _, _, body = nyc.api("GET", "/storage/volumes")
    assert set(body["records"][0]) == {"uuid", "name", "_links"}
    _, _, body = nyc.api("GET", "/storage/volumes?fields=svm.name,type")
    assert body["records"][0]["svm"] == {"name": nyc.svm}
    assert body["records"][0]["type"] == "rw"


def test_filters_order_and_pages_work_together(nyc: SimulatedCluster) -> None:
    for name in ("alpha", "beta", "gamma", "delta"):
        nyc.create_volume(name)
    found = Volume.get_collection(connection=nyc.connection, max_records=1, order_by="name desc", name="*a", type="!dp")
    assert [volume.name for volume in found] == ["gamma", "delta", "beta", "alpha"]
    two = Volume.get_collection(connection=nyc.connection, name="alpha|g*")
    assert {volume.name for volume in two} == {"alpha", "gamma"}
    _, _, body = nyc.api("GET", "/storage/volumes?max_records=3&return_records=false")
    assert "records" not in body
    assert body["num_records"] == 3
    assert "next" in body["_links"]


@pytest.mark.parametrize("query", ["max_records=0", "return_timeout=121", "order_by=name%20up", "return_records=x"])
def test_a_bad_query_is_refused(nyc: SimulatedCluster, query: str) -> None:
    status, _, body = nyc.api("GET", f"/storage/volumes?{query}")
    assert (status, body["error"]["code"]) == (400, "262197")


def test_a_change_is_a_job_that_can_be_watched_until_it_vanishes(
    cluster_factory: Callable[..., SimulatedCluster],
) -> None:
    cluster = cluster_factory("nyc", "--job-seconds", "4")
    status, headers, body = cluster.api(
        "POST", "/storage/volumes", {"name": "v", "svm": {"name": cluster.svm}, "aggregates": [{"name": "aggr1"}]}
    )
    assert status == 202
    assert headers["Location"].startswith("/api/storage/volumes/")
    job = Job(uuid=body["job"]["uuid"])
    job.set_connection(cluster.connection)

    def done() -> bool:
        job.get()
        return bool(job.state == "success")

    wait_for(done, "the job")
    wait_for(lambda: cluster.api("GET", f"/cluster/jobs/{job.uuid}")[0] == 404, "the job to vanish")


def test_return_timeout_waits_for_the_job(nyc: SimulatedCluster) -> None:
    status, headers, body = nyc.api(
        "POST",
        "/storage/volumes?return_timeout=100&return_records=true",
        {"name": "v", "svm": {"name": nyc.svm}, "aggregates": [{"name": "aggr1"}]},
    )
    assert status == 201
    assert body["records"][0]["name"] == "v"
    assert headers["Location"].endswith(body["records"][0]["uuid"])


def test_a_volume_can_be_changed_and_deleted(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("registry")
    volume.size = 2 << 40
    volume.efficiency = {"dedupe": "background", "compression": "none"}
    volume.nas = {"path": "/registry"}
    volume.patch(hydrate=True)
    assert (volume.size, volume.efficiency.dedupe, volume.nas.path) == (2 << 40, "background", "/registry")
    volume.delete()
    assert nyc.api("GET", f"/storage/volumes/{volume.uuid}")[0] == 404
    assert not nyc.path("registry").exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "taken"}, "917526"),
        ({"name": "bad-name"}, "917887"),
        ({"name": "v", "size": 1}, "917534"),
        ({"name": "v", "aggregates": [{"name": "aggr9"}]}, "917508"),
        ({"name": "v", "aggregates": [{"name": "a"}, {"name": "b"}]}, "918242"),
        ({"name": "v", "nas": {"path": "no"}}, "918252"),
        ({"name": "v", "type": "xx"}, "262197"),
        ({}, "262188"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(nyc: SimulatedCluster, body: dict[str, object], code: str) -> None:
    nyc.create_volume("taken")
    status, _, answer = nyc.api("POST", "/storage/volumes", {"svm": {"name": nyc.svm}, **body})
    assert status in (400, 409)
    assert answer["error"]["code"] == code


def test_snapshots_are_refused_with_ontaps_codes(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("v")
    nyc.snapshot(volume, "s")
    with pytest.raises(NetAppRestError) as refusal:
        nyc.snapshot(volume, "s")
    assert code_of(refusal.value) == "525059"
    with pytest.raises(NetAppRestError) as refusal:
        nyc.snapshot(volume, "bad name")
    assert code_of(refusal.value) == "1638518"
    with pytest.raises(NetAppRestError) as refusal:
        nyc.snapshot(nyc.create_volume("replica", "dp"), "s")
    assert code_of(refusal.value) == "1638461"


def test_a_snapshot_can_be_described_renamed_and_deleted(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("v")
    snapshot = Snapshot(volume.uuid, name="s", comment="why", snapmirror_label="daily")
    snapshot.set_connection(nyc.connection)
    snapshot.post(hydrate=True, return_timeout=100)
    assert (snapshot.comment, snapshot.snapmirror_label) == ("why", "daily")
    assert not hasattr(snapshot, "owners")
    snapshot.name = "t"
    snapshot.patch()
    assert set(nyc.snapshots(volume)) == {"t"}
    snapshot.delete()
    assert nyc.snapshots(volume) == {}
    with pytest.raises(NetAppRestError) as refusal:
        snapshot.delete()
    assert refusal.value.status_code == 404


def test_policies_are_kept(nyc: SimulatedCluster) -> None:
    policy = nyc.policy("fast", network_compression_enabled=True, copy_latest_source_snapshot=True)
    found = SnapmirrorPolicy.find(connection=nyc.connection, name="fast", fields="*")
    assert found.uuid == policy.uuid
    assert found.network_compression_enabled
    assert not found.copy_all_source_snapshots
    policy.network_compression_enabled = False
    policy.patch()
    policy.get()
    assert not policy.network_compression_enabled
    policy.delete()
    assert SnapmirrorPolicy.find(connection=nyc.connection, name="fast") is None


def test_peers_and_svms_are_shown(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    peer = ClusterPeer.find(connection=fra.connection, name="nyc", fields="*")
    assert peer.status.state == "available"
    svm_peer = SvmPeer.find(connection=fra.connection, fields="*", **{"peer.cluster.name": "nyc"})
    assert svm_peer.state == "peered"
    assert "snapmirror" in svm_peer.applications
    assert svm_peer.peer.svm.name == nyc.svm
    assert Svm.find(connection=fra.connection, name=fra.svm).uuid
    assert Aggregate.find(connection=fra.connection).name == "aggr1"


def test_ems_destinations_are_kept(nyc: SimulatedCluster) -> None:
    destination = EmsDestination(name="farshore", type="rest_api", destination="http://127.0.0.1:9/ems")
    destination.filters = [{"name": "default-trap-events"}]
    destination.set_connection(nyc.connection)
    destination.post()
    found = EmsDestination(name="farshore")
    found.set_connection(nyc.connection)
    found.get()
    assert found.destination == "http://127.0.0.1:9/ems"
    assert nyc.api("POST", "/support/ems/destinations", found.to_dict())[0] == 409
    found.delete()
    assert list(EmsDestination.get_collection(connection=nyc.connection)) == []
    assert list(EmsEvent.get_collection(connection=nyc.connection)) == []


def test_a_dropped_reply_has_acted(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("v")
    nyc.sim("POST", "faults", {"kind": "drop_reply", "method": "POST", "path": "*/snapshots"})
    with pytest.raises(ConnectionError):
        nyc.api("POST", f"/storage/volumes/{volume.uuid}/snapshots?return_timeout=100", {"name": "s"})
    assert set(nyc.snapshots(volume)) == {"s"}


def test_a_refusal_can_be_armed_counted_and_cleared(nyc: SimulatedCluster) -> None:
    nyc.sim("POST", "faults", {"kind": "refuse", "method": "GET", "path": "/api/cluster", "status": 503, "times": 2})
    assert [nyc.api("GET", "/cluster")[0] for _ in range(3)] == [503, 503, 200]
    armed = nyc.sim("POST", "faults", {"kind": "refuse", "status": 400, "code": 6619720, "times": 9})
    assert nyc.api("GET", "/cluster")[2]["error"]["code"] == "6619720"
    assert [fault["id"] for fault in nyc.sim("GET", "faults")["faults"]] == [armed["id"]]
    nyc.sim("DELETE", f"faults/{armed['id']}")
    assert nyc.api("GET", "/cluster")[0] == 200


def test_a_job_can_be_made_to_fail(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("v")
    nyc.sim(
        "POST", "faults", {"kind": "fail_job", "description": "*snapshots*", "code": 1638537, "message": "who knows"}
    )
    _, _, body = nyc.api("POST", f"/storage/volumes/{volume.uuid}/snapshots", {"name": "s"})
    path = f"/cluster/jobs/{body['job']['uuid']}"
    wait_for(lambda: nyc.api("GET", path)[2]["state"] == "failure", "the failure")
    job = nyc.api("GET", path)[2]
    assert (job["code"], job["message"]) == (1638537, "who knows")


def test_unknown_paths_methods_and_bodies_are_answered(nyc: SimulatedCluster) -> None:
    assert nyc.api("GET", "/no/such/thing")[0] == 404
    assert nyc.api("DELETE", "/cluster")[0] == 405
    assert nyc.api("POST", "/storage/volumes", [1])[2]["error"]["code"] == "262198"
    assert nyc.api("GET", "/storage/volumes/none")[2]["error"]["code"] == "4"


def test_a_relationship_that_cannot_be_is_refused(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    nyc.create_volume("v")
    fra.create_volume("writable")
    fra.create_volume("replica", "dp")

    def post(source: str, destination: str, **more: object) -> str:
        body = {"source": {"path": source}, "destination": {"path": destination}, **more}
        status, _, answer = fra.api("POST", "/snapmirror/relationships", body)
        assert status >= 400
        return str(answer["error"]["code"])

    source, replica = f"{nyc.svm}:v", f"{fra.svm}:replica"
    assert post(source, f"{fra.svm}:writable") == "6619546"
    assert post(source, f"{fra.svm}:absent") == "4"
    assert post(f"{nyc.svm}:absent", replica) == "4"
    assert post("svm_mars:v", replica) == "13303939"
    assert post(source, replica, policy={"name": "absent"}) == "13303821"
    fra.sim("POST", "faults", {"kind": "unreachable", "peer": "nyc"})
    assert post(source, replica) == "13303892"
    fra.sim("DELETE", "faults")
    fra.mirror(nyc, "v", "replica")
    assert post(source, replica) == "6619637"


def test_a_rebooting_cluster_is_away_and_comes_back(nyc: SimulatedCluster) -> None:
    nyc.sim("POST", "faults", {"kind": "reboot", "seconds": 3})
    assert nyc.api("GET", "/cluster")[0] == 503
    wait_for(lambda: nyc.api("GET", "/cluster")[0] == 200, "the cluster")


def test_a_slow_reply_still_comes(nyc: SimulatedCluster) -> None:
    nyc.sim("POST", "faults", {"kind": "slow", "path": "/api/cluster", "seconds": 0.2})
    assert nyc.api("GET", "/cluster")[0] == 200
    assert nyc.sim("GET", "faults") == {"faults": []}


def test_the_simulator_does_not_stop_itself(nyc: SimulatedCluster) -> None:
    nyc.create_volume("v")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        nyc.sim("PUT", "writers", {"svm": nyc.svm, "volume": "v", "pids": [nyc.process.pid]})
    assert refusal.value.code == 400


def test_a_wrong_clock_shows_in_create_time(nyc: SimulatedCluster) -> None:
    volume = nyc.create_volume("v")
    nyc.sim("POST", "faults", {"kind": "clock", "offset_seconds": -86_400})
    nyc.snapshot(volume, "old")
    nyc.sim("DELETE", "faults")
    nyc.snapshot(volume, "new")
    found = nyc.snapshots(volume)
    assert (found["new"].create_time - found["old"].create_time).days == 1
