"""What is learned of the log: how far it reaches, and which fences stand in it."""

from farshore_coalescer.backoff import backoff
from farshore_coalescer.decide import settled_extent
from farshore_coalescer.messages import HeadSeen, LogFailed, LogRead
from farshore_coalescer.state import LogReading, Mark, State

MOST_MARKS = 64
"""Ends that wait for settling are kept exactly up to this many; beyond it the newest two become one."""


def head_seen(state: State, seen: HeadSeen, now: float) -> State:
    if seen.extent.end <= state.seen.end:
        return state
    state = settle(state, now)
    extent = state.seen.merged(seen.extent)
    kept = state.marks[: MOST_MARKS - 1]
    waiting = state.waiting_since
    if waiting is None and extent.dirty > state.seen.dirty:
        waiting = now
    fences = state.fences.with_changes(seen.fences, now)
    fences = fences._replace(read_to=max(fences.read_to, extent.end))
    return state._replace(seen=extent, marks=(*kept, Mark(extent, now)), waiting_since=waiting, fences=fences)


def log_read(state: State, read: LogRead, now: float) -> State:
    fences = state.fences.with_changes(read.fences, now)
    if fences.read_from is None or read.start < fences.read_from:
        fences = fences._replace(read_from=read.start)
    fences = fences._replace(read_to=max(fences.read_to, read.end))
    covers = {snapshot.uuid: snapshot.cover for snapshot in state.source.snapshots or ()}
    clean = {
        uuid
        for uuid in state.reading.checking or ()
        if (cover := covers.get(uuid)) is not None and not fences.touch(cover, read.end)
    }
    source = state.source._replace(clean=state.source.clean | clean)
    state = state._replace(fences=fences, reading=LogReading(), source=source)
    newest = state.newest()
    if newest is not None and state.is_clean(newest):
        state = state._replace(fences=fences.forgetting(newest.cover or 0))
    return state


def log_failed(state: State, _failed: LogFailed, now: float) -> State:
    failures = state.reading.failures + 1
    return state._replace(reading=LogReading(None, now + backoff(failures, "log"), failures))


def settle(state: State, now: float) -> State:
    """Move what has settled out of the marks."""
    if not state.marks or state.marks[0].seen_at + state.rules.settle > now:
        return state
    rest = tuple(mark for mark in state.marks if mark.seen_at + state.rules.settle > now)
    return state._replace(settled=settled_extent(state, now), marks=rest)


def to_check(state: State, start: int) -> frozenset[str]:
    """The snapshots that the reading from `start` can show to be clean."""
    known = state.fences.read_from
    first = start if known is None else min(start, known)
    return frozenset(
        snapshot.uuid
        for snapshot in state.source.snapshots or ()
        if snapshot.cover is not None and snapshot.cover >= first and not state.is_clean(snapshot)
    )
