"""A cluster's records: in memory for reading, in sqlite for surviving a kill.

One lock orders everything: a REST call sees all of a transaction or nothing of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from farshore_ontap_simulator.model.records import (
    Account,
    EmsDestination,
    EmsEvent,
    Hold,
    Identity,
    Job,
    Peer,
    Policy,
    Record,
    Relationship,
    Role,
    Snapshot,
    Svm,
    SvmPeer,
    Transfer,
    Volume,
    Writers,
)

R = TypeVar("R", bound=Record)


class Collection(Generic[R]):
    """All records of one type, by key. Change it inside a transaction of its store."""

    def __init__(self, store: Store, kind: type[R]) -> None:
        self._store = store
        self._kind = kind
        self._records: dict[str, R] = {}

    def load(self, rows: dict[tuple[str, str], str]) -> None:
        """Read all records again from what the database holds."""
        self._records = {
            key: self._kind.model_validate_json(body)
            for (kind, key), body in rows.items()
            if kind == self._kind.__name__
        }

    def put(self, record: R) -> R:
        """Add or replace."""
        self._store.write(
            "INSERT INTO records VALUES (?,?,?) ON CONFLICT(kind, key) DO UPDATE SET body=excluded.body",
            (self._kind.__name__, record.key, record.model_dump_json()),
        )
        self._records[record.key] = record
        return record

    def delete(self, key: str) -> None:
        """Remove, if there."""
        if self._records.pop(key, None) is not None:
            self._store.write("DELETE FROM records WHERE kind=? AND key=?", (self._kind.__name__, key))

    def get(self, key: str | None) -> R | None:
        """The record, or None."""
        with self._store.lock:
            return None if key is None else self._records.get(key)

    def all(self) -> list[R]:
        """All records, in the order in which they were added."""
        with self._store.lock:
            return list(self._records.values())

    def where(self, test: Callable[[R], bool]) -> list[R]:
        """Those for which `test` holds."""
        return [record for record in self.all() if test(record)]

    def first(self, test: Callable[[R], bool]) -> R | None:
        """The first for which `test` holds, or None."""
        return next((record for record in self.all() if test(record)), None)


class Store:
    """Collections of a cluster, over one sqlite file in WAL mode."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS records(kind TEXT, key TEXT, body TEXT, PRIMARY KEY(kind, key))"
        )
        self.identity = Collection(self, Identity)
        self.svms = Collection(self, Svm)
        self.volumes = Collection(self, Volume)
        self.snapshots = Collection(self, Snapshot)
        self.holds = Collection(self, Hold)
        self.policies = Collection(self, Policy)
        self.relationships = Collection(self, Relationship)
        self.transfers = Collection(self, Transfer)
        self.jobs = Collection(self, Job)
        self.peers = Collection(self, Peer)
        self.svm_peers = Collection(self, SvmPeer)
        self.writers = Collection(self, Writers)
        self.roles = Collection(self, Role)
        self.accounts = Collection(self, Account)
        self.ems_destinations = Collection(self, EmsDestination)
        self.ems_events = Collection(self, EmsEvent)
        self._load()

    def _load(self) -> None:
        rows = {
            (kind, key): body
            for kind, key, body in self._connection.execute("SELECT kind, key, body FROM records ORDER BY rowid")
        }
        for collection in vars(self).values():
            if isinstance(collection, Collection):
                collection.load(rows)

    def write(self, statement: str, values: tuple[str, ...]) -> None:
        """One change; only inside a transaction."""
        if not self._depth:
            raise RuntimeError("a change outside of a transaction")
        self._connection.execute(statement, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes of the body, or none; transactions may nest and count as one."""
        with self.lock:
            outermost = not self._depth
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if outermost:
                    self._connection.execute("ROLLBACK")
                    self._load()
                raise
            self._depth -= 1
            if outermost:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()
