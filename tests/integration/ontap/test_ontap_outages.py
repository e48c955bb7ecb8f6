"""A cluster that stops, dies and comes back, as its client sees it."""

import os
import signal
from pathlib import Path

import pytest
from mirrors import make_relationship, make_volume
from simulators import start_simulators
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.ontap import OntapCluster, OntapError

pytestmark = pytest.mark.integration


async def test_a_stopped_cluster_costs_a_time_out_and_its_lost_start_is_found_when_it_is_back(tmp_path: Path) -> None:
    with start_simulators(tmp_path, ["nyc"], timeout="5s") as sites:
        async with OntapCluster("nyc", sites["nyc"].settings) as cluster:
            make_volume(sites["nyc"], "main")
            volume = await cluster.find_volume("main")
            os.kill(sites["nyc"].pid, signal.SIGSTOP)
            try:
                with pytest.raises(OntapError, match="no answer within the time-out") as read:
                    await cluster.list_snapshots(volume.uuid)
                with pytest.raises(OntapError) as change:
                    await cluster.create_snapshot(volume.uuid, "farshore-t-0-1")
            finally:
                os.kill(sites["nyc"].pid, signal.SIGCONT)
            assert {read.value.retry, change.value.retry} == {RetryClass.RETRY_SOON}
            # What it had received it may carry out late: asking again yields one snapshot, whoever took it.
            made = await cluster.create_snapshot(volume.uuid, "farshore-t-0-1")
            assert await cluster.list_snapshots(volume.uuid, "*") == [made]


async def test_after_kill_9_a_cluster_has_what_it_had_and_the_same_client_goes_on(tmp_path: Path) -> None:
    with start_simulators(tmp_path, ["nyc", "fra"]) as sites:
        async with OntapCluster("nyc", sites["nyc"].settings) as nyc, OntapCluster("fra", sites["fra"].settings) as fra:
            make_volume(sites["nyc"], "main")
            make_volume(sites["fra"], "main", "dp")
            make_relationship(sites["nyc"], sites["fra"], "main")
            source, made = await nyc.find_volume("main"), await fra.find_relationship("svm_fra:main")
            assert made is not None
            taken = await nyc.create_snapshot(source.uuid, "farshore-t-0-1")
            sites["fra"].arm(kind="hold_transfer")
            interrupted = await fra.start_transfer(made.uuid, taken.name)
            for simulator in sites.values():
                simulator.kill()
            with pytest.raises(OntapError) as caught:
                await fra.read_relationship(made.uuid)
            assert caught.value.retry is RetryClass.RETRY_SOON
            with pytest.raises(OntapError) as caught:
                await nyc.create_snapshot(source.uuid, "farshore-t-0-2")
            assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, False)
            for simulator in sites.values():
                simulator.start()
            for simulator in sites.values():
                simulator.wait_ready()
            assert await nyc.list_snapshots(source.uuid) == [taken]
            assert (await fra.read_transfer(made.uuid, interrupted.uuid)).state == "failed"
            again = await fra.start_transfer(made.uuid, taken.name)

            async def arrived() -> bool:
                return not (await fra.read_transfer(made.uuid, again.uuid)).active

            await wait_until(arrived, 30, "the end of the transfer")
            assert (await fra.read_relationship(made.uuid)).exported_snapshot == taken.name
