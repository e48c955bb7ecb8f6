"""Asks for a reconcile where Kafka deleted arrivals that a site had not decided: nobody can decide them any more."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.partition_of import partition_of
from farshore.bus.reconcile_request import send_reconcile_request
from farshore.bus.topics import EVENTS
from farshore.records.reconciles import ReconcileRequested
from farshore.telemetry import event as log_event
from farshore_verifier import metrics

log = logging.getLogger(__name__)


async def ask_for_reconcile(
    bus: Bus, producer: LastingProducer, site: str, registries: Iterable[str], lost: str, oldest: int
) -> None:
    """Ask for each of `registries`: which of them lost something can't be told, for the records are gone.

    All that arrived at the site by now and isn't decided counts as lost. What isn't is announced twice then, which is
    as harmless as pushing it again. `lost` says what is gone, for people. Returns once Kafka has the requests; raises
    FarshoreError or one of KAFKA_FAILURES.
    """
    log_event(
        log,
        logging.ERROR,
        "undecided arrivals are gone from Kafka: retention is shorter than the outage was; a reconcile is asked for",
        site=site,
        lost=lost,
        oldest=oldest,
    )
    numbers = sorted(await producer.partitions_for(EVENTS.name))
    for registry in registries:
        partition = TopicPartition(EVENTS.name, partition_of(registry.encode(), numbers))
        group = f"farshore.coalescer.{registry}.{site}"
        # not behind a fence: the coalescer may go on meanwhile, with arrivals that aren't lost
        arrived = (await committed_positions(bus, [group], partition))[group]
        request = ReconcileRequested.because(
            registry,
            f"{site} lost {lost} before {oldest}",
            f"{site} had not decided {lost} when Kafka deleted it",
            datetime.now(UTC),
            sites=[site],
            before=arrived.offset if arrived is not None else None,
        )
        await send_reconcile_request(producer, request)
    metrics.lost.add(1, {"site": site})
