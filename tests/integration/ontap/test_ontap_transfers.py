"""Transfers through the real client: started once, recognised after a lost reply, refused, proved."""

import pytest
from mirrors import Mirror
from simulators import Simulator
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.ontap import Call, OntapError, RelationshipState, TransferState, classify

pytestmark = pytest.mark.integration


@pytest.fixture
def held(established: Mirror, simulators: dict[str, Simulator]) -> Mirror:
    """Transfers to the mirror stop on their way until faults are cleared."""
    simulators["fra"].arm(kind="hold_transfer", destination=f"svm_fra:{established.source.name}")
    return established


async def test_a_transfer_carries_the_snapshot_and_its_identity_to_the_destination(established: Mirror) -> None:
    (established.source_folder / "more").write_bytes(b"x" * 100_000)
    taken = await established.nyc.create_snapshot(established.source.uuid, "farshore-t-0-2")
    ended = await established.transfer("farshore-t-0-2")
    assert (ended.state, ended.snapshot, ended.error_code) == (TransferState.SUCCESS, "farshore-t-0-2", None)
    assert ended.end_time is not None
    assert ended.bytes_transferred > 0
    now = await established.now()
    assert now.exported_snapshot == "farshore-t-0-2"
    assert now.lag_seconds is not None
    copy = await established.fra.find_snapshot(established.destination.uuid, "farshore-t-0-2")
    assert copy is not None
    assert (copy.version_uuid, copy.create_time) == (taken.version_uuid, taken.create_time)
    assert copy.uuid != taken.uuid
    assert (established.destination_folder / "more").read_bytes() == b"x" * 100_000


async def test_the_destination_shows_nothing_of_a_transfer_before_its_end(
    held: Mirror, simulators: dict[str, Simulator]
) -> None:
    (held.source_folder / "more").write_text("new")
    await held.nyc.create_snapshot(held.source.uuid, "farshore-t-0-2")
    running = await held.fra.start_transfer(held.uuid, "farshore-t-0-2")
    now = await held.now()
    assert (now.exported_snapshot, now.transfer_uuid, now.transferring) == ("farshore-t-0-1", running.uuid, True)
    assert (await held.fra.read_transfer(held.uuid, running.uuid)).active
    assert not (held.destination_folder / "more").exists()
    simulators["fra"].disarm()
    await held.ended(running.uuid)
    assert (await held.now()).transfer_uuid is None
    assert (held.destination_folder / "more").read_text() == "new"


async def test_a_transfer_on_an_uninitialised_relationship_is_its_baseline(mirror: Mirror) -> None:
    await mirror.nyc.create_snapshot(mirror.source.uuid, "farshore-t-0-1")
    assert (await mirror.transfer("farshore-t-0-1")).state is TransferState.SUCCESS
    await mirror.until(RelationshipState.SNAPMIRRORED)


async def test_a_plain_update_takes_a_snapshot_of_its_own(established: Mirror) -> None:
    (established.source_folder / "more").write_text("new")
    assert (await established.transfer(None)).state is TransferState.SUCCESS
    exported = (await established.now()).exported_snapshot
    assert exported is not None
    assert exported.startswith("snapmirror.")
    assert (established.destination_folder / "more").read_text() == "new"


async def test_a_second_transfer_is_refused_until_the_first_has_ended(
    held: Mirror, simulators: dict[str, Simulator]
) -> None:
    await held.nyc.create_snapshot(held.source.uuid, "farshore-t-0-2")
    first = await held.fra.start_transfer(held.uuid, "farshore-t-0-2")
    await held.nyc.create_snapshot(held.source.uuid, "farshore-t-0-3")
    for snapshot in ("farshore-t-0-2", "farshore-t-0-3", None):
        with pytest.raises(OntapError, match="Another transfer is in progress") as caught:
            await held.fra.start_transfer(held.uuid, snapshot)
        assert (caught.value.code, caught.value.retry) == (13303844, RetryClass.RETRY_SOON)
        assert not caught.value.ambiguous
    simulators["fra"].disarm()
    await held.ended(first.uuid)
    assert (await held.transfer("farshore-t-0-3")).state is TransferState.SUCCESS


async def test_a_snapshot_that_isnt_there_is_rediscovered(established: Mirror) -> None:
    with pytest.raises(OntapError) as caught:
        await established.fra.start_transfer(established.uuid, "farshore-t-0-999")
    assert (caught.value.code, caught.value.retry) == (13303844, RetryClass.REDISCOVER)
    assert len(await established.fra.list_transfers(established.uuid)) == 1


