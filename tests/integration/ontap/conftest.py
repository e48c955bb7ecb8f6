"""Three peered simulated clusters for all tests here, and a replicated volume of each test's own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from mirrors import Mirror, make_relationship, make_volume
from simulators import Simulator, start_simulators

from farshore.ontap import OntapCluster, RelationshipState


@pytest.fixture(scope="session")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Simulator]]:
    with start_simulators(tmp_path_factory.mktemp("clusters"), ["nyc", "fra", "syd"]) as running:
        yield running


@pytest.fixture
async def clusters(simulators: dict[str, Simulator]) -> AsyncIterator[dict[str, OntapCluster]]:
    """An open client for each; the faults that a test armed are cleared after it."""
    opened = {site: OntapCluster(site, simulator.settings) for site, simulator in simulators.items()}
    async with opened["nyc"], opened["fra"], opened["syd"]:
        yield opened
    for simulator in simulators.values():
        simulator.disarm()


@pytest.fixture
def nyc(clusters: dict[str, OntapCluster]) -> OntapCluster:
    return clusters["nyc"]


@pytest.fixture
def fra(clusters: dict[str, OntapCluster]) -> OntapCluster:
    return clusters["fra"]


@pytest.fixture
async def mirror(simulators: dict[str, Simulator], nyc: OntapCluster, fra: OntapCluster, unique: str) -> Mirror:
    """A relationship that isn't initialised yet."""
    make_volume(simulators["nyc"], unique)
    make_volume(simulators["fra"], unique, "dp")
    make_relationship(simulators["nyc"], simulators["fra"], unique)
    source, destination = await nyc.find_volume(unique), await fra.find_volume(unique)
    relationship = await fra.find_relationship(f"svm_fra:{unique}")
    assert relationship is not None
    folder = simulators["nyc"].export(unique)
    (folder / "blob").write_bytes(b"first content " * 1000)
    return Mirror(nyc, fra, source, destination, relationship, folder, simulators["fra"].export(unique))


@pytest.fixture
async def established(mirror: Mirror) -> Mirror:
    """A relationship whose baseline, of the snapshot farshore-t-0-1, has arrived."""
    await mirror.nyc.create_snapshot(mirror.source.uuid, "farshore-t-0-1")
    await mirror.transfer("farshore-t-0-1")
    await mirror.until(RelationshipState.SNAPMIRRORED)
    return mirror
