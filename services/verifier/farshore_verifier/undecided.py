"""One arrival on its way to a decision: looked at in its turn, said to be late when it is, concluded once."""

import asyncio
from collections.abc import Callable

from aiokafka import ConsumerRecord
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from farshore.records.arrivals import Arrival
from farshore.records.readiness import ReadinessState
from farshore.telemetry import extract_context
from farshore.telemetry.spans import span
from farshore.telemetry.traces import links_to
from farshore_verifier import metrics
from farshore_verifier.announce import dead_letter_record, decided_statement, late_statement
from farshore_verifier.attempts import Attempts
from farshore_verifier.commit import Conclusion
from farshore_verifier.outcome import Decided, Failed
from farshore_verifier.sending import begin_sending
from farshore_verifier.site import Site
from farshore_verifier.verify import recordable

_tracer = trace.get_tracer("farshore.verifier")


class Undecided:
    """An arrival that waits. `after` is the one before it with the same image: it is concluded first, so that the
    last record of the image's key on the compacted topic is the one of its last event.
    """

    def __init__(
        self,
        record: "ConsumerRecord[bytes, bytes]",
        arrival: Arrival,
        site: Site,
        conclude: Callable[[Conclusion], None],
        *,
        after: "Undecided | None",
        late: bool,
    ) -> None:
        """`late` says that LATE has been published already."""
        self.record = record
        self.attempts = Attempts(arrival, site.verifiers[arrival.event.registry], site.snapshots, site.jitter)
        self._arrival = arrival
        self._site = site
        self._conclude = conclude
        self._after = after
        self._late = late
        self._concluded = asyncio.Event()
        self._ended: ReadinessState | None = None
        self._labels = {"site": arrival.site, "registry": arrival.event.registry}

    @property
    def image(self) -> tuple[str, str]:
        """Registry and name of the image that it is about."""
        return self._arrival.event.registry, self._arrival.event.image

    @property
    def ended(self) -> ReadinessState | None:
        """How it was concluded; that is on its way to Kafka."""
        return self._ended

    def give_up(self, error: BaseException, failures: int) -> None:
        """Conclude the arrival without having decided it: deciding it failed, and not at the site."""
        reason = recordable(f"verifying failed {failures} times: {type(error).__name__}: {error}")
        decided = Decided(ReadinessState.REGISTRY_ERROR, Failed(ReadinessState.REGISTRY_ERROR, reason), reason)
        self._publish(decided, extract_context(self._arrival.traceparent))

    async def decide(self) -> None:
        """Conclude the arrival once it is decided; after an exception it may be called again."""
        with span(
            _tracer,
            "process farshore.arrivals",
            SpanKind.CONSUMER,
            context=extract_context(self._arrival.traceparent),
            links=links_to([self._arrival.passage.batch_trace]),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": self.record.topic,
                "messaging.destination.partition.id": str(self.record.partition),
                "messaging.consumer.group.name": self._site.group,
                "messaging.kafka.offset": self.record.offset,
                "farshore.site": self._arrival.site,
                "farshore.image": self._arrival.event.image,
            },
        ) as processing:
            timer = None if self._late else self._watch_objective()
            try:
                if self._after is not None:
                    await self._after._concluded.wait()
                    self._after = None
                decided = await self.attempts.until_decided()
            finally:
                if timer is not None:
                    timer.cancel()
            processing.set_attribute("farshore.state", decided.state.value)
            self._publish(decided)

    def _publish(self, decided: Decided, context: Context | None = None) -> None:
        now = self._site.now()
        record, sending = begin_sending(decided_statement(self._arrival, decided, now), context)
        records = [record]
        if decided.given_up:
            records.append(dead_letter_record(self.record, decided.state, decided.reason or "", now))
        self._conclude(Conclusion(self.record.offset, tuple(records), final=True, span=sending))
        self._ended = decided.state
        self._concluded.set()
        metrics.decided.add(1, {**self._labels, "state": decided.state})
        if decided.state is ReadinessState.READY:
            seconds = (now - self._arrival.passage.arrived_at).total_seconds()
            metrics.ready_seconds.record(max(0.0, seconds), self._labels)

    def _watch_objective(self) -> asyncio.TimerHandle | None:
        """Say LATE when the objective passes. Only here are two hosts' clocks compared: an objective is about days
        and minutes as people see them, and nothing but this one record rests on it.
        """
        objective = self._site.ready_within.get(self._arrival.event.registry)
        if objective is None:
            return None
        age = (self._site.now() - self._arrival.event.accepted_at).total_seconds()
        return asyncio.get_running_loop().call_later(max(0.0, objective - age), self._say_late, objective)

    def _say_late(self, objective: float) -> None:
        record, sending = begin_sending(late_statement(self._arrival, objective, self._site.now()))
        self._conclude(Conclusion(self.record.offset, (record,), final=False, span=sending))
        self._late = True
        metrics.late.add(1, self._labels)
