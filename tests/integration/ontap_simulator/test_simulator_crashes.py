"""kill -9, reboots and restarts: what was finished stays, what was half done is failed or gone."""

import contextlib
import os
import socket
from collections.abc import Callable

import pytest
from netapp_ontap.resources import SnapmirrorTransfer
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster, tree, wait_for

pytestmark = pytest.mark.integration

MEGABYTE = 1 << 20


def moved(transfer: SnapmirrorTransfer) -> int:
    """Bytes so far."""
    transfer.get()
    return int(transfer.bytes_transferred)


def test_a_killed_destination_goes_on_where_it_was(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    source = nyc.create_volume("v")
    replica = fra.create_volume("v", "dp")
    relationship = fra.mirror(nyc, "v", "v")
    (nyc.path("v") / "small").write_bytes(b"one")
    nyc.snapshot(source, "s1")
    fra.update(relationship, "s1")
    (nyc.path("v") / "big").write_bytes(os.urandom(96 * MEGABYTE))
    nyc.snapshot(source, "s2")
    fra.sim("POST", "faults", {"kind": "hold_transfer", "after_bytes": 40 * MEGABYTE})
    transfer = fra.start_transfer(relationship, "s2")
    wait_for(lambda: moved(transfer) >= 40 * MEGABYTE, "half of the transfer")
    fra.kill()
    fra.start()
    fra.peer_with(nyc)
    transfer.set_connection(fra.connection)
    relationship.set_connection(fra.connection)
    transfer.get()
    assert transfer.state == "failed"
    relationship.get()
    assert (relationship.exported_snapshot, relationship.healthy) == ("s1", False)
    assert (fra.path("v") / "small").read_bytes() == b"one"
    assert set(fra.snapshots(replica)) == {"s1"}
    again = fra.update(relationship, "s2")
    assert again.bytes_transferred <= 64 * MEGABYTE
    assert tree(fra.path("v")) == tree(nyc.path("v"))


def test_a_killed_source_loses_nothing_finished(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    source = nyc.create_volume("v")
    fra.create_volume("v", "dp")
    relationship = fra.mirror(nyc, "v", "v")
    (nyc.path("v") / "a").write_bytes(os.urandom(MEGABYTE))
    first = nyc.snapshot(source, "s1")
    nyc.kill()
    nyc.start()
    nyc.peer_with(fra)
    fra.peer_with(nyc)
    source.set_connection(nyc.connection)
    assert nyc.snapshots(source)["s1"].version_uuid == first.version_uuid
    fra.update(relationship, "s1")
    assert tree(fra.path("v")) == tree(nyc.path("v"))


def test_a_half_taken_snapshot_vanishes(nyc: SimulatedCluster) -> None:
    source = nyc.create_volume("v")
    (nyc.path("v") / "big").write_bytes(os.urandom(64 * MEGABYTE))
    _, _, body = nyc.api("POST", f"/storage/volumes/{source.uuid}/snapshots", {"name": "s1"})
    nyc.kill()
    nyc.start()
    source.set_connection(nyc.connection)
    _, _, job = nyc.api("GET", f"/cluster/jobs/{body['job']['uuid']}")
    finished = job["state"] == "success"
    assert finished == ("s1" in nyc.snapshots(source))
    if not finished:
        wait_for(lambda: nyc.sim("GET", "stats")["volumes"][0]["physical_bytes"] == 0, "the half to go")
        nyc.snapshot(source, "s1")


@pytest.mark.parametrize("initialized", [True, False], ids=["update", "baseline"])
def test_a_reboot_fails_transfers_and_restarts_only_baselines(
    nyc: SimulatedCluster, fra: SimulatedCluster, initialized: bool
) -> None:
    source = nyc.create_volume("v")
    fra.create_volume("v", "dp")
    relationship = fra.mirror(nyc, "v", "v")
    if initialized:
        nyc.snapshot(source, "s0")
        fra.update(relationship, "s0")
    (nyc.path("v") / "big").write_bytes(os.urandom(16 * MEGABYTE))
    nyc.snapshot(source, "s1")
    fra.sim("POST", "faults", {"kind": "hold_transfer", "after_bytes": 8 * MEGABYTE})
    transfer = fra.start_transfer(relationship, "s1")
    wait_for(lambda: moved(transfer) >= 8 * MEGABYTE, "half of the transfer")
    fra.sim("POST", "faults", {"kind": "reboot"})
    fra.sim("DELETE", "faults")
    assert fra.finish(transfer).state == "failed"
    if not initialized:
        wait_for(lambda: fra.sim("GET", "stats")["volumes"][0]["physical_bytes"] == 0, "the checkpoint to go")
    again = fra.update(relationship, "s1")
    assert again.bytes_transferred == 16 * MEGABYTE if not initialized else again.bytes_transferred <= 8 * MEGABYTE


def test_sigterm_ends_it_within_seconds_in_mid_transfer(
    nyc: SimulatedCluster, cluster_factory: Callable[..., SimulatedCluster]
) -> None:
    fra = cluster_factory("fra")
    source = nyc.create_volume("v")
    fra.create_volume("v", "dp")
    (nyc.path("v") / "big").write_bytes(os.urandom(8 * MEGABYTE))
    nyc.snapshot(source, "s1")
    fra.sim("POST", "faults", {"kind": "hold_transfer"})
    fra.start_transfer(fra.mirror(nyc, "v", "v"), "s1")
    assert (fra.stop(), nyc.stop()) == (0, 0)


def test_an_unreachable_peer_comes_back(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    source = nyc.create_volume("v")
    fra.create_volume("v", "dp")
    relationship = fra.mirror(nyc, "v", "v")
    nyc.snapshot(source, "s1")
    nyc.sim("POST", "faults", {"kind": "unreachable", "peer": "fra"})
    transfer = fra.finish(fra.start_transfer(relationship, "s1"))
    assert (transfer.state, transfer.error_info.code) == ("failed", 13303892)
    nyc.sim("DELETE", "faults")
    fra.update(relationship, "s1")


def test_garbage_on_the_intercluster_socket_harms_nobody(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    host, _, port = nyc.ready["intercluster"].rpartition(":")
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x02\x00\x00\x00\x01{]", b"\x00\x00\x00\x00\x05"):
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.settimeout(120)
            with contextlib.suppress(OSError):  # it may hang up before it has heard everything
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
    source = nyc.create_volume("v")
    fra.create_volume("v", "dp")
    nyc.snapshot(source, "s1")
    fra.update(fra.mirror(nyc, "v", "v"), "s1")
