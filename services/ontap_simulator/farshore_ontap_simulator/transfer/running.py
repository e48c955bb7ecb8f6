"""The transfers under way on this cluster: at most one a relationship, as in ONTAP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import refused
from farshore_ontap_simulator.faults import FailTransfer
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Relationship, TransferState
from farshore_ontap_simulator.transfer.session import SourceSession


@dataclass(slots=True)
class Running:
    """A transfer under way. `stop` says how it is to end early, `fault` what makes it fail."""

    transfer: str
    relationship: str
    source_snapshot: str | None
    stop: TransferState | None = None
    stop_reason: str = ""
    session: SourceSession | None = None
    fault: FailTransfer | None = None
    began: float = field(default_factory=time.monotonic)

    def end_early(self, state: TransferState, reason: str) -> None:
        """Ask it to end in `state`; what it waits for is cut."""
        self.stop, self.stop_reason = state, reason
        if self.session is not None:
            self.session.cut()


class RunningTransfers:
    """Who runs. Everything happens under the store's lock, so that records and this agree."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running: dict[str, Running] = {}
        self._ended = threading.Condition(cluster.store.lock)

    def get(self, relationship_uuid: str) -> Running | None:
        """The relationship's transfer, or None."""
        with self._ended:
            return self._running.get(relationship_uuid)

    def add(self, running: Running) -> None:
        """It runs from now on; the caller has made sure that no other does."""
        with self._ended:
            self._running[running.relationship] = running

    def remove(self, running: Running) -> None:
        """It has ended. Another one of its relationship may run already: that one stays."""
        with self._ended:
            if self._running.get(running.relationship) is running:
                del self._running[running.relationship]
                self._ended.notify_all()

    def wait_until_idle(self, relationship_uuid: str, seconds: float) -> bool:
        """Wait for the end of a relationship's transfer; False if it takes longer."""
        with self._ended:
            return self._ended.wait_for(lambda: relationship_uuid not in self._running, seconds)

    def abort(self, relationship_uuid: str, transfer_uuid: str, *, hard: bool) -> None:
        """Abort a transfer; a hard abort drops what had arrived. Raises OntapError 13303849 if it isn't active."""
        with self._ended:
            running = self._running.get(relationship_uuid)
            if running is None or running.transfer != transfer_uuid or running.stop is not None:
                raise refused(errors.ABORT_IMPOSSIBLE, "The transfer is not in a state that can be aborted.")
            running.end_early(TransferState.HARD_ABORTED if hard else TransferState.ABORTED, "Transfer aborted.")

    def stop_all(self, reason: str, wanted: Callable[[Relationship], bool], state: TransferState) -> int:
        """End the running transfers of the relationships that are `wanted`; returns how many."""
        count = 0
        with self._ended:
            for running in self._running.values():
                if running.stop is None and wanted(self._cluster.relationship(running.relationship)):
                    running.end_early(state, reason)
                    count += 1
        return count
