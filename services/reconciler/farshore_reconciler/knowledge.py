"""The facts of one run, in a temporary SQLite file: sorted by name, so that any number of them is read as a stream.

Nothing of it outlives the run. What is remembered between runs is in Kafka.
"""

import sqlite3
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore_reconciler.facts import Announced, Answer, Facts, ImageName, Said, Seen, by_name
from farshore_reconciler.judge import Missing

_SCHEMA = """
CREATE TABLE said (registry, repository, reference, site, state, digest, generation, offset, ring,
                   PRIMARY KEY (registry, repository, reference, site)) WITHOUT ROWID;
CREATE TABLE announced (registry, repository, reference, offset, kind, digest, event_id,
                        PRIMARY KEY (registry, repository, reference)) WITHOUT ROWID;
CREATE TABLE seen (registry, repository, reference, site, answer, digest,
                   PRIMARY KEY (registry, repository, reference, site)) WITHOUT ROWID;
CREATE TABLE candidate (registry, repository, reference, kind, digest,
                        PRIMARY KEY (registry, repository, reference)) WITHOUT ROWID;
CREATE TEMP TABLE asked (number INTEGER PRIMARY KEY, repository, reference);
"""
_PAGE = 500
_CACHE_KIB = 16_384
_ANNOUNCE = """INSERT INTO announced VALUES (?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET offset = excluded.offset, kind = excluded.kind, digest = excluded.digest,
                                         event_id = excluded.event_id
               WHERE event_id IS NOT excluded.event_id"""
"""A notification that was sent twice is one event, where it stood first: nobody decides it a second time."""
_NEEDED = """SELECT repository, reference FROM said WHERE registry = :registry AND state = 'ready'
             UNION SELECT repository, reference FROM seen WHERE registry = :registry AND answer = 'has'"""


