"""Notices that a registry restarted: its queue is in memory, so what it hadn't delivered is gone."""

import logging
from collections import OrderedDict

from farshore.telemetry import event
from farshore_receiver import metrics

log = logging.getLogger(__name__)

_REMEMBERED_INSTANCES = 64


class Instances:
    """The processes of one registry that have sent something; there may be several at once behind a load balancer."""

    def __init__(self, registry: str) -> None:
        self._registry = registry
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_restart(self, instance: str) -> bool:
        """Whether this `source.instanceID` is new, and others were known before."""
        return bool(self._seen) and instance not in self._seen

    def saw(self, instance: str) -> bool:
        """Take note of a `source.instanceID`; True when that was a restart."""
        if instance in self._seen:
            self._seen.move_to_end(instance)
            return False
        restarted = self.is_restart(instance)
        self._seen[instance] = None
        if len(self._seen) > _REMEMBERED_INSTANCES:
            self._seen.popitem(last=False)
        if restarted:
            metrics.restarts.labels(self._registry).inc()
            message = "registry restarted, notifications may be lost: a reconcile is asked for"
            event(log, logging.WARNING, message, registry=self._registry, instance=instance)
        else:
            event(log, logging.INFO, "first notification since start", registry=self._registry, instance=instance)
        return restarted
