"""With the documented roles everything works, and nothing else is allowed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from applied import topology_document, written
from coalescer_world import coalescer_world
from farshore_command import farshore
from limited_users import ALL, PASSWORD, USER, add_user, as_limited, calls_of_user
from simulators import Simulator, start_simulators
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.ontap import Call, OntapCluster, OntapError
from farshore.ontap.role import SERVICES
from farshore.topology import Cluster
from farshore_ontap_simulator.rest.server import ROUTES

pytestmark = pytest.mark.integration

MAY_BE_DONE_AT_ONCE = ("GET", "/api/cluster/jobs/{uuid}")
"""A job is asked for only where it isn't done within the call that began it."""


async def test_the_coalescer_needs_the_role_of_services_and_no_more(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra"), batching={"keep": 0}) as world:
        add_user(world.simulators.values(), SERVICES)
        world.coalescer.stop()
        limited = as_limited(yaml.safe_load(world.topology.read_text()), tmp_path)
        world.topology.write_text(yaml.safe_dump(limited))
        world.coalescer.start()
        for _ in range(3):
            await world.announce()
            await world.wait_for_arrivals("fra", world.announced_ids)

        def all_used() -> bool:
            return SERVICES - calls_of_user(world.simulators.values()) <= {MAY_BE_DONE_AT_ONCE}

        await wait_until(all_used, 30, "a deletion of a snapshot, the last kind of call")
        assert calls_of_user(world.simulators.values()) <= SERVICES


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Simulator]]:
    with start_simulators(tmp_path_factory.mktemp("clusters"), ["nyc", "fra", "syd"]) as running:
        add_user(running.values(), ALL)
        yield running


async def test_set_up_needs_its_role_and_no_more(simulators: dict[str, Simulator], tmp_path: Path) -> None:
    document = as_limited(topology_document(simulators, tmp_path / "token"), tmp_path)
    file = written(document, tmp_path / "topology.yaml")
    planned = await farshore("plan", file, "--output", "json")
    assert json.loads(planned.out)["steps"], planned
    applied = await farshore("apply", file)
    assert applied.code == 0, applied
    checked = await farshore("check", file, "--connect")
    assert not re.search("not authorized", checked.out), checked.out
    destroyed = await farshore("destroy", file, "--replica", "main.syd", "--yes", "main.syd")
    assert destroyed.code == 0, destroyed
    seen = calls_of_user(simulators.values())
    assert seen <= ALL, sorted(seen - ALL)


async def test_nothing_else_is_allowed(tmp_path: Path) -> None:
    """Whatever the simulator can do that the role's paths and levels don't cover is refused as ONTAP refuses it."""
    with start_simulators(tmp_path, ["fra"]) as sites:
        add_user(sites.values(), SERVICES)
        simulator = sites["fra"]
        changed = {"username": USER, "password": f"file:{tmp_path}/limited"}
        (tmp_path / "limited").write_text(PASSWORD)
        limited = Cluster.model_validate(simulator.settings.model_dump(mode="json") | changed)
        covered = {
            "/api/cluster/jobs": "GET",
            "/api/snapmirror/relationships": "GET POST",
            "/api/storage/volumes": "GET",
        }
        snapshots = re.compile(r"/api/storage/volumes/[^/]+/snapshots")
        async with OntapCluster("fra", limited) as cluster:
            refused = 0
            for route in ROUTES:
                path = re.sub(r"\{\w+\}", "00000000-0000-0000-0000-000000000000", route.path)
                methods = next((m for prefix, m in covered.items() if path.startswith(prefix)), "")
                if snapshots.match(path) or route.method in methods.split():
                    continue
                with pytest.raises(OntapError, match="not authorized for that command") as caught:
                    await cluster.send("try", path, Call.READ, route.method, path.removeprefix("/api"), {})
                assert (caught.value.http_status, caught.value.retry) == (403, RetryClass.OPERATOR)
                refused += 1
        assert refused > 20