async def test_a_relationship_that_isnt_there_is_rediscovered(established: Mirror) -> None:
    with pytest.raises(OntapError) as caught:
        await established.fra.start_transfer("11111111-1111-1111-1111-111111111111", "farshore-t-0-1")
    assert caught.value.retry is RetryClass.REDISCOVER


@pytest.mark.parametrize("named", [True, False])
async def test_a_start_whose_reply_was_lost_is_recognised_and_not_repeated(
    held: Mirror, simulators: dict[str, Simulator], named: bool
) -> None:
    await held.nyc.create_snapshot(held.source.uuid, "farshore-t-0-2")
    before = {transfer.uuid for transfer in await held.fra.list_transfers(held.uuid)}
    simulators["fra"].arm(kind="drop_reply", method="POST", path="*/transfers")
    started = await held.fra.start_transfer(held.uuid, "farshore-t-0-2" if named else None)
    after = {transfer.uuid for transfer in await held.fra.list_transfers(held.uuid)}
    assert after - before == {started.uuid}


async def test_a_start_whose_reply_was_lost_is_recognised_after_it_has_ended(
    established: Mirror, simulators: dict[str, Simulator]
) -> None:
    await established.nyc.create_snapshot(established.source.uuid, "farshore-t-0-2")
    simulators["fra"].arm(kind="slow", method="GET", path="*/transfers", seconds=1, times=100)
    simulators["fra"].arm(kind="drop_reply", method="POST", path="*/transfers")
    started = await established.fra.start_transfer(established.uuid, "farshore-t-0-2")
    assert (await established.ended(started.uuid)).state is TransferState.SUCCESS
    assert started.snapshot == "farshore-t-0-2"


async def test_a_start_that_a_restarting_cluster_didnt_take_is_ambiguous(
    established: Mirror, simulators: dict[str, Simulator]
) -> None:
    await established.nyc.create_snapshot(established.source.uuid, "farshore-t-0-2")
    simulators["fra"].arm(kind="refuse", method="POST", path="*/transfers", status=503)
    with pytest.raises(OntapError) as caught:
        await established.fra.start_transfer(established.uuid, "farshore-t-0-2")
    assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, True)
    assert len(await established.fra.list_transfers(established.uuid)) == 1
    assert (await established.transfer("farshore-t-0-2")).state is TransferState.SUCCESS


async def test_a_start_that_is_refused_for_now_is_not_ambiguous(
    established: Mirror, simulators: dict[str, Simulator]
) -> None:
    simulators["fra"].arm(kind="refuse", method="POST", path="*/transfers", status=429)
    with pytest.raises(OntapError) as caught:
        await established.fra.start_transfer(established.uuid, "farshore-t-0-1")
    assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.RETRY_SOON, False)


async def test_a_transfer_that_fails_says_why_and_the_next_one_heals_it(
    established: Mirror, simulators: dict[str, Simulator]
) -> None:
    await established.nyc.create_snapshot(established.source.uuid, "farshore-t-0-2")
    destination = f"svm_fra:{established.source.name}"
    simulators["fra"].arm(kind="fail_transfer", destination=destination, code=13303892, message="the peer is away")
    failed = await established.transfer("farshore-t-0-2")
    assert (failed.state, failed.error_code) == (TransferState.FAILED, 13303892)
    assert failed.error_message is not None
    assert classify(Call.TRANSFER_POST, failed.error_code, None, failed.error_message) is RetryClass.RETRY_SOON
    now = await established.now()
    assert not now.healthy
    assert now.unhealthy_reasons
    assert (await established.transfer("farshore-t-0-2")).state is TransferState.SUCCESS
    assert (await established.now()).healthy
    newest_last = await established.fra.list_transfers(established.uuid)
    assert [transfer.state for transfer in newest_last] == ["success", "failed", "success"]


async def test_a_reboot_fails_what_was_under_way_and_keeps_what_was_done(
    held: Mirror, simulators: dict[str, Simulator]
) -> None:
    await held.nyc.create_snapshot(held.source.uuid, "farshore-t-0-2")
    running = await held.fra.start_transfer(held.uuid, "farshore-t-0-2")
    simulators["fra"].arm(kind="reboot")
    simulators["fra"].disarm()

    async def answers() -> bool:
        try:
            return not (await held.fra.read_transfer(held.uuid, running.uuid)).active
        except OntapError as error:
            if error.retry is not RetryClass.RETRY_SOON:
                raise
            return False

    await wait_until(answers, 30, "the cluster after its reboot")
    assert (await held.now()).exported_snapshot == "farshore-t-0-1"
    assert (await held.transfer("farshore-t-0-2")).state is TransferState.SUCCESS
