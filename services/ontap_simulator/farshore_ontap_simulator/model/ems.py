"""EMS: events are kept, and posted as XML to destinations of type rest_api."""

from __future__ import annotations

import logging
import urllib.request
from urllib.error import URLError
from xml.sax.saxutils import escape, quoteattr

from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import EmsEvent

LOG = logging.getLogger(__name__)
_POST_SECONDS = 3.0


def announce(cluster: Cluster, name: str, severity: str, message: str, parameters: dict[str, str]) -> None:
    """Record an event and post it in the background; inside a transaction."""
    event = cluster.record_event(name, severity, message, parameters)
    for destination in cluster.store.ems_destinations.all():
        if destination.type == "rest_api" and destination.destination.startswith(("http://", "https://")):
            cluster.background.submit(_post, destination.destination, event)


def event_xml(event: EmsEvent) -> bytes:
    """An event as a rest_api destination gets it."""
    parameters = "".join(f" {name}={quoteattr(value)}" for name, value in event.parameters)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<netapp xmlns="http://www.netapp.com/filer/admin" version="1.0"><ems-message-info>'
        f"<message-name>{escape(event.name)}</message-name><severity>{escape(event.severity)}</severity>"
        f"<seq-num>{event.index}</seq-num><time>{int(event.time.timestamp())}</time>"
        f"<event>{escape(event.log_message)}</event><parameters{parameters}/>"
        "</ems-message-info></netapp>"
    ).encode()


def _post(url: str, event: EmsEvent) -> None:
    request = urllib.request.Request(
        url, data=event_xml(event), headers={"Content-Type": "application/xml"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_POST_SECONDS):
            pass
    except (URLError, OSError) as error:
        LOG.info("EMS destination did not take event %d: %s", event.index, error)
