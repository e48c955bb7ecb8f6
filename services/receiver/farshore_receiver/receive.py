"""One request from its first byte to its answer: the steps in their order."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from starlette.types import Receive, Scope, Send

from farshore.bus.topics import EVENTS
from farshore.records.deadletters import DeadLetter
from farshore.records.reconciles import ReconcileRequested
from farshore.telemetry import current_traceparent, extract_context, next_traceparent
from farshore.telemetry.spans import fail, sends, span
from farshore.topology import Registry
from farshore_receiver import metrics, problems
from farshore_receiver.accept import Acceptor, NotAcceptedError
from farshore_receiver.adapters import Adapter, Parsed, Rejected, Unsupported, choose_adapter
from farshore_receiver.authenticate import Access, authenticate
from farshore_receiver.give_up import dead_letter
from farshore_receiver.normalise import Normaliser, Notification
from farshore_receiver.problems import Problem
from farshore_receiver.quieter import Quieter
from farshore_receiver.read_body import BODY_IS_HERE, Body, SenderGoneError, SlowBodyError, read_body
from farshore_receiver.restarts import Instances
from farshore_receiver.settings import ReceiverSettings
from farshore_receiver.tokens import Tokens

log = logging.getLogger(__name__)
tracer = trace.get_tracer("farshore.receiver")

Fields = Mapping[bytes, bytes]
"""Request headers by their names in lower case."""

_REFUSALS = {
    Access.NO_TOKEN: problems.NO_TOKEN,
    Access.WRONG_TOKEN: problems.WRONG_TOKEN,
    Access.OTHER_REGISTRY: problems.OTHER_REGISTRY,
    Access.UNKNOWN_REGISTRY: problems.UNKNOWN_REGISTRY,
}


_NO_CONTENT = (b"content-length", b"0")


class Notifications:
    """The endpoint `POST /v1/notifications/{registry}`, as an ASGI application.

    A registry takes any answer from 400 up as "not delivered", sends the same notification again for ever and holds all
    later ones back. So a sender with a good token is refused only for what an operator can mend outside of the
    notification; the notification itself, whatever it holds, is accepted, at worst into the dead letters.
    """

    def __init__(
        self,
        registries: Mapping[str, Registry],
        tokens: Tokens,
        acceptor: Acceptor,
        settings: ReceiverSettings,
        *,
        tracing: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._normalisers: dict[str, Normaliser] = {}
        self._instances: dict[str, Instances] = {}
        self.use(registries, tokens)
        self._acceptor = acceptor
        self._settings = settings
        self._tracing = tracing
        self._now = now
        self._quieter = Quieter(log)
        self._underway = 0

    def use(self, registries: Mapping[str, Registry], tokens: Tokens) -> None:
        """From the next request on these are the registries; what was let in before is still taken."""
        self._registries = registries
        self._tokens = tokens
        self._normalisers |= {name: Normaliser(name, registries) for name in registries}
        self._instances |= {name: Instances(name) for name in registries if name not in self._instances}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        registry = scope["path_params"]["registry"]
        access = authenticate(scope["headers"], registry, self._registries, self._tokens)
        if access is not Access.GRANTED:
            name = registry if registry in self._registries else "-"
            await self._refuse(send, _REFUSALS[access], name)
        elif self._underway >= self._settings.max_requests:
            await self._refuse(send, problems.TOO_BUSY, registry)
        else:
            self._underway += 1
            metrics.underway.inc()
            try:
                await self._take(registry, scope, receive, send)
            finally:
                self._underway -= 1
                metrics.underway.dec()

    async def _take(self, registry: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request of a sender who may post."""
        fields: Fields = dict(scope["headers"])
        content_type, event_type = fields.get(b"content-type", b""), fields.get(b"ce-type", b"")
        adapter = choose_adapter(content_type.decode("latin-1"), event_type.decode("latin-1"))
        if adapter is Unsupported.NOT_A_NOTIFICATION:
            await self._refuse(send, problems.NOT_A_NOTIFICATION, registry)
            return
        given = fields.get(b"traceparent")
        traceparent = given.decode("latin-1") if given else None
        if not self._tracing:
            await self._handle(registry, scope, fields, adapter, receive, send, next_traceparent(traceparent))
            return
        name, attributes = "POST /v1/notifications/{registry}", _http_attributes(registry, scope)
        with span(tracer, name, SpanKind.SERVER, attributes, context=extract_context(traceparent)) as serving:
            status = await self._handle(registry, scope, fields, adapter, receive, send, None)
            serving.set_attribute("http.response.status_code", status)
            if status >= 500:
                fail(serving, str(status))

    async def _handle(
        self,
        registry: str,
        scope: Scope,
        fields: Fields,
        adapter: Adapter | Unsupported,
        receive: Receive,
        send: Send,
        traceparent: str | None,
    ) -> int:
        """The steps; answers the request and returns the answer's status."""
        limits = self._settings
        timeout = None if BODY_IS_HERE in scope else limits.body_timeout
        try:
            body = await read_body(receive, limit_bytes=limits.max_body_bytes, timeout_seconds=timeout)
            found = self._understand(registry, adapter, fields, body)
            letters = self._dead_letters(registry, scope, adapter, body, found.rejected) if found.rejected else ()
            await self._write(registry, found, letters, traceparent)
        except SenderGoneError:
            metrics.requests.labels(registry, "sender-gone").inc()
            return 499  # nobody hears it; nginx's status for the same
        except SlowBodyError:
            return await self._refuse(send, problems.SLOW_BODY, registry)
        except NotAcceptedError as error:
            return await self._refuse(send, problems.NOT_ACCEPTED, registry, reason=error.reason)
        self._count(registry, found)
        await _answer_accepted(send, found)
        return 202

    def _understand(self, registry: str, adapter: Adapter | Unsupported, fields: Fields, body: Body) -> Notification:
        """Parse and normalise; a body that can't be is wholly rejected, never an error."""
        if body.cut:
            reason = f"the body is longer than {self._settings.max_body_bytes} bytes"
            return Notification(rejected=(Rejected("too-large", reason),))
        if isinstance(adapter, Unsupported):
            reason = f"there is no adapter for {fields[b'content-type'][:100].decode('latin-1')!r}"
            return Notification(rejected=(Rejected(adapter.value, reason),))
        return self._normalisers[registry].normalise(_parse(adapter, fields, body.content), self._now())

    def _dead_letters(
        self,
        registry: str,
        scope: Scope,
        adapter: Adapter | Unsupported,
        body: Body,
        rejected: tuple[Rejected, ...],
    ) -> list[DeadLetter]:
        indexes = [item.index for item in rejected if item.index is not None]
        single = iter(adapter.single_out(body.content, indexes) if isinstance(adapter, Adapter) and indexes else [])
        return [
            dead_letter(
                item,
                registry=registry,
                value=body.content if item.index is None else next(single),
                headers=scope["headers"],
                at=self._now(),
                limit=self._settings.max_dead_letter_bytes,
            )
            for item in rejected
        ]

    async def _write(
        self, registry: str, found: Notification, letters: Sequence[DeadLetter], traceparent: str | None
    ) -> None:
        """Without a `traceparent` the events belong to a span that is made here."""
        requests = self._reconcile_requests(registry, found)
        if not found.events and not letters and not requests:
            return
        if traceparent is not None:
            await self._acceptor.accept(registry, found.events, letters, traceparent, requests)
            return
        attributes = {**sends(EVENTS.name), "messaging.kafka.message.key": registry}
        if len(found.events) != 1:
            attributes["messaging.batch.message_count"] = len(found.events)
        with span(tracer, f"send {EVENTS.name}", SpanKind.PRODUCER, attributes):
            await self._acceptor.accept(registry, found.events, letters, current_traceparent(), requests)

    def _reconcile_requests(self, registry: str, found: Notification) -> list[ReconcileRequested]:
        """One for each registry process that began after others: it goes with its first events, or they are refused."""
        return [
            ReconcileRequested.because(registry, f"instance {instance}", "the registry restarted", self._now())
            for instance in found.instances
            if self._instances[registry].is_restart(instance)
        ]

    def _count(self, registry: str, found: Notification) -> None:
        for instance in found.instances:
            self._instances[registry].saw(instance)
        for reason in found.dropped:
            metrics.dropped.labels(registry, reason.value).inc()
        for item in found.rejected:
            metrics.dead_letters.labels(registry, item.code).inc()
            self._quieter.say(
                logging.ERROR, "kept as a dead letter", registry, code=item.code, reason=item.reason, index=item.index
            )
        metrics.accepted(registry).inc()

    async def _refuse(self, send: Send, problem: Problem, registry: str, **fields: str) -> int:
        metrics.requests.labels(registry, problem.code).inc()
        level = logging.WARNING if problem.status >= 500 else logging.ERROR
        what = f"refused with {problem.status.value} ({problem.code})"
        message = f"{what}: the registry's notifications wait until it is mended"
        self._quieter.say(level, message, registry, **fields)
        await problem.send(send)
        return problem.status.value


def _http_attributes(registry: str, scope: Scope) -> dict[str, str]:
    """OpenTelemetry's semantic conventions for an HTTP server's span."""
    return {
        "http.request.method": "POST",
        "http.route": "/v1/notifications/{registry}",
        "url.path": f"/v1/notifications/{registry}",
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }


def _parse(adapter: Adapter, fields: Fields, body: bytes) -> Parsed:
    try:
        return adapter.parse(fields, body)
    except Exception as error:
        # The outermost guard of one notification: an adapter's mistake would otherwise block the registry's queue.
        log.exception("the adapter %s failed", adapter.name)
        return Parsed(rejected=(Rejected("adapter-failed", f"the adapter failed: {type(error).__name__}"),))


async def _answer_accepted(send: Send, found: Notification) -> None:
    """202 without a body: what became of the notification is in a header, for a person with curl."""
    counts = b"events=%d, dropped=%d, dead-letters=%d" % (len(found.events), len(found.dropped), len(found.rejected))
    headers = [_NO_CONTENT, (b"farshore-accepted", counts)]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
