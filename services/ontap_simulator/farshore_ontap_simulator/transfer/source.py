"""The source's end of a transfer: answers what destinations ask over the intercluster socket."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.data.blocks import BlockReader
from farshore_ontap_simulator.errors import OntapError, refused
from farshore_ontap_simulator.model import volumes
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Hold, Snapshot, Volume
from farshore_ontap_simulator.settings import Address
from farshore_ontap_simulator.transfer import frames, messages
from farshore_ontap_simulator.transfer.frames import Kind, ProtocolError
from farshore_ontap_simulator.transfer.link import Limits, PacedSender
from farshore_ontap_simulator.transfer.plan import Offered

LOG = logging.getLogger(__name__)
_SESSIONS = 256
_IDLE_SECONDS = 600.0  # a destination may be held in mid-transfer by a fault


def offered(snapshot: Snapshot) -> Offered:
    """A snapshot as the other side sees it."""
    return Offered(
        name=snapshot.name,
        version_uuid=snapshot.version_uuid,
        create_time=snapshot.create_time,
        comment=snapshot.comment,
        label=snapshot.label,
        logical_bytes=snapshot.logical_bytes,
    )


def sendable(cluster: Cluster, volume: Volume) -> list[Snapshot]:
    """What a volume may send, oldest first: all of it, or for a replica (a cascade) only up to what it exports."""
    snapshots = cluster.snapshots_of(volume.uuid)
    if volume.type == "rw":
        return snapshots
    for index, snapshot in enumerate(snapshots):
        if snapshot.version_uuid == volume.exported:
            return snapshots[: index + 1]
    return []


class Intercluster:
    """Listens on the intercluster socket and serves each connection in a thread of its own.

    `reverse` carries out a Reverse request; it raises OntapError.
    """

    def __init__(self, cluster: Cluster, reverse: Callable[[messages.Reverse], None]) -> None:
        self._cluster = cluster
        self._reverse = reverse
        self._pool = ThreadPoolExecutor(_SESSIONS, thread_name_prefix="source")
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def start(self, address: Address) -> Address:
        """Listen; returns the address with its real port."""
        listener = socket.create_server((address.host, address.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="intercluster", daemon=True).start()
        return Address(address.host, listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(_IDLE_SECONDS)
            with self._lock:
                self._open.add(connection)
            self._pool.submit(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        session = Session(self._cluster, connection, self._reverse)
        try:
            session.run()
        except (OSError, ProtocolError) as error:
            LOG.info("intercluster session ended: %s", error)
        except Exception:  # the session's outermost frame: a bug must end the session, not the server
            LOG.exception("intercluster session failed")
        finally:
            session.close()
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def drop_sessions(self) -> None:
        """Cut every session, as a reboot does."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and cut every session."""
        if self._listener is not None:
            self._listener.close()
        self.drop_sessions()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Session:
    """One connection: reads requests in order and answers each one."""

    def __init__(
        self, cluster: Cluster, connection: socket.socket, reverse: Callable[[messages.Reverse], None]
    ) -> None:
        self._cluster = cluster
        self._connection = connection
        self._reverse = reverse
        self._sender: PacedSender | None = None
        self._about: messages.Open | None = None
        self._volume = ""
        self._remote = Limits()
        self._cleanup = contextlib.ExitStack()
        self._reader: BlockReader | None = None

    def close(self) -> None:
        """Free the volume."""
        self._cleanup.close()
        if self._sender is not None:
            self._sender.close()

    def run(self) -> None:
        """Serve until the peer closes. Raises OSError and ProtocolError."""
        while True:
            try:
                kind, payload = frames.receive(self._connection)
            except ConnectionError:
                return
            if kind is Kind.CONTROL:
                self._control(messages.parse_request(frames.parse_control(payload)))
            elif kind is Kind.WANT_CHUNKS:
                self._chunks(frames.parse_names(payload))
            elif kind is Kind.WANT_BLOCKS:
                self._blocks(frames.parse_names(payload))
            else:
                raise ProtocolError(f"unexpected frame {kind.name}")

    def _send(self, data: bytes) -> None:
        if self._about is not None and self._cluster.faults.unreachable(self._about.cluster):
            raise ConnectionError("the peer is unreachable")
        if self._sender is None:
            self._connection.sendall(data)
        else:
            self._sender.send(data)

    def _answer(self, reply: BaseModel) -> None:
        self._send(frames.control(reply.model_dump(mode="json")))

    def _control(self, request: messages.Request) -> None:
        try:
            reply = self._handle(request)
        except OntapError as error:
            reply = messages.Refusal(code=error.code, message=error.message)
        if reply is not None:
            self._answer(reply)

    def _handle(self, request: messages.Request) -> BaseModel | None:
        match request:
            case messages.LimitsMessage():
                self._remote = Limits(request.latency_seconds, request.bytes_per_second)
                return None
            case messages.Describe():
                self._refuse_unreachable(request.cluster)
                return messages.Described(
                    cluster=self._cluster.settings.name,
                    uuid=self._cluster.identity.uuid,
                    svms=[svm.name for svm in self._cluster.store.svms.all()],
                )
            case messages.Open():
                return self._begin(request)
            case messages.Reverse():
                self._refuse_unreachable(request.cluster)
                self._reverse(request)
                return messages.Done()
        if self._about is None:
            raise ProtocolError("a session has to begin with Open")
        match request:
            case messages.Create():
                snapshot = volumes.take_snapshot(self._cluster, self._volume, request.name, label="sm_created")
                return messages.Created(snapshot=offered(snapshot))
            case messages.Hold():
                return self._hold(self._about, request.versions)
            case messages.Commit():
                return self._commit(self._about, request.base)
            case messages.Release():
                return self._release(self._about)
            case messages.TableRequest():
                self._table(request.version)
                return None
        raise ProtocolError("a message that isn't expected here")

    def _refuse_unreachable(self, peer: str) -> None:
        if self._cluster.faults.unreachable(peer):
            raise ConnectionError("the peer is unreachable")

    def _begin(self, request: messages.Open) -> messages.Opened:
        self._refuse_unreachable(request.cluster)
        if request.cluster != self._cluster.settings.name:
            self._cluster.peer(request.cluster)
        self._remote = Limits(request.limits.latency_seconds, request.limits.bytes_per_second)
        peer = request.cluster
        self._sender = PacedSender(
            self._connection,
            self._cluster.pipe(peer),
            lambda: self._cluster.limits(peer).tightened(self._remote),
        )
        volume = self._cluster.volume_at(request.source)
        if volume is None:
            raise refused(errors.ENTRY_MISSING, f'The source volume "{request.source}" does not exist.', status=404)
        if volume.state != "online":
            raise errors.offline(errors.UPDATE_FAILED, volume.path)
        self._about, self._volume = request, volume.uuid
        data = self._cluster.data(volume.uuid)
        self._cleanup.enter_context(data.in_use())
        self._reader = self._cleanup.enter_context(data.blocks.reader())
        return messages.Opened(
            cluster=self._cluster.settings.name,
            uuid=self._cluster.identity.uuid,
            volume=volume.uuid,
            type=volume.type,
            snapshots=[offered(snapshot) for snapshot in sendable(self._cluster, volume)],
        )

    def _hold(self, about: messages.Open, versions: list[str]) -> messages.Done:
        store = self._cluster.store
        with store.transaction():
            present = {snapshot.version_uuid for snapshot in self._cluster.snapshots_of(self._volume)}
            for version in versions:
                if version not in present:
                    raise refused(errors.SNAPSHOT_GONE, "The snapshot does not exist on the source volume.")
                store.holds.put(
                    Hold(
                        relationship=about.relationship,
                        volume=self._volume,
                        version_uuid=version,
                        destination=about.destination,
                        cluster=about.cluster,
                    )
                )
        return messages.Done()

    def _commit(self, about: messages.Open, base: str) -> messages.Done:
        """Move the base; older automatic snapshots of this relationship have no more use."""
        self._hold(about, [base])
        store = self._cluster.store
        with store.transaction():
            for hold in store.holds.where(lambda hold: hold.relationship == about.relationship):
                if hold.version_uuid != base:
                    store.holds.delete(hold.key)
            prefix = f"snapmirror.{about.relationship}_"
            for snapshot in self._cluster.snapshots_of(self._volume):
                if snapshot.name.startswith(prefix) and not volumes.owners_of(self._cluster, snapshot):
                    store.snapshots.delete(snapshot.uuid)
        self._cluster.reclaim_soon(self._volume)
        return messages.Done()

    def _release(self, about: messages.Open) -> messages.Done:
        store = self._cluster.store
        with store.transaction():
            for hold in store.holds.where(lambda hold: hold.relationship == about.relationship):
                store.holds.delete(hold.key)
        return messages.Done()

    def _table(self, version: str) -> None:
        table = self._cluster.data(self._volume).blocks.table(version)
        if table is None:
            raise refused(errors.SNAPSHOT_GONE, "The snapshot does not exist on the source volume.")
        self._answer(messages.TableReply(files=table.files, logical_bytes=table.logical_bytes))
        self._send(frames.frame(Kind.NAMES, b"".join(table.chunks)))

    def _chunks(self, names: list[bytes]) -> None:
        if self._about is None or len(names) > frames.WANT_CHUNKS:
            raise ProtocolError("chunks asked for out of turn, or too many")
        blocks = self._cluster.data(self._volume).blocks
        part: list[tuple[bytes, bytes]] = []
        size = 0
        for name in names:
            try:
                data = blocks.chunk(name)
            except KeyError as error:
                raise ProtocolError("a chunk that isn't here") from error
            if part and size + len(data) > frames.CHUNKS_PAYLOAD:
                self._send(frames.frame(Kind.CHUNKS, frames.pack_chunks(part)))
                part, size = [], 0
            part.append((name, data))
            size += len(data)
        self._send(frames.frame(Kind.CHUNKS, frames.pack_chunks(part)))

    def _blocks(self, names: list[bytes]) -> None:
        if self._about is None or self._reader is None or len(names) > frames.WANT_BLOCKS:
            raise ProtocolError("blocks asked for out of turn, or too many")
        try:
            blocks = self._reader.read(names)
        except KeyError as error:
            raise ProtocolError("a block that isn't here") from error
        self._send(frames.frame(Kind.BLOCKS, frames.pack_blocks(blocks, self._about.compression)))
