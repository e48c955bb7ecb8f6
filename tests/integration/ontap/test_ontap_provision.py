"""Storage as the topology says, made by `provision` on real (simulated) clusters, as often as one likes."""

from pathlib import Path

import pytest
from simulators import Simulator

from farshore.errors import RetryClass
from farshore.ontap import OntapCluster, OntapError
from farshore.ontap.provision import POLICY, provision
from farshore.topology import Topology

pytestmark = pytest.mark.integration

SIZE = 1 << 30


def topology(simulators: dict[str, Simulator], token: Path, volume: str, *, second: str = "") -> Topology:
    """A registry at nyc with a replica at fra, and a cascade from there to syd; `second` is one the other way round."""

    def place(site: str, name: str) -> dict[str, str]:
        return {"site": site, "volume": name, "url": "http://127.0.0.1:5000"}

    def registry(prefix: str, name: str, sites: tuple[str, str, str]) -> dict[str, object]:
        primary, near, far = sites
        return {
            "prefix": prefix,
            "primary": place(primary, name),
            # The cascade stands first: the order in the file is not the order of the work.
            "replicas": [{**place(far, name), "via": near}, place(near, name)],
            "notifications": {"tokens": [f"file:{token}"]},
        }

    registries = {"main": registry("", volume, ("nyc", "fra", "syd"))}
    if second:
        registries["other"] = registry("other/", second, ("syd", "fra", "nyc"))
    return Topology.model_validate(
        {
            "version": 1,
            "sites": {
                site: {"model": "cloud", "ontap": {**simulator.settings.model_dump(), "timeout": "10s"}}
                for site, simulator in simulators.items()
            },
            "registries": registries,
        }
    )


async def test_two_registries_and_their_cascades_get_their_content(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    other = f"{unique}_other"
    wanted = topology(simulators, tmp_path / "token", unique, second=other)
    await clusters["nyc"].ensure_volume(unique, size=SIZE, junction_path=f"/{unique}")
    (simulators["nyc"].export(unique) / "blob").write_text("pushed before provisioning")
    lines: list[str] = []
    await provision(wanted, clusters, lines.append, volume_size=SIZE)
    for site in ("fra", "syd"):
        assert (simulators[site].export(unique) / "blob").read_text() == "pushed before provisioning"
    for site, name, source in (
        ("fra", unique, f"svm_nyc:{unique}"),
        ("syd", unique, f"svm_fra:{unique}"),
        ("fra", other, f"svm_syd:{other}"),
        ("nyc", other, f"svm_fra:{other}"),
    ):
        found = await clusters[site].find_relationship(f"svm_{site}:{name}")
        assert found is not None
        assert (found.source_path, found.state, found.healthy) == (source, "snapmirrored", True)
        assert (await clusters[site].find_volume(name)).junction_path == f"/{name}"
    arrived = [line for line in lines if "baseline" in line]
    assert arrived.index("main.fra: the baseline has arrived") < arrived.index("main.syd: the baseline has arrived")


async def test_provisioning_again_changes_nothing(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    wanted = topology(simulators, tmp_path / "token", unique)

    async def world() -> list[object]:
        found: list[object] = []
        for site, cluster in clusters.items():
            volume = await cluster.find_volume(unique)
            relationship = await cluster.find_relationship(f"svm_{site}:{unique}")
            transfers = await cluster.list_transfers(relationship.uuid) if relationship else []
            found += [volume.uuid, volume.junction_path, relationship and relationship.uuid, transfers]
            found += await cluster.list_snapshots(volume.uuid, "*")
        return found

    await provision(wanted, clusters, volume_size=SIZE)
    before = await world()
    lines: list[str] = []
    await provision(wanted, clusters, lines.append, volume_size=SIZE)
    assert await world() == before
    assert not [line for line in lines if "baseline" in line]


async def test_replicas_compress_on_the_wire(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    await provision(topology(simulators, tmp_path / "token", unique), clusters, volume_size=SIZE)
    for site in ("fra", "syd"):
        answer = simulators[site].request(
            "GET", f"/api/snapmirror/policies?name={POLICY}&fields=network_compression_enabled,type"
        )
        (policy,) = answer["records"]
        assert (policy["network_compression_enabled"], policy["type"]) == (True, "async")


async def test_a_baseline_that_fails_says_why_and_the_next_run_goes_on(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    wanted = topology(simulators, tmp_path / "token", unique)
    simulators["fra"].arm(
        kind="fail_transfer", destination=f"svm_fra:{unique}", code=13303892, message="the link is cut"
    )
    with pytest.raises(OntapError, match=r"main\.fra at fra: the link is cut") as caught:
        await provision(wanted, clusters, volume_size=SIZE)
    assert caught.value.retry is RetryClass.RETRY_SOON
    await provision(wanted, clusters, volume_size=SIZE)
    found = await clusters["syd"].find_relationship(f"svm_syd:{unique}")
    assert found is not None
    assert found.state == "snapmirrored"


async def test_a_baseline_that_takes_too_long_goes_on_by_itself(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    wanted = topology(simulators, tmp_path / "token", unique)
    simulators["fra"].arm(kind="hold_transfer", destination=f"svm_fra:{unique}")
    with pytest.raises(OntapError, match="still uninitialized") as caught:
        await provision(wanted, clusters, volume_size=SIZE, baseline_deadline=0.2)
    assert caught.value.retry is RetryClass.REDISCOVER
    simulators["fra"].disarm()
    await provision(wanted, clusters, volume_size=SIZE)
    relationship = await clusters["fra"].find_relationship(f"svm_fra:{unique}")
    assert relationship is not None
    assert len(await clusters["fra"].list_transfers(relationship.uuid)) == 1


async def test_provisioning_never_resyncs_a_destination_that_was_broken_off(
    clusters: dict[str, OntapCluster], simulators: dict[str, Simulator], tmp_path: Path, unique: str
) -> None:
    wanted = topology(simulators, tmp_path / "token", unique)
    await provision(wanted, clusters, volume_size=SIZE)
    relationship = await clusters["fra"].find_relationship(f"svm_fra:{unique}")
    assert relationship is not None
    await clusters["fra"].break_off(relationship.uuid)
    (simulators["fra"].export(unique) / "written-after-a-failover").write_text("precious")
    with pytest.raises(OntapError) as caught:
        await provision(wanted, clusters, volume_size=SIZE)
    assert caught.value.retry in (RetryClass.OPERATOR, RetryClass.FINAL)
    assert (simulators["fra"].export(unique) / "written-after-a-failover").read_text() == "precious"
