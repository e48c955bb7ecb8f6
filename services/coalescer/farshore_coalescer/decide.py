"""The coalescer's decisions: many events, few transfers, none lost, none announced before it arrived.

Theory of operation. `decide(state, now)` says what to do now, `apply(state, observation, now)` (apply.py) what has been
learned, `next_wake(state, now)` when to ask again if nothing is learned before. No clock, no I/O, no memory but the
state. For one registry volume:

1. Count an event only when it is settled: seen at least `settle` ago. Webhooks fire before the registry writes the tag.
2. Take a source snapshot, named after the settled end of the log, when settled events are not covered by one and either
   a replica is free to use it (and `min_interval` has passed, or an urgent event waits), or `max_wait` has passed.
   While all replicas are busy events collect at no cost: that is the batching. In a burst a free replica waits for what
   has not settled yet, but no longer than two transfers take, nor than 3 s.
   While a fence holds (fences.py) nothing is taken, whatever waits and for however long.
3. Start a transfer of the newest snapshot for every idle replica that lacks it, one transfer a relationship. A slow
   replica skips the snapshots in between. A replica of a cascade takes what its upstream exports; if it can't, another
   one is taken and sent all the way. One that exports what proves nothing gets a snapshot that was begun after that was
   seen, so that it is younger for certain.
4. Publish arrivals up to the cover that a reading of the replica proved (proof.py), from the position that Kafka holds.
5. Delete source snapshots that nothing needs: not the newest, not a base or target of a replica, not the last `keep`.
   ONTAP itself keeps the source only from deleting the bases of its own relationships, not those of a cascade's end,
   nor that of a relationship that somebody deleted: so what was sent last, and its end not seen, is a base too.
   A deletion can take long: it begins when the source has nothing better to do, and nothing waits for its end.

Everything that is not known is read first; a lost answer makes it unknown again. Failures wait by their class: soon
with backoff, after reading again, or slowly and loudly when a person has to act. They stop one relationship, never
another.
"""

from collections.abc import Iterable

from farshore_coalescer.messages import (
    Action,
    DeleteSnapshot,
    Publish,
    ReadLog,
    ReadReplica,
    ReadSource,
    StartTransfer,
    TakeSnapshot,
)
from farshore_coalescer.state import Activity, Extent, Replica, Snapshot, SourceActivity, State

REFRESH_SECONDS = 3600.0
"""Kafka forgets the position of a group that commits nothing for days: an unchanged position is committed again."""
BURST_TRANSFERS = 2.0
"""How many times a transfer's duration what has settled waits for the rest of a burst (measured: bench/optimum.py)."""
BURST_SECONDS = 3.0
"""The longest of these waits: a long transfer must not make the small push that follows it wait as long. With 1.5 s
bench/optimum.py has more transfers and more lag."""
DRIFT_SECONDS = 10.0
"""How often a position follows a log that moves only by other registries' events."""

# looking a member up in its class takes longer than most of what is decided here
_IDLE, _SOURCE_IDLE = Activity.IDLE, SourceActivity.IDLE
_LOOKED_AT = (Activity.UNKNOWN, Activity.TRANSFERRING, Activity.STOPPED)
"""What a relationship is read in once its `look_at` has come."""


def decide(state: State, now: float) -> list[Action]:
    """What to do now. Every action must be taken up: the shell applies `Began(action)` before the next call."""
    actions: list[Action] = []
    taking = state.source.activity is SourceActivity.SNAPSHOTTING
    if state.source.activity is _SOURCE_IDLE and now >= state.source.look_at:
        source_action = _source_action(state, now)
        if source_action is not None:
            actions.append(source_action)
            taking = isinstance(source_action, TakeSnapshot)
        elif (unneeded := _unneeded(state)) is not None:
            actions.append(DeleteSnapshot(unneeded))
    if (start := log_to_read(state, now)) is not None:
        actions.append(ReadLog(start))
    for replica in state.replicas:
        if _needs_reading(replica, now):
            actions.append(ReadReplica(replica.site))
        elif replica.activity is _IDLE and now >= replica.look_at:
            target = _transfer_target(state, replica, taking=taking)
            if target is not None:
                actions.append(StartTransfer(replica.site, target))
        publication = _publication(state, replica, now)
        if publication is not None:
            actions.append(publication)
    return actions


# --- the source -----------------------------------------------------------------------------------------------------


def _source_action(state: State, now: float) -> Action | None:
    source = state.source
    if source.snapshots is None or now >= source.read_at or (source.unsure and state.holding(now)):
        return ReadSource()
    if _snapshot_due(state, now):
        cover = settled_extent(state, now).end
        return TakeSnapshot(state.log.snapshot_name(cover, source.numbered + 1, state.owner), cover)
    return None


