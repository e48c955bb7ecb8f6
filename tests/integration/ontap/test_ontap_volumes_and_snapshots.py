"""Cluster, volumes and snapshots through the real client: what is made, found, refused, and read again."""

import asyncio
from pathlib import Path

import pytest
from mirrors import Mirror, make_volume
from simulators import Simulator

from farshore.errors import RetryClass
from farshore.ontap import Call, OntapCluster, OntapError, Volume

pytestmark = pytest.mark.integration


@pytest.fixture
async def volume(nyc: OntapCluster, simulators: dict[str, Simulator], unique: str) -> Volume:
    """One of the test's own at nyc."""
    make_volume(simulators["nyc"], unique)
    return await nyc.find_volume(unique)


async def test_a_connection_check_names_the_cluster(nyc: OntapCluster) -> None:
    info = await nyc.info()
    assert (info.name, bool(info.uuid)) == ("cluster-nyc", True)
    assert info.version.startswith("NetApp Release 9.")


async def test_a_wrong_password_needs_an_operator(simulators: dict[str, Simulator], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    settings = simulators["nyc"].settings.model_copy(update={"password": f"file:{wrong}"})
    async with OntapCluster("nyc", settings) as cluster:
        with pytest.raises(OntapError) as caught:
            await cluster.info()
        assert (caught.value.retry, caught.value.http_status) == (RetryClass.OPERATOR, 401)
        with pytest.raises(OntapError) as caught:
            await cluster.create_snapshot("any", "farshore-t-0-1")
        assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.OPERATOR, False)


async def test_clusters_and_svms_are_peered_for_snapmirror(fra: OntapCluster) -> None:
    peers = {peer.name: peer.usable for peer in await fra.cluster_peers()}
    assert peers == {"cluster-nyc": True, "cluster-syd": True}
    svms = {(peer.local_svm, peer.name, peer.cluster): peer.usable for peer in await fra.svm_peers()}
    assert svms == {("svm_fra", "svm_nyc", "cluster-nyc"): True, ("svm_fra", "svm_syd", "cluster-syd"): True}


async def test_an_unreachable_peer_is_not_usable(fra: OntapCluster, simulators: dict[str, Simulator]) -> None:
    simulators["fra"].arm(kind="unreachable", peer="cluster-syd")
    assert {peer.name: peer.usable for peer in await fra.cluster_peers()} == {"cluster-nyc": True, "cluster-syd": False}


async def test_a_volume_is_found_by_name(nyc: OntapCluster, volume: Volume) -> None:
    found = await nyc.find_volume(volume.name)
    assert (found.uuid, found.svm, found.type, found.state) == (volume.uuid, "svm_nyc", "rw", "online")
    assert (found.size, found.junction_path) == (1 << 30, None)


async def test_a_volume_that_isnt_there_is_looked_for_again(nyc: OntapCluster, unique: str) -> None:
    with pytest.raises(OntapError) as caught:
        await nyc.find_volume(unique)
    assert caught.value.retry is RetryClass.REDISCOVER
    with pytest.raises(OntapError) as caught:
        await nyc.list_snapshots("11111111-1111-1111-1111-111111111111")
    assert caught.value.retry is RetryClass.REDISCOVER


async def test_snapshots_are_listed_by_pattern_in_the_order_they_were_taken(nyc: OntapCluster, volume: Volume) -> None:
    for name in ("farshore-t-0-9", "manual", "farshore-t-0-10"):
        await nyc.create_snapshot(volume.uuid, name, comment="taken by a test")
    ours = await nyc.list_snapshots(volume.uuid)
    assert [snapshot.name for snapshot in ours] == ["farshore-t-0-9", "farshore-t-0-10"]
    assert len(await nyc.list_snapshots(volume.uuid, "*")) == 3
    assert len({snapshot.version_uuid for snapshot in ours} | {snapshot.uuid for snapshot in ours}) == 4
    assert all(snapshot.create_time.tzinfo is not None for snapshot in ours)


async def test_a_snapshot_whose_name_exists_is_the_one_that_exists(nyc: OntapCluster, volume: Volume) -> None:
    first = await nyc.create_snapshot(volume.uuid, "farshore-t-0-1")
    assert await nyc.create_snapshot(volume.uuid, "farshore-t-0-1") == first


async def test_a_snapshot_whose_reply_was_lost_is_found_and_taken_once(
    nyc: OntapCluster, simulators: dict[str, Simulator], volume: Volume
) -> None:
    simulators["nyc"].arm(kind="drop_reply", method="POST", path="*/snapshots")
    made = await nyc.create_snapshot(volume.uuid, "farshore-t-0-1")
    assert await nyc.list_snapshots(volume.uuid, "*") == [made]


