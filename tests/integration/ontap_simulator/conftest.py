"""Clusters for the simulator's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster

Factory = Callable[..., SimulatedCluster]


class Clusters:
    """Clusters that know one another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.all: list[SimulatedCluster] = []

    def make(self, name: str, *arguments: str) -> SimulatedCluster:
        """Start one more."""
        cluster = SimulatedCluster(name, self._folder / name, *arguments)
        for other in self.all:
            other.peer_with(cluster)
            cluster.peer_with(other)
        self.all.append(cluster)
        return cluster

    def end(self) -> None:
        """Kill all that still run."""
        for cluster in self.all:
            cluster.kill()


@pytest.fixture
def cluster_factory(tmp_path: Path) -> Iterator[Factory]:
    """Makes clusters of the test's own, to kill or to start otherwise."""
    clusters = Clusters(tmp_path)
    yield clusters.make
    clusters.end()


@pytest.fixture
def nyc(cluster_factory: Factory) -> SimulatedCluster:
    return cluster_factory("nyc")


@pytest.fixture
def fra(cluster_factory: Factory, nyc: SimulatedCluster) -> SimulatedCluster:
    return cluster_factory("fra")


@pytest.fixture(scope="module")
def shared_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """nyc, fra and syd for all tests of a module that end nothing and name their volumes uniquely."""
    clusters = Clusters(tmp_path_factory.mktemp("clusters"))
    for name in ("nyc", "fra", "syd"):
        clusters.make(name)
    yield clusters
    clusters.end()


@pytest.fixture
def sites(shared_clusters: Clusters) -> Iterator[dict[str, SimulatedCluster]]:
    """The shared clusters by name, without faults and with fast links."""
    yield {cluster.name: cluster for cluster in shared_clusters.all}
    for cluster in shared_clusters.all:
        cluster.sim("DELETE", "faults")
