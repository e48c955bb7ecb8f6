"""Relationships and policies through the real client, found by name."""

import pytest
from mirrors import Mirror
from simulators import Simulator

from farshore.ontap import OntapCluster, RelationshipState

pytestmark = pytest.mark.integration


async def test_a_relationship_is_found_by_its_destination(mirror: Mirror) -> None:
    found = await mirror.fra.find_relationship(f"svm_fra:{mirror.source.name}")
    assert found is not None
    assert (found.uuid, found.source_path) == (mirror.uuid, f"svm_nyc:{mirror.source.name}")
    assert (found.state, found.exported_snapshot) == (RelationshipState.UNINITIALIZED, None)
    assert await mirror.fra.find_relationship("svm_fra:nowhere") is None


async def test_a_policy_is_found_by_its_name(fra: OntapCluster, simulators: dict[str, Simulator], unique: str) -> None:
    assert await fra.policy(unique) is None
    body = {"name": unique, "svm": {"name": "svm_fra"}, "type": "async", "network_compression_enabled": True}
    simulators["fra"].request("POST", "/api/snapmirror/policies", body)
    found = await fra.policy(unique)
    assert found is not None
    assert (found.name, found.network_compression) == (unique, True)