class Knowledge:
    """A context manager; the file is gone after it."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="farshore-reconcile-")
        # autocommit by hand: nothing has to survive, so nothing waits for a disk
        self._db = sqlite3.connect(Path(self._folder.name) / "facts.sqlite", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def hear(self, registry: str, facts: Iterable[tuple[ImageName, Said | Announced]]) -> None:
        """Take in what Kafka's records say, in their order: a later one replaces an earlier one."""
        said, announced = [], []
        for name, fact in facts:
            if isinstance(fact, Said):
                row = (fact.site, fact.state.value, fact.digest, fact.generation, fact.offset, _ring(name))
                said.append((registry, *name, *row))
            else:
                announced.append((registry, *name, fact.offset, fact.kind.value, fact.digest, fact.event_id))
        self._write("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", said)
        self._write(_ANNOUNCE, announced)

    def see(self, registry: str, facts: Iterable[tuple[ImageName, Seen]]) -> None:
        """Take in what registries answered."""
        rows = [(registry, *name, fact.site, fact.answer.value, fact.digest) for name, fact in facts]
        self._write("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", rows)

    def disregard(self, registry: str, site: str) -> None:
        """Forget what was seen at `site`."""
        self._db.execute("DELETE FROM seen WHERE registry = ? AND site = ?", (registry, site))

    def to_ask(self, registry: str, site: str) -> Iterator[list[ImageName]]:
        """Names that are called ready or served somewhere, and that `site` hasn't been asked for; page by page."""
        yield from self._pages(
            f"{_NEEDED} EXCEPT SELECT repository, reference FROM seen WHERE registry = :registry AND site = :site",
            {"registry": registry, "site": site},
        )

    def served_as_said(self, registry: str, site: str, *, at_most: int) -> list[tuple[ImageName, str]]:
        """Some names and digests that are called ready somewhere and that `site` serves as they should be."""
        query = """SELECT DISTINCT seen.repository, seen.reference, seen.digest FROM seen
                   JOIN said USING (registry, repository, reference)
                   WHERE registry = ? AND seen.site = ? AND answer = 'has' AND state = 'ready'
                     AND seen.digest = said.digest LIMIT ?"""
        found = self._db.execute(query, (registry, site, at_most)).fetchall()
        return [(ImageName(repository, reference), digest) for repository, reference, digest in found]

    def ready_from(self, registry: str, site: str, start: int, *, at_most: int) -> list[tuple[ImageName, str, int]]:
        """Names that are called ready at `site`, with digest and place on the ring, from the place `start` on."""
        query = """SELECT repository, reference, digest, ring FROM said
                   WHERE registry = ? AND site = ? AND state = 'ready' AND digest IS NOT NULL
                   ORDER BY ring < ?, ring LIMIT ?"""
        rows = self._db.execute(query, (registry, site, start, at_most)).fetchall()
        return [(ImageName(repository, reference), digest, ring) for repository, reference, digest, ring in rows]

    def ready_names(self, registry: str) -> int:
        """How many names are called ready at one site at least."""
        query = """SELECT count(*) FROM (SELECT DISTINCT repository, reference FROM said
                   WHERE registry = ? AND state = 'ready')"""
        return int(self._db.execute(query, (registry,)).fetchone()[0])

    def propose(self, registry: str, missing: Iterable[Missing]) -> None:
        """Remember what the first look found missing."""
        rows = [(registry, *one.name, one.kind.value, one.digest) for one in missing]
        self._write("INSERT OR REPLACE INTO candidate VALUES (?, ?, ?, ?, ?)", rows)

    def candidates(self, registry: str) -> Iterator[list[ImageName]]:
        """What `propose` remembered, page by page."""
        query = "SELECT repository, reference FROM candidate WHERE registry = :registry"
        yield from self._pages(query, {"registry": registry})

    def is_candidate(self, registry: str, missing: Missing) -> bool:
        """Whether the first look found just this."""
        query = "SELECT kind, digest FROM candidate WHERE registry = ? AND repository = ? AND reference = ?"
        found = self._db.execute(query, (registry, *missing.name)).fetchone()
        return found is not None and tuple(found) == (missing.kind.value, missing.digest)

    def facts(self, registry: str, *, candidates_only: bool = False) -> Iterator[Facts]:
        """All that is known, name by name in order."""
        which = "JOIN candidate USING (registry, repository, reference)" if candidates_only else ""

        def rows(columns: str, table: str) -> sqlite3.Cursor:
            query = f"""SELECT repository, reference, {columns} FROM {table} {which}
                        WHERE registry = ? ORDER BY repository, reference"""
            return self._db.execute(query, (registry,))

        said = (
            (ImageName(row[0], row[1]), Said(row[2], ReadinessState(row[3]), *row[4:]))
            for row in rows("site, state, said.digest, generation, offset", "said")
        )
        announced = (
            (ImageName(row[0], row[1]), Announced(row[2], EventKind(row[3]), *row[4:]))
            for row in rows("offset, announced.kind, announced.digest, event_id", "announced")
        )
        seen = (
            (ImageName(row[0], row[1]), Seen(row[2], Answer(row[3]), row[4]))
            for row in rows("site, answer, seen.digest", "seen")
        )
        return by_name(said, announced, seen)

    def undecided(self, registry: str, site: str, before: int) -> list[ImageName]:
        """Names whose last event below the offset `before` has not been decided at `site`."""
        query = """SELECT repository, reference FROM announced
                   LEFT JOIN (SELECT repository, reference, offset AS told, state FROM said
                              WHERE registry = :registry AND site = :site) USING (repository, reference)
                   WHERE registry = :registry AND offset < :before AND (told IS NULL OR told < offset OR state = 'late')
                   ORDER BY repository, reference"""
        rows = self._db.execute(query, {"registry": registry, "site": site, "before": before})
        return [ImageName(*row) for row in rows]

    def last_said(self, registry: str, site: str, states: Collection[ReadinessState]) -> list[tuple[ImageName, str]]:
        """Names of which one of `states` was the last that was said at `site`, with it."""
        marks = ", ".join("?" * len(states))
        query = f"""SELECT repository, reference, state FROM said
                    WHERE registry = ? AND site = ? AND state IN ({marks}) ORDER BY repository, reference"""
        rows = self._db.execute(query, (registry, site, *(state.value for state in states)))
        return [(ImageName(repository, reference), state) for repository, reference, state in rows]

    def _pages(self, query: str, values: dict[str, str]) -> Iterator[list[ImageName]]:
        """The names that `query` finds now; what is written meanwhile doesn't change them."""
        self._db.execute("DELETE FROM asked")
        self._db.execute(f"INSERT INTO asked (repository, reference) {query}", values)
        last = 0
        while True:
            page = self._db.execute(
                "SELECT number, repository, reference FROM asked WHERE number > ? ORDER BY number LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield [ImageName(repository, reference) for _, repository, reference in page]

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self._db.execute("BEGIN")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")


def _ring(name: ImageName) -> int:
    """A place on a ring of 2^32 that depends on the name only, so that a sample goes around all of them."""
    return zlib.crc32(f"{name.repository}\0{name.reference}".encode())
