"""A relationship whose position is older than what Kafka has: what lies between can't be announced any more.

The content is at the site as soon as its transfers are: only the announcements are lost. A reconcile finds them, as
images that the primary has and the site was never told of. It is asked for first, and only then is the position
moved: a crash between the two asks again, with the same id.
"""

import logging
from datetime import UTC, datetime

from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.reconcile_request import send_reconcile_request
from farshore.records.reconciles import ReconcileRequested
from farshore.telemetry import event
from farshore.topology import Relationship
from farshore_coalescer import instruments
from farshore_coalescer.snapshot_names import Log

log = logging.getLogger(__name__)


async def ask_for_reconcile(
    producer: LastingProducer, events: Log, relationship: Relationship, position: int, oldest: int
) -> None:
    """Say loudly that [position, oldest) is lost, and ask for a reconcile of the registry and site.

    Raises FarshoreError (retry soon) where Kafka doesn't take the request.
    """
    instruments.FELL_OFF.add(1, {"relationship": relationship.name})
    event(
        log,
        logging.ERROR,
        "fell off the log: Kafka deleted events that were never announced at the site; a reconcile is asked for",
        relationship=relationship.name,
        position=position,
        oldest=oldest,
    )
    request = ReconcileRequested.because(
        relationship.registry,
        f"{relationship.name} fell off {events.incarnation} at {position}",
        f"{relationship.site} was away while Kafka deleted events {position} to {oldest - 1}",
        datetime.now(UTC),
        sites=[relationship.site],
        before=oldest,
    )
    await send_reconcile_request(producer, request)
