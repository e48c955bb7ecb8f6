"""Fetch a snapshot's table and those of its blocks that this side lacks."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator

from farshore_ontap_simulator.data.blocks import BlockStore, Table
from farshore_ontap_simulator.data.table import BLOCK_BYTES, FILE, check_entries, decode_chunk, split_hashes
from farshore_ontap_simulator.transfer import frames, messages
from farshore_ontap_simulator.transfer.frames import Kind, ProtocolError
from farshore_ontap_simulator.transfer.session import SourceSession, UnreachableError

_AHEAD = 4  # requests under way, so that the link's latency doesn't count once per batch
_COMMIT_BYTES = 32 * 1024 * 1024


class Receiver:
    """Counts what crosses while it fetches. `progress` is called after every batch and may raise to stop."""

    def __init__(self, session: SourceSession, store: BlockStore, progress: Callable[[], None]) -> None:
        self._session = session
        self._store = store
        self._progress = progress
        self._uncommitted = 0
        self.bytes_transferred = 0
        self._content_bytes = 0
        self._sent_bytes = 0

    @property
    def ratio(self) -> str | None:
        """Content bytes per byte sent, as ONTAP writes it; None before any block crossed."""
        return f"{self._content_bytes / self._sent_bytes:.1f}:1" if self._sent_bytes else None

    def fetch(self, version: str, complete: set[bytes]) -> Table:
        """Bring the snapshot `version` into the store. Chunks in `complete` have all their blocks here already.

        Raises UnreachableError or OntapError. Blocks that arrived stay: the next attempt asks for the rest only.
        """
        reply = self._session.ask(messages.TableRequest(version=version), messages.TableReply)
        try:
            names = frames.parse_names(self._session.receive(Kind.NAMES))
            self._chunks(self._store.missing_chunks(names))
            self._blocks(name for name in names if name not in complete)
        except (ProtocolError, ValueError) as error:
            raise UnreachableError(f"The source sent {error}.") from error
        finally:
            self._store.commit()
        table = Table(tuple(names), reply.files, reply.logical_bytes)
        self._store.put_table(version, table)
        return table

    def _chunks(self, lacking: list[bytes]) -> None:
        for at in range(0, len(lacking), frames.WANT_CHUNKS):
            wanted = set(lacking[at : at + frames.WANT_CHUNKS])
            self._session.send(frames.frame(Kind.WANT_CHUNKS, b"".join(lacking[at : at + frames.WANT_CHUNKS])))
            while wanted:
                chunks = frames.parse_chunks(self._session.receive(Kind.CHUNKS))
                for name, data in chunks:
                    if name not in wanted:
                        raise ProtocolError("a chunk that nobody asked for")
                    wanted.discard(name)
                    check_entries(decode_chunk(data))
                self._store.put_chunks(chunks)
                self._progress()

    def _blocks(self, chunks: Iterator[bytes]) -> None:
        under_way: collections.deque[list[bytes]] = collections.deque()
        expected: set[bytes] = set()
        batch: list[bytes] = []
        for names in self._hashes(chunks):
            for name in self._store.missing(names):
                if name in expected:
                    continue
                expected.add(name)
                batch.append(name)
                if len(batch) == frames.WANT_BLOCKS:
                    self._want(batch, under_way, expected)
                    batch = []
        if batch:
            self._want(batch, under_way, expected)
        while under_way:
            self._take(under_way, expected)

    def _hashes(self, chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Block names in the order of the tree, in lists long enough to be looked up at once."""
        names: list[bytes] = []
        for chunk in chunks:
            for entry in decode_chunk(self._store.chunk(chunk)):
                if entry.kind == FILE:
                    names += split_hashes(entry.blob)
                if len(names) >= frames.WANT_BLOCKS:
                    yield names
                    names = []
        yield names

    def _want(self, batch: list[bytes], under_way: collections.deque[list[bytes]], expected: set[bytes]) -> None:
        if len(under_way) >= _AHEAD:
            self._take(under_way, expected)
        self._session.send(frames.frame(Kind.WANT_BLOCKS, b"".join(batch)))
        under_way.append(batch)

    def _take(self, under_way: collections.deque[list[bytes]], expected: set[bytes]) -> None:
        payload = self._session.receive(Kind.BLOCKS)
        wanted = under_way.popleft()
        blocks = frames.parse_blocks(payload, wanted)
        self._store.put(blocks)
        expected.difference_update(wanted)
        self.bytes_transferred += len(blocks) * BLOCK_BYTES
        self._content_bytes += sum(len(block) for _, block in blocks)
        self._sent_bytes += len(payload)
        self._uncommitted += len(blocks) * BLOCK_BYTES
        if self._uncommitted >= _COMMIT_BYTES:
            self._store.commit()
            self._uncommitted = 0
        self._progress()
