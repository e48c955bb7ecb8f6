"""A replicated volume of one test's own, on simulated clusters."""

from dataclasses import dataclass
from pathlib import Path

from simulators import Simulator
from waiting import wait_until

from farshore.ontap import OntapCluster, Relationship, RelationshipState, Transfer, Volume


def make_volume(cluster: Simulator, name: str, kind: str = "rw") -> None:
    """As `farshore apply` makes one; `kind` is `rw` or `dp`."""
    body = {
        "name": name,
        "svm": {"name": cluster.svm},
        "aggregates": [{"name": "aggr1"}],
        "type": kind,
        "size": 1 << 30,
    }
    cluster.request("POST", "/api/storage/volumes?return_timeout=100", body)


def make_relationship(source: Simulator, destination: Simulator, name: str) -> None:
    """From the volume `name` at `source` to the one at `destination`; nothing is transferred yet."""
    body = {
        "source": {"path": f"{source.svm}:{name}", "cluster": {"name": source.cluster_name}},
        "destination": {"path": f"{destination.svm}:{name}"},
        "policy": {"name": "MirrorAllSnapshots"},
    }
    destination.request("POST", "/api/snapmirror/relationships?return_timeout=100", body)


@dataclass
class Mirror:
    """A volume at nyc, written to, and its copy at fra."""

    nyc: OntapCluster
    fra: OntapCluster
    source: Volume
    destination: Volume
    relationship: Relationship
    source_folder: Path
    destination_folder: Path

    @property
    def uuid(self) -> str:
        return self.relationship.uuid

    async def now(self) -> Relationship:
        return await self.fra.read_relationship(self.uuid)

    async def until(self, state: RelationshipState) -> Relationship:
        """Wait for a state of the relationship."""

        async def reached() -> Relationship | None:
            now = await self.now()
            return now if now.state is state else None

        found = await wait_until(reached, 30, f"relationship {state}")
        assert found is not None
        return found

    async def transfer(self, snapshot: str | None) -> Transfer:
        """Start a transfer and wait for its end."""
        started = await self.fra.start_transfer(self.uuid, snapshot)
        return await self.ended(started.uuid)

    async def ended(self, transfer_uuid: str) -> Transfer:
        async def over() -> Transfer | None:
            transfer = await self.fra.read_transfer(self.uuid, transfer_uuid)
            return None if transfer.active else transfer

        found = await wait_until(over, 30, f"the end of transfer {transfer_uuid}")
        assert found is not None
        return found