def _unneeded(state: State) -> Snapshot | None:
    """A snapshot to be deleted now, if there is one."""
    source = state.source
    if source.deleting is not None or not source.snapshots:
        return None
    for snapshot in source.snapshots:
        if not _is_needed(state, snapshot) and snapshot.uuid not in source.undeletable:
            return snapshot
    return None


def settled_extent(state: State, now: float) -> Extent:
    """How far the log has settled: every event before it has been known for `settle` seconds."""
    extent = state.settled
    settle = state.rules.settle
    for mark in state.marks:  # each reaches as far as the one before it, or farther
        if mark.seen_at + settle > now:
            break
        extent = mark.extent
    return extent


def _snapshot_due(state: State, now: float) -> bool:
    settled, covered = settled_extent(state, now), state.covered()
    uncovered = settled.dirty > covered
    overdue = uncovered and state.waiting_since is not None and now >= state.waiting_since + state.rules.max_wait
    free = [
        replica
        for replica in state.replicas
        if _is_free(replica, now) and ((uncovered and _awaits_newer(state, replica)) or _needs_younger(state, replica))
    ]
    if not (free or overdue) or settled.dirty == 0 or is_fenced(state, settled.end, now):
        return False
    if overdue or settled.urgent > covered:
        return True
    return now >= _interval_end(state) and not (state.seen.dirty > settled.dirty and now < _burst_end(state, free))


def is_fenced(state: State, end: int, now: float) -> bool:
    """Whether no snapshot of cover `end` may be taken: a fence holds, was raised behind it, or isn't known yet."""
    fences = state.fences
    unread = fences.read_from is None or fences.read_to < end
    return unread or bool(state.holding(now)) or fences.touch(end)


def is_held(state: State, now: float) -> bool:
    """Whether a fence holds, and no snapshot is under way or may have been taken without its being known."""
    taking = state.source.activity is SourceActivity.SNAPSHOTTING or state.source.unsure
    return bool(state.holding(now)) and not taking


def log_to_read(state: State, now: float) -> int | None:
    """From where the log's fences have to be read now, if at all: before anything else, and after each snapshot."""
    if state.source.snapshots is None or state.reading.checking is not None or now < state.reading.look_at:
        return None
    fences = state.fences
    if fences.read_from is None:
        if any(replica.position is None for replica in state.replicas):
            return None
        latest = state.source.newest
        # a position, like a cover, passes a fence only once it is over
        passed = [replica.position or 0 for replica in state.replicas]
        return max(latest.cover or 0 if latest is not None else 0, *passed)
    newest = state.newest()
    if newest is None or state.is_clean(newest):
        return None
    cover = newest.cover or 0
    if not any(_lacks(state, replica, newest) for replica in state.replicas if replica.upstream is None):
        return None
    return fences.read_to if cover >= fences.read_from else cover


def _interval_end(state: State) -> float:
    taken = state.source.snapshot_at
    return taken + state.rules.min_interval if taken is not None else 0.0


def _burst_end(state: State, free: Iterable[Replica]) -> float:
    """Until when a snapshot waits for events that have been seen and have not settled.

    One that sets out in the middle of a burst makes the rest of it wait for a whole transfer. So what has settled waits
    for the rest, but no longer than BURST_TRANSFERS take, nor than BURST_SECONDS (asked again whenever something
    settles). What came while a transfer ran has waited for one already.
    """
    if state.waiting_since is None:
        return 0.0
    took = min(replica.took for replica in free)
    return state.waiting_since + state.rules.settle + min(BURST_TRANSFERS * took, BURST_SECONDS)


def _is_free(replica: Replica, now: float) -> bool:
    """Whether a new snapshot could set out to the replica at once."""
    return replica.activity is _IDLE and replica.upstream is None and now >= replica.look_at


def _awaits_newer(state: State, replica: Replica) -> bool:
    """Whether the replica is better served by a snapshot still to be taken than by the newest there is.

    One that was begun after the replica became idle is for it: else, while events keep coming, each new snapshot
    would be overtaken by the next, and none would ever set out.
    """
    return state.covered() <= replica.proven or state.source.began_at < replica.idle_since


def _needs_younger(state: State, replica: Replica) -> bool:
    """Whether no snapshot that is there is known to be younger than what the replica exports, or of use behind it."""
    if replica.upstream is not None:
        return False
    newest = state.newest()
    useless = newest is not None and newest.id == replica.exported and _holds_up(state, replica)
    return state.source.began_at < replica.younger_than or useless


