"""What a start has to know beforehand is asked while the snapshot is being taken, and is good for one start."""

from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from farshore.ontap import OntapCluster, OntapError
from farshore.topology import Cluster, Relationship
from farshore_coalescer.storage import ReplicaStorage

pytestmark = pytest.mark.integration

UUID = "11111111-1111-1111-1111-111111111111"
THEIRS = "33333333-3333-3333-3333-333333333333"
MIRROR = {"uuid": UUID, "state": "snapmirrored", "destination": {"path": "svm:volume"}}


class Scene:
    """A cluster that starts nothing, and loses every reply; another's transfer runs there from `busy` on."""

    def __init__(self) -> None:
        self.busy = False

    def answer(self, method: str, path: str) -> Answer:
        if method == "POST":
            return Answer(cut=True)
        theirs = {"uuid": THEIRS, "state": "transferring", "snapshot": "s1"}
        records = ([theirs] if self.busy else []) if "/transfers" in path else [MIRROR]
        return Answer({"records": records, "num_records": len(records)})


def client(url: str, folder: Path) -> OntapCluster:
    (folder / "password").write_text("secret")
    settings = {"url": url, "password": f"file:{folder / 'password'}", "svm": "svm", "timeout": "5s"}
    return OntapCluster("fra", Cluster.model_validate(settings))


async def refused(storage: ReplicaStorage, server: ScriptedServer, snapshot: str) -> list[str]:
    """What is asked of the cluster for a start, up to the POST."""
    asked = len(server.requests)
    with pytest.raises(OntapError):
        await storage.start(snapshot)
    methods = [method for method, _ in server.requests[asked:]]
    return methods[: methods.index("POST") + 1]


async def test_a_prepared_start_asks_nothing_before_and_the_next_one_asks_again(tmp_path: Path) -> None:
    scene = Scene()
    with ScriptedServer(scene.answer) as server:
        async with client(server.url, tmp_path) as cluster:
            storage = ReplicaStorage(cluster, Relationship("main", "fra", "volume", "nyc", "volume"))
            await storage.prepare("s1")
            assert await refused(storage, server, "s1") == ["POST"]
            assert await refused(storage, server, "s1") == ["GET", "GET", "POST"]
            await storage.prepare("s1")
            assert await refused(storage, server, "s2") == ["GET", "GET", "POST"]
            assert await refused(storage, server, "s1") == ["GET", "GET", "POST"]


async def test_a_prepared_start_whose_reply_is_lost_never_adopts_what_was_there_before(tmp_path: Path) -> None:
    scene = Scene()
    scene.busy = True
    with ScriptedServer(scene.answer) as server:
        async with client(server.url, tmp_path) as cluster:
            storage = ReplicaStorage(cluster, Relationship("main", "fra", "volume", "nyc", "volume"))
            await storage.prepare("s1")
            with pytest.raises(OntapError) as caught:
                await storage.start("s1")
    assert caught.value.ambiguous