async def test_a_snapshot_that_the_cluster_couldnt_take_just_now_is_tried_once_more(
    nyc: OntapCluster, simulators: dict[str, Simulator], volume: Volume
) -> None:
    simulators["nyc"].arm(kind="refuse", method="POST", path="*/snapshots", status=503)
    assert (await nyc.create_snapshot(volume.uuid, "farshore-t-0-1")).name == "farshore-t-0-1"
    simulators["nyc"].arm(kind="refuse", method="POST", path="*/snapshots", status=503, times=2)
    with pytest.raises(OntapError) as caught:
        await nyc.create_snapshot(volume.uuid, "farshore-t-0-2")
    assert (caught.value.retry, caught.value.http_status) == (RetryClass.RETRY_SOON, 503)


async def test_a_snapshot_answered_later_than_the_time_out_is_found(
    simulators: dict[str, Simulator], nyc: OntapCluster, volume: Volume
) -> None:
    settings = simulators["nyc"].settings.model_copy(update={"timeout": 2.0})
    async with OntapCluster("nyc", settings) as hasty:
        simulators["nyc"].arm(kind="slow", method="POST", path="*/snapshots", seconds=5)
        made = await hasty.create_snapshot(volume.uuid, "farshore-t-0-1")
    assert await nyc.list_snapshots(volume.uuid, "*") == [made]


async def test_snapshots_that_cant_be_are_refused_for_good(fra: OntapCluster, mirror: Mirror) -> None:
    with pytest.raises(OntapError) as caught:
        await mirror.nyc.create_snapshot(mirror.source.uuid, "not a name?")
    assert (caught.value.retry, caught.value.code) == (RetryClass.FINAL, 1638518)
    with pytest.raises(OntapError) as caught:
        await fra.create_snapshot(mirror.destination.uuid, "farshore-t-0-1")
    assert (caught.value.retry, caught.value.code) == (RetryClass.FINAL, 1638461)


async def test_the_1024th_snapshot_needs_an_operator(
    nyc: OntapCluster, simulators: dict[str, Simulator], volume: Volume
) -> None:

    def fill(first: int) -> None:
        for number in range(first, 1023, 4):
            body = {"name": f"farshore-t-0-{number}"}
            simulators["nyc"].request("POST", f"/api/storage/volumes/{volume.uuid}/snapshots?return_timeout=100", body)

    await asyncio.gather(*(asyncio.to_thread(fill, first) for first in range(4)))
    assert len(await nyc.list_snapshots(volume.uuid)) == 1023  # more than one page
    with pytest.raises(OntapError, match="1,023 at most") as caught:
        await nyc.create_snapshot(volume.uuid, "one-too-many")
    assert (caught.value.retry, caught.value.code) == (RetryClass.OPERATOR, 525062)


async def test_a_deleted_snapshot_is_gone_and_deleting_it_again_is_success(nyc: OntapCluster, volume: Volume) -> None:
    snapshot = await nyc.create_snapshot(volume.uuid, "farshore-t-0-1")
    await nyc.delete_snapshot(volume.uuid, snapshot.uuid)
    assert await nyc.list_snapshots(volume.uuid, "*") == []
    await nyc.delete_snapshot(volume.uuid, snapshot.uuid)


async def test_the_base_of_a_relationship_is_busy_and_stays(established: Mirror) -> None:
    (base,) = await established.nyc.list_snapshots(established.source.uuid)
    assert base.owners
    with pytest.raises(OntapError) as caught:
        await established.nyc.delete_snapshot(established.source.uuid, base.uuid)
    assert (caught.value.retry, caught.value.code) == (RetryClass.RETRY_SOON, 1638543)
    assert await established.nyc.list_snapshots(established.source.uuid) == [base]


async def test_a_failed_job_has_the_class_of_its_code(
    nyc: OntapCluster, simulators: dict[str, Simulator], volume: Volume
) -> None:
    simulators["nyc"].arm(kind="fail_job", description="POST */snapshots/*", code=524479, message="no space left")
    with pytest.raises(OntapError, match="no space left") as caught:
        await nyc.create_snapshot(volume.uuid, "farshore-t-0-1")
    assert (caught.value.retry, caught.value.code) == (RetryClass.OPERATOR, 524479)


async def test_a_job_that_nobody_knows_is_rediscovered(nyc: OntapCluster) -> None:
    with pytest.raises(OntapError) as caught:
        await nyc.wait_for_job("11111111-1111-1111-1111-111111111111", call=Call.VOLUME_POST)
    assert (caught.value.retry, caught.value.code) == (RetryClass.REDISCOVER, 4)
