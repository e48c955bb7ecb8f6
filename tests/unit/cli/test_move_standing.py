"""Whether a site may take writes, as the other edges see it."""

from pathlib import Path

import pytest

from farshore.topology import load_topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.facts import EdgeSeen
from farshore_cli.moving.standing import Standing, standing_of

TOPOLOGY = load_topology(Path(__file__).parents[3] / "docs" / "examples" / "hub-and-spokes.yaml")
(REGISTRY,) = TOPOLOGY.registries.values()
HERE, (FRA, *_) = REGISTRY.primary.site, [one.site for one in REGISTRY.replicas]
SAME, LATER, OTHER = EdgeSeen(HERE, 1, False, True), EdgeSeen(FRA, 2, False, True), EdgeSeen(FRA, 1, False, True)
SILENT = Unseen("dead")


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"a": SAME, "b": SAME}, Standing.PRIMARY),
        ({"a": SAME, "b": SILENT}, Standing.PRIMARY),
        ({"a": SILENT, "b": SILENT}, Standing.UNKNOWN),
        ({"a": SAME, "b": SILENT, "c": SILENT}, Standing.UNKNOWN),
        ({"a": SILENT}, Standing.UNKNOWN),
        ({}, Standing.PRIMARY),
        ({"a": SAME, "b": LATER}, Standing.FENCED),
        ({"a": SILENT, "b": LATER}, Standing.FENCED),
        ({"a": OTHER, "b": SAME}, Standing.FENCED),
        ({"a": EdgeSeen(FRA, 0, False, True), "b": SAME}, Standing.PRIMARY),
    ],
)
def test_more_than_half_have_to_agree_and_none_may_know_of_a_later_epoch(
    others: dict[str, EdgeSeen | Unseen], expected: Standing
) -> None:
    assert standing_of(REGISTRY, HERE, others)[0] is expected


def test_a_replica_is_never_written_to() -> None:
    standing, why = standing_of(REGISTRY, FRA, {"a": SAME})
    assert standing is Standing.FENCED
    assert HERE in why
