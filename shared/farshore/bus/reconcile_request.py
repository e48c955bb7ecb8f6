"""Writes a request to reconcile to `farshore.events`."""

from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.topics import EVENTS
from farshore.errors import FarshoreError, RetryClass
from farshore.records.reconciles import ReconcileRequested


async def send_reconcile_request(producer: LastingProducer, request: ReconcileRequested) -> None:
    """Returns once Kafka has the request; raises FarshoreError (retry soon) where it doesn't take it."""
    record = request.to_cloudevent()
    key = request.registry.encode()
    try:
        await producer.send_and_wait(EVENTS.name, record.data, key=key, headers=record.headers())
    except KAFKA_FAILURES as error:
        reason = str(error) or type(error).__name__
        raise FarshoreError("ask for a reconcile of", request.registry, reason, retry=RetryClass.RETRY_SOON) from error
