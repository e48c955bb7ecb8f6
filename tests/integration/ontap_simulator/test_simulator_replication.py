"""Relationships and transfers: what moves, what is refused, and what clients of a replica see."""

import http.server
import os
import threading
import time
from datetime import datetime

import pytest
from netapp_ontap.error import NetAppRestError
from netapp_ontap.resources import SnapmirrorRelationship, SnapmirrorTransfer, Volume
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster, tree, wait_for

pytestmark = pytest.mark.integration

MEGABYTE = 1 << 20


class Pair:
    """A volume at nyc with a replica at fra, not initialised yet."""

    def __init__(self, nyc: SimulatedCluster, fra: SimulatedCluster, name: str) -> None:
        self.nyc, self.fra, self.name = nyc, fra, name
        self.source = nyc.create_volume(name)
        self.replica = fra.create_volume(name, "dp")
        self.root = nyc.path(name)
        self.view = fra.path(name)
        self.relationship = fra.mirror(nyc, name, name)

    def patch(self, **properties: object) -> None:
        """PATCH the relationship and wait for the job."""
        status, _, body = self.fra.api(
            "PATCH", f"/snapmirror/relationships/{self.relationship.uuid}?return_timeout=100", properties
        )
        assert status == 200, body
        self.relationship.get()

    def refusal(self, method: str, path: str, body: object) -> tuple[str, str]:
        """Code and text of a call on the relationship that must be refused."""
        status, _, answer = self.fra.api(method, f"/snapmirror/relationships/{self.relationship.uuid}{path}", body)
        assert status >= 400, answer
        return answer["error"]["code"], answer["error"]["message"]

    def hold(self, after_bytes: int = 0) -> str:
        """Arm a fault that stops transfers in the middle; returns its id."""
        armed = self.fra.sim("POST", "faults", {"kind": "hold_transfer", "after_bytes": after_bytes})
        return str(armed["id"])

    def transferred(self, transfer: SnapmirrorTransfer) -> int:
        """Bytes so far."""
        transfer.get()
        return int(transfer.bytes_transferred)


@pytest.fixture
def nyc(sites: dict[str, SimulatedCluster]) -> SimulatedCluster:
    return sites["nyc"]


@pytest.fixture
def fra(sites: dict[str, SimulatedCluster]) -> SimulatedCluster:
    return sites["fra"]


@pytest.fixture
def pair(nyc: SimulatedCluster, fra: SimulatedCluster, unique: str) -> Pair:
    return Pair(nyc, fra, unique)


def test_only_blocks_that_the_replica_lacks_cross(pair: Pair) -> None:
    content = os.urandom(2 * MEGABYTE)
    (pair.root / "a").write_bytes(content)
    pair.nyc.snapshot(pair.source, "s1")
    assert pair.fra.update(pair.relationship, "s1").bytes_transferred == 2 * MEGABYTE
    (pair.root / "copy").write_bytes(content)
    changed = bytearray(content)
    changed[8192:8195] = b"new"
    (pair.root / "a").write_bytes(changed)
    pair.nyc.snapshot(pair.source, "s2")
    assert pair.fra.update(pair.relationship, "s2").bytes_transferred == 4096
    assert tree(pair.view) == tree(pair.root)
    assert pair.relationship.total_transfer_bytes == 2 * MEGABYTE + 4096


def test_a_snapshot_keeps_what_is_rewritten_in_place(pair: Pair) -> None:
    link = pair.root / "link"
    link.write_bytes(b"sha256:old")
    pair.nyc.snapshot(pair.source, "s1")
    with link.open("r+b") as file:
        file.write(b"sha256:new")
    pair.nyc.snapshot(pair.source, "s2")
    pair.fra.update(pair.relationship, "s1")
    assert (pair.view / "link").read_bytes() == b"sha256:old"
    pair.fra.update(pair.relationship, "s2")
    assert (pair.view / "link").read_bytes() == b"sha256:new"