def _holds_up(state: State, replica: Replica) -> bool:
    """Whether some end of a cascade behind the replica can't get what it exports, and waits for it to export another.

    A hop can refuse a snapshot for good that its upstream has, for instance by the name that another one has there.
    """
    exported = replica.exported
    return exported is not None and any(
        behind.vain == exported or (behind.exported == exported and _holds_up(state, behind))
        for behind in state.replicas
        if behind.upstream == replica.site
    )


def _is_needed(state: State, snapshot: Snapshot) -> bool:
    if not snapshot.ours:
        return True
    if snapshot is state.source.newest or snapshot is state.newest():
        return True
    for replica in state.replicas:
        if snapshot.id == replica.exported or snapshot.id.name in (replica.target, replica.unseen):
            return True
        if not replica.seen_once and (snapshot.cover is None or _may_be_base(state, replica, snapshot.cover)):
            return True
    return snapshot.cover is not None and snapshot.cover in _kept_covers(state)


def _may_be_base(state: State, replica: Replica, cover: int) -> bool:
    """Whether a replica that has not been read yet may rest on the snapshot of `cover`.

    A position moves on by other registries' events alone, beyond what is exported. ONTAP keeps a base of the source's
    own relationships all the same; of what the end of a cascade rests on it knows nothing there.
    """
    return (replica.upstream is not None or (replica.position or 0) <= cover) and cover <= state.source.known_before


def _kept_covers(state: State) -> list[int]:
    arrived = max((replica.position or 0 for replica in state.replicas), default=0)
    covers = [s.cover for s in state.source.snapshots or () if s.cover is not None and s.cover <= arrived]
    return sorted(covers)[-state.rules.keep :] if state.rules.keep else []


# --- the replicas ---------------------------------------------------------------------------------------------------


def _needs_reading(replica: Replica, now: float) -> bool:
    if replica.activity is _IDLE:
        return now >= replica.read_at
    return now >= replica.look_at and replica.activity in _LOOKED_AT


def _transfer_target(state: State, replica: Replica, *, taking: bool) -> str | None:
    """The name of the snapshot that an idle replica should get now, if any; `taking`: one is being taken."""
    if taking and replica.upstream is None and _awaits_newer(state, replica):
        return None
    if _needs_younger(state, replica):
        return None
    best = _available(state, replica)
    if best is None or best.id == replica.vain:
        return None
    return best.id.name if _lacks(state, replica, best) else None


def _lacks(state: State, replica: Replica, snapshot: Snapshot) -> bool:
    """Whether the snapshot would bring something to the replica, or to an end of a cascade behind it."""
    more = (snapshot.cover or 0) > replica.proven
    return more or (snapshot.id != replica.exported and _holds_up(state, replica))


def _available(state: State, replica: Replica) -> Snapshot | None:
    """The newest snapshot that the replica could get: the primary's, or what its upstream is proved to export."""
    if replica.upstream is None:
        newest = state.newest()
        return newest if newest is not None and state.is_clean(newest) else None
    exported = state.replica(replica.upstream).exported
    return next((s for s in state.source.snapshots or () if s.id == exported), None)


def _publication(state: State, replica: Replica, now: float) -> Publish | None:
    if replica.position is None or replica.exported is None:
        return None
    if replica.publishing is not None or now < replica.publish_at:
        return None
    end = replica.proven
    if end >= state.seen.dirty and end > 0 and now >= replica.committed_at + DRIFT_SECONDS:
        end = max(end, state.seen.end)  # nothing of this registry came since: the log moved by others' events only
    refresh = replica.position > 0 and now >= replica.committed_at + REFRESH_SECONDS
    if end > replica.position or (end == replica.position and refresh):
        return Publish(replica.site, replica.position, end, replica.exported, replica.brought_by)
    return None


# --- time -----------------------------------------------------------------------------------------------------------


def next_wake(state: State, now: float) -> float | None:
    """When `decide` may have something new to say, if nothing is observed before; None for never."""
    times = [mark.seen_at + state.rules.settle for mark in state.marks]
    times += [fence.seen_at + fence.limit for fence in state.holding(now)]
    times.append(state.reading.look_at)
    source = state.source
    if source.activity is _SOURCE_IDLE:
        times += (source.look_at, source.read_at, _interval_end(state))
        if state.waiting_since is not None:
            times.append(state.waiting_since + state.rules.max_wait)
    for replica in state.replicas:
        if replica.activity is _IDLE:
            times += (replica.look_at, replica.read_at)
        elif replica.activity in _LOOKED_AT:
            times.append(replica.look_at)
        if replica.publishing is None and replica.position is not None and replica.exported is not None:
            times += (replica.publish_at, replica.committed_at + REFRESH_SECONDS)
            if state.seen.end > replica.position:
                times.append(replica.committed_at + DRIFT_SECONDS)
    return min([time for time in times if time > now], default=None)
