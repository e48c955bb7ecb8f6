"""The whole path of bytes through the simulator: volume, snapshot, relationship, transfer, exported view."""

import os

import pytest
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster, tree

pytestmark = pytest.mark.integration


def test_a_volume_reaches_its_replica_byte_by_byte(nyc: SimulatedCluster, fra: SimulatedCluster) -> None:
    source = nyc.create_volume("registry")
    root = nyc.path("registry")
    (root / "blobs/empty").mkdir(parents=True)
    (root / "blobs/data").write_bytes(os.urandom(100_000))
    (root / "link").symlink_to("blobs/data")
    first = nyc.snapshot(source, "farshore-1")
    replica = fra.create_volume("registry", "dp")
    assert not fra.path("registry").exists()
    relationship = fra.mirror(nyc, "registry", "registry")
    transfer = fra.update(relationship, "farshore-1")
    assert tree(fra.path("registry")) == tree(root)
    assert relationship.state == "snapmirrored"
    assert relationship.exported_snapshot == "farshore-1"
    assert fra.snapshots(replica)["farshore-1"].version_uuid == first.version_uuid
    assert transfer.bytes_transferred == 25 * 4096