def test_open_files_stay_readable_across_the_switch(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    with (pair.view / "a").open("rb") as file:
        (pair.root / "a").write_bytes(b"two")
        pair.nyc.snapshot(pair.source, "s2")
        pair.fra.update(pair.relationship, "s2")
        assert file.read() == b"one"
    assert (pair.view / "a").read_bytes() == b"two"


def test_the_view_switches_only_at_the_end(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    (pair.root / "a").write_bytes(os.urandom(8 * MEGABYTE))
    pair.nyc.snapshot(pair.source, "s2")
    held = pair.hold(after_bytes=2 * MEGABYTE)
    transfer = pair.fra.start_transfer(pair.relationship, "s2")
    wait_for(lambda: pair.transferred(transfer) >= 2 * MEGABYTE, "half of the transfer")
    pair.relationship.get()
    assert pair.relationship.exported_snapshot == "s1"
    assert pair.relationship.transfer.uuid == transfer.uuid
    assert transfer.snapshot == "s2"
    assert (pair.view / "a").read_bytes() == b"one"
    assert "s2" not in pair.fra.snapshots(pair.replica)
    pair.fra.sim("DELETE", f"faults/{held}")
    assert pair.fra.finish(transfer).state == "success"
    pair.relationship.get()
    assert pair.relationship.exported_snapshot == "s2"
    assert not hasattr(pair.relationship.transfer, "uuid")


def test_a_second_transfer_is_refused(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    pair.hold()
    first = pair.fra.start_transfer(pair.relationship, "s1")
    code, text = pair.refusal("POST", "/transfers", {})
    assert code == "13303812"
    assert "Another transfer is in progress" in text
    code, text = pair.refusal("PATCH", "", {"state": "broken_off"})
    assert code == "13303808"
    pair.fra.sim("DELETE", "faults")
    assert pair.fra.finish(first).state == "success"
    pair.hold()
    second = pair.fra.start_transfer(pair.relationship)
    code, text = pair.refusal("POST", "/transfers", {"source_snapshot": "s1"})
    assert code == "13303844"
    assert "Another transfer is in progress" in text
    pair.fra.sim("DELETE", "faults")
    assert pair.fra.finish(second).state == "success"


def test_states_that_cannot_update_refuse(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    assert pair.refusal("PATCH", "", {"state": "broken_off"})[0] == "13303831"
    pair.patch(state="snapmirrored")
    wait_for(lambda: pair.relationship.get() and pair.relationship.state == "snapmirrored", "the baseline")
    assert pair.refusal("PATCH", "", {"state": "snapmirrored"})[0] == "13303832"
    assert pair.refusal("PATCH", "", {"state": "nonsense"})[0] == "13303817"
    pair.patch(state="paused")
    assert pair.relationship.state == "paused"
    assert pair.refusal("POST", "/transfers", {})[0] == "13303844"
    pair.patch(state="snapmirrored")
    assert pair.relationship.state == "snapmirrored"
    pair.patch(state="broken_off")
    assert pair.refusal("POST", "/transfers", {})[0] == "13303844"


def test_a_snapshot_after_the_last_one_was_deleted_is_whole(pair: Pair) -> None:
    (pair.root / "a").write_bytes(os.urandom(MEGABYTE))
    wait_for(lambda: time.time() - (pair.root / "a").stat().st_ctime > 0.1, "the file to count as at rest")
    deleted = pair.nyc.snapshot(pair.source, "s1")
    assert pair.nyc.figures(pair.name)["unique_bytes"] == MEGABYTE
    assert pair.nyc.api("DELETE", f"/storage/volumes/{pair.source.uuid}/snapshots/{deleted.uuid}")[0] == 202
    wait_for(lambda: pair.nyc.figures(pair.name)["unique_bytes"] == 0, "the space to come back")
    pair.nyc.snapshot(pair.source, "s2")
    pair.fra.update(pair.relationship, "s2")
    assert tree(pair.view) == tree(pair.root)


def test_a_volume_that_is_offline_shows_nothing_and_takes_part_in_nothing(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    pair.nyc.snapshot(pair.source, "s2")
    pair.hold()
    cut = pair.fra.start_transfer(pair.relationship, "s2")
    pair.fra.change_volume(pair.replica, state="offline")
    assert pair.fra.finish(cut).state == "failed"
    assert not pair.view.exists()
    code, text = pair.refusal("POST", "/transfers", {"source_snapshot": "s2"})
    assert (code, "offline" in text) == ("13303844", True)
    pair.fra.sim("DELETE", "faults")
    pair.fra.change_volume(pair.replica, state="online")
    assert tree(pair.view) == tree(pair.root)
    pair.nyc.change_volume(pair.source, state="offline")
    assert "offline" in pair.refusal("POST", "/transfers", {"source_snapshot": "s2"})[1]
    answer = pair.nyc.api("POST", f"/storage/volumes/{pair.source.uuid}/snapshots", {"name": "s3"})[2]
    assert answer["error"]["code"] == "524479"
    pair.nyc.change_volume(pair.source, state="online")
    pair.fra.update(pair.relationship, "s2")


def test_snapshots_that_cannot_be_sent_are_refused(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    pair.nyc.snapshot(pair.source, "s2")
    code, text = pair.refusal("POST", "/transfers", {"source_snapshot": "absent"})
    assert (code, "absent" in text) == ("13303812", True)
    pair.fra.update(pair.relationship, "s2")
    code, text = pair.refusal("POST", "/transfers", {"source_snapshot": "s1"})
    assert (code, "older" in text) == ("13303844", True)


def test_without_a_common_snapshot_there_is_no_update(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    status, _, _ = pair.nyc.api(
        "DELETE", f"/snapmirror/relationships/{pair.relationship.uuid}?source_only=true&return_timeout=100"
    )
    assert status == 200
    pair.nyc.snapshots(pair.source)["s1"].delete()
    code, text = pair.refusal("POST", "/transfers", {})
    assert (code, "No common snapshot" in text) == ("13303844", True)


def test_the_base_is_busy_until_the_next_one_takes_over(pair: Pair) -> None:
    base = pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    assert pair.nyc.snapshots(pair.source)["s1"].owners == ["snapmirror"]
    with pytest.raises(NetAppRestError) as refusal:
        base.delete()
    assert refusal.value.http_err_response.http_response.json()["error"]["code"] == "1638543"
    pair.nyc.snapshot(pair.source, "s2")
    pair.fra.update(pair.relationship, "s2")
    wait_for(lambda: not hasattr(pair.nyc.snapshots(pair.source)["s1"], "owners"), "the base to be free")
    base.delete()
    assert set(pair.nyc.snapshots(pair.source)) == {"s2"}


def test_an_update_without_a_name_takes_its_own_snapshot(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    first = pair.fra.update(pair.relationship)
    assert first.snapshot.startswith(f"snapmirror.{pair.relationship.uuid}_1.")
    (pair.root / "a").write_bytes(b"two")
    second = pair.fra.update(pair.relationship)
    assert second.snapshot.startswith(f"snapmirror.{pair.relationship.uuid}_2.")
    assert (pair.view / "a").read_bytes() == b"two"
    wait_for(lambda: set(pair.nyc.snapshots(pair.source)) == {second.snapshot}, "the old automatic one to go")


def test_policies_decide_which_snapshots_cross(nyc: SimulatedCluster, fra: SimulatedCluster, unique: str) -> None:
    source = nyc.create_volume(unique)
    fra.policy("latest", copy_latest_source_snapshot=True)
    everything, newest = fra.create_volume("all", "dp"), fra.create_volume("newest", "dp")
    mirror_all = fra.mirror(nyc, unique, "all")
    mirror_latest = fra.mirror(nyc, unique, "newest", "latest")
    for name in ("s1", "s2", "s3"):
        nyc.snapshot(source, name)
    fra.update(mirror_all)
    latest = fra.update(mirror_latest)
    assert {"s1", "s2", "s3"} < set(fra.snapshots(everything))
    assert set(fra.snapshots(newest)) == {latest.snapshot}
    nyc.snapshots(source)["s1"].delete()
    fra.update(mirror_all)
    assert "s1" not in fra.snapshots(everything)


def test_compression_on_the_wire_is_what_the_policy_says(
    nyc: SimulatedCluster, fra: SimulatedCluster, unique: str
) -> None:
    source = nyc.create_volume(unique)
    (nyc.path(unique) / "text").write_bytes(b"".join(b"line %d of a text\n" % number for number in range(100_000)))
    nyc.snapshot(source, "s1")
    fra.policy("small", network_compression_enabled=True)
    fra.create_volume("plain", "dp")
    fra.create_volume("small", "dp")
    plain, small = fra.mirror(nyc, unique, "plain"), fra.mirror(nyc, unique, "small", "small")
    fra.update(plain, "s1")
    fra.update(small, "s1")
    stats = {item["uuid"]: item for item in fra.sim("GET", "stats")["relationships"]}
    assert stats[plain.uuid]["logical_bytes"] == stats[small.uuid]["logical_bytes"]
    assert stats[plain.uuid]["wire_bytes"] > stats[plain.uuid]["logical_bytes"] * 0.95
    assert stats[small.uuid]["wire_bytes"] < stats[small.uuid]["logical_bytes"] / 3
    ratio = float(small.last_transfer_network_compression_ratio.removesuffix(":1"))
    assert ratio > 3
    assert not hasattr(plain, "last_transfer_network_compression_ratio")


def test_a_transfer_that_takes_less_than_a_second_is_told_with_its_times(
    nyc: SimulatedCluster, fra: SimulatedCluster, unique: str
) -> None:
    nyc.snapshot(nyc.create_volume(unique), "s1")
    fra.create_volume(unique, "dp")
    mirror = fra.mirror(nyc, unique, unique)
    fra.update(mirror, "s1")
    told = [one for one in fra.sim("GET", "transfers")["transfers"] if one["relationship"] == mirror.uuid]
    assert told
    for one in told:
        assert datetime.fromisoformat(one["started"]) < datetime.fromisoformat(one["ended"])


def test_efficiency_comes_from_the_content(nyc: SimulatedCluster, unique: str) -> None:
    volume = nyc.create_volume(unique)
    content = os.urandom(MEGABYTE)
    (nyc.path(unique) / "a").write_bytes(content)
    (nyc.path(unique) / "b").write_bytes(content)
    (nyc.path(unique) / "zeros").write_bytes(b"\0" * MEGABYTE)
    nyc.snapshot(volume, "s1")
    volume.get()
    figures = nyc.figures(unique)
    assert figures["logical_bytes"] == 6 * MEGABYTE
    assert figures["unique_bytes"] == MEGABYTE + 4096
    assert figures["physical_bytes"] <= MEGABYTE + 4096
    assert volume.space.physical_used == figures["physical_bytes"]
    assert volume.efficiency.has_savings


def test_deleted_snapshots_give_their_blocks_back(nyc: SimulatedCluster, unique: str) -> None:
    volume = nyc.create_volume(unique)
    (nyc.path(unique) / "a").write_bytes(os.urandom(MEGABYTE))
    gone = nyc.snapshot(volume, "s1")
    (nyc.path(unique) / "a").unlink()
    nyc.snapshot(volume, "s2")
    assert nyc.figures(unique)["physical_bytes"] >= MEGABYTE
    gone.delete()
    wait_for(lambda: nyc.figures(unique)["physical_bytes"] == 0, "the space")


def test_an_interrupted_update_goes_on_where_it_was(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s0")
    pair.fra.update(pair.relationship, "s0")
    (pair.root / "a").write_bytes(os.urandom(16 * MEGABYTE))
    pair.nyc.snapshot(pair.source, "s1")
    pair.hold(after_bytes=4 * MEGABYTE)
    transfer = pair.fra.start_transfer(pair.relationship, "s1")
    wait_for(lambda: pair.transferred(transfer) >= 4 * MEGABYTE, "some bytes")
    transfer.state = "aborted"
    transfer.patch()
    assert pair.fra.finish(transfer).state == "aborted"
    pair.relationship.get()
    assert not pair.relationship.healthy
    assert pair.refusal("PATCH", f"/transfers/{transfer.uuid}", {"state": "aborted"})[0] == "13303849"
    pair.fra.sim("DELETE", "faults")
    again = pair.fra.update(pair.relationship, "s1")
    assert again.bytes_transferred <= 12 * MEGABYTE
    assert tree(pair.view) == tree(pair.root)
    assert pair.relationship.healthy


def test_a_hard_abort_drops_the_checkpoint(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s0")
    pair.fra.update(pair.relationship, "s0")
    (pair.root / "a").write_bytes(os.urandom(8 * MEGABYTE))
    pair.nyc.snapshot(pair.source, "s1")
    pair.hold(after_bytes=2 * MEGABYTE)
    transfer = pair.fra.start_transfer(pair.relationship, "s1")
    wait_for(lambda: pair.transferred(transfer) >= 2 * MEGABYTE, "some bytes")
    transfer.state = "hard_aborted"
    transfer.patch()
    assert pair.fra.finish(transfer).state == "hard_aborted"
    wait_for(lambda: pair.fra.figures(pair.name)["physical_bytes"] == 0, "the checkpoint to go")
    pair.fra.sim("DELETE", "faults")
    assert pair.fra.update(pair.relationship, "s1").bytes_transferred == 8 * MEGABYTE


def test_a_transfer_can_be_made_to_fail_with_a_code(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.sim("POST", "faults", {"kind": "fail_transfer", "code": 6619720, "message": "still propagating"})
    transfer = pair.fra.finish(pair.fra.start_transfer(pair.relationship, "s1"))
    assert (transfer.state, transfer.error_info.code) == ("failed", 6619720)
    pair.relationship.get()
    assert pair.relationship.unhealthy_reason[0].code == "6619720"
    pair.fra.update(pair.relationship, "s1")


def test_an_unreachable_source_fails_the_transfer(pair: Pair) -> None:
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.sim("POST", "faults", {"kind": "unreachable", "peer": "nyc"})
    transfer = pair.fra.finish(pair.fra.start_transfer(pair.relationship, "s1"))
    assert (transfer.state, transfer.error_info.code) == ("failed", 13303892)


def test_a_slow_link_is_slow(pair: Pair) -> None:
    (pair.root / "a").write_bytes(os.urandom(4 * MEGABYTE))
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.sim("PUT", "links/nyc", {"latency_ms": 20, "bandwidth_bytes_per_second": MEGABYTE})
    transfer = pair.fra.start_transfer(pair.relationship, "s1")
    pair.fra.sim("PUT", "links/nyc", {"latency_ms": 0, "bandwidth_bytes_per_second": 0})
    assert pair.fra.finish(transfer).state == "success"
    assert tree(pair.view) == tree(pair.root)


def test_a_break_makes_the_replica_writable_and_a_resync_takes_it_back(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    pair.patch(state="broken_off")
    assert pair.fra.api("GET", f"/storage/volumes/{pair.replica.uuid}")[2]["type"] == "rw"
    (pair.view / "mine").write_bytes(b"written at the replica")
    mine = pair.fra.snapshot(pair.replica, "mine")
    (pair.root / "b").write_bytes(b"two")
    pair.patch(state="snapmirrored")
    wait_for(lambda: pair.relationship.get() and pair.relationship.state == "snapmirrored", "the resync")
    assert tree(pair.view) == tree(pair.root)
    assert mine.name not in pair.fra.snapshots(pair.replica)
    assert pair.relationship.last_transfer_type == "resync"
    assert pair.fra.api("GET", f"/storage/volumes/{pair.replica.uuid}")[2]["type"] == "dp"


def test_a_break_can_go_back_to_an_older_snapshot(pair: Pair) -> None:
    for name in ("s1", "s2"):
        (pair.root / "a").write_text(name)
        pair.nyc.snapshot(pair.source, name)
    pair.fra.update(pair.relationship)
    pair.patch(state="broken_off", restore_to_snapshot="s1")
    assert (pair.view / "a").read_text() == "s1"
    assert set(pair.fra.snapshots(pair.replica)) == {"s1"}


def test_the_direction_can_be_reversed_with_data(pair: Pair) -> None:
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    here, there = f"{pair.fra.svm}:{pair.name}", f"{pair.nyc.svm}:{pair.name}"
    assert pair.refusal("PATCH", "", {"source": {"path": here}, "destination": {"path": "x:y"}})[0] == "13304120"
    path = f"/snapmirror/relationships/{pair.relationship.uuid}"
    status, _, body = pair.fra.api(
        "PATCH",
        f"{path}?return_timeout=100",
        {"source": {"path": here}, "destination": {"path": there}, "state": "snapmirrored"},
    )
    assert status == 200, body
    (pair.view / "b").write_bytes(b"written at the new primary")
    assert pair.fra.api("GET", path)[0] == 404
    reversed_one = SnapmirrorRelationship(uuid=pair.relationship.uuid)
    reversed_one.set_connection(pair.nyc.connection)
    wait_for(lambda: reversed_one.get() and reversed_one.state == "snapmirrored", "the reverse resync")
    assert (reversed_one.source.path, reversed_one.destination.path) == (here, there)
    pair.nyc.update(reversed_one)
    assert tree(pair.root) == tree(pair.view)
    assert (pair.root / "b").read_bytes() == b"written at the new primary"


def test_a_replica_takes_the_primarys_place_and_the_others_follow_without_a_new_baseline(
    pair: Pair, sites: dict[str, SimulatedCluster]
) -> None:
    """Break, and for each other site: delete, create from the new source, resync."""
    nyc, fra, syd = pair.nyc, pair.fra, sites["syd"]
    (pair.root / "a").write_bytes(os.urandom(MEGABYTE))
    nyc.snapshot(pair.source, "s1")
    fra.update(pair.relationship, "s1")
    syd.create_volume(pair.name, "dp")
    syd.update(other := syd.mirror(nyc, pair.name, pair.name), "s1")
    pair.patch(state="broken_off")
    (pair.view / "b").write_bytes(b"written at the new primary")
    assert fra.api("DELETE", f"/snapmirror/relationships/{pair.relationship.uuid}?return_timeout=100")[0] == 200
    (pair.root / "late").write_bytes(b"written at the old primary")
    assert syd.api("DELETE", f"/snapmirror/relationships/{other.uuid}?return_timeout=100")[0] == 200
    for site in (nyc, syd):
        before = site.sim("GET", "stats")["total"]["logical_bytes"]
        made = site.mirror(fra, pair.name, pair.name)
        made.get()
        assert made.state == "broken_off"
        path = f"/snapmirror/relationships/{made.uuid}?return_timeout=100"
        assert site.api("PATCH", path, {"state": "snapmirrored"})[0] == 200
        wait_for(lambda made=made: made.get() and made.state == "snapmirrored", "the resync")  # type: ignore[misc]
        assert made.last_transfer_type == "resync"
        assert tree(site.path(pair.name)) == tree(pair.view)
        assert site.sim("GET", "stats")["total"]["logical_bytes"] - before < MEGABYTE // 4
    assert nyc.api("GET", f"/storage/volumes/{pair.source.uuid}")[2]["type"] == "dp"


def test_a_cascade_sends_only_what_its_source_exports(pair: Pair, sites: dict[str, SimulatedCluster]) -> None:
    syd = sites["syd"]
    syd.create_volume(pair.name, "dp")
    (pair.root / "a").write_bytes(b"one")
    pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    onward = syd.mirror(pair.fra, pair.name, pair.name)
    syd.update(onward, "s1")
    (pair.root / "a").write_bytes(b"two")
    newest = pair.nyc.snapshot(pair.source, "s2")
    status, _, body = syd.api("POST", f"/snapmirror/relationships/{onward.uuid}/transfers", {"source_snapshot": "s2"})
    assert (status, body["error"]["code"]) == (400, "13303844")
    pair.fra.update(pair.relationship, "s2")
    syd.update(onward)
    assert onward.exported_snapshot == "s2"
    assert (syd.path(pair.name) / "a").read_bytes() == b"two"
    volume = Volume.find(connection=syd.connection, name=pair.name)
    assert syd.snapshots(volume)["s2"].version_uuid == newest.version_uuid


def test_a_volume_fans_out(pair: Pair) -> None:
    second_name = f"{pair.name}_second"
    pair.fra.create_volume(second_name, "dp")
    second = pair.fra.mirror(pair.nyc, pair.name, second_name)
    (pair.root / "a").write_bytes(os.urandom(MEGABYTE))
    pair.nyc.snapshot(pair.source, "s1")
    transfers = [pair.fra.start_transfer(item, "s1") for item in (pair.relationship, second)]
    assert [pair.fra.finish(item).state for item in transfers] == ["success", "success"]
    assert tree(pair.fra.path(second_name)) == tree(pair.view) == tree(pair.root)


def test_create_destination_and_state_do_all_at_once(nyc: SimulatedCluster, fra: SimulatedCluster, unique: str) -> None:
    nyc.create_volume(unique)
    (nyc.path(unique) / "a").write_bytes(b"content")
    body = {
        "source": {"path": f"{nyc.svm}:{unique}"},
        "destination": {"path": f"{fra.svm}:{unique}"},
        "create_destination": {"enabled": True},
        "state": "snapmirrored",
    }
    status, headers, answer = fra.api("POST", "/snapmirror/relationships?return_timeout=100", body)
    assert status == 201, answer
    path = headers["Location"].removeprefix("/api")
    wait_for(lambda: fra.api("GET", path)[2]["state"] == "snapmirrored", "the baseline")
    assert (fra.path(unique) / "a").read_bytes() == b"content"


def test_a_deleted_relationship_frees_the_source(pair: Pair) -> None:
    base = pair.nyc.snapshot(pair.source, "s1")
    pair.fra.update(pair.relationship, "s1")
    path = f"/snapmirror/relationships/{pair.relationship.uuid}"
    query = f"list_destinations_only=true&fields=destination.path&uuid={pair.relationship.uuid}"
    listed = pair.nyc.api("GET", f"/snapmirror/relationships?{query}")[2]
    assert listed["records"][0]["destination"]["path"] == f"{pair.fra.svm}:{pair.name}"
    assert pair.fra.api("DELETE", f"{path}?return_timeout=100")[0] == 200
    assert pair.fra.api("GET", path)[0] == 404
    base.delete()


def test_events_are_recorded_and_posted(pair: Pair) -> None:
    posted: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        body = {"name": "f", "type": "rest_api", "destination": f"http://127.0.0.1:{server.server_port}/"}
        pair.fra.api("POST", "/support/ems/destinations", body)
        pair.nyc.snapshot(pair.source, "s1")
        pair.fra.update(pair.relationship, "s1")
        wait_for(lambda: any(b"smc.snapmirror.xfer.complete" in one for one in posted), "the event")
        server.shutdown()
    assert pair.fra.api("DELETE", "/support/ems/destinations/f")[0] == 200
    path = f"/support/ems/events?message.name=smc.snapmirror*&parameters.value={pair.relationship.uuid}"
    events = pair.fra.api("GET", path)[2]
    assert events["num_records"] == 1
