"""What is learned of a relationship: what its site exports, what it is doing, what was published for it."""

from typing import Any

from farshore.errors import RetryClass
from farshore_coalescer.apply_source import read_source_again
from farshore_coalescer.backoff import backoff, poll_interval, spread, wait_seconds
from farshore_coalescer.messages import (
    NoSlot,
    PositionRead,
    Published,
    PublishFailed,
    ReplicaFailed,
    ReplicaRead,
    SlotFreed,
    TransferStarted,
)
from farshore_coalescer.proof import proven_cover
from farshore_coalescer.state import Activity, Replica, State

IDLE_READ_SECONDS = 600.0
"""How often, at the least, an idle relationship is read again: somebody may have paused or updated it."""


def position_read(state: State, read: PositionRead, now: float) -> State:
    return with_replica(state, read.site, position=read.position, committed_at=now)


def replica_read(state: State, read: ReplicaRead, now: float) -> State:
    before = state.replica(read.site)
    proven = proven_cover(state.source.snapshots or (), read.exported)
    brought_by = before.brought_by
    younger_than, took = before.younger_than, before.took
    if read.exported != before.exported:
        brought_by = before.transfer
        if before.transfer is not None:
            took = now - before.transferring_since
        younger_than = -1.0 if proven or read.exported is None else now
    common: dict[str, Any] = {
        "exported": read.exported,
        "proven": proven,
        "brought_by": brought_by,
        "younger_than": younger_than,
        "vain": before.vain if read.exported == before.exported else None,
        "took": took,
        "seen_once": True,
        "target": None,
        "unseen": None,
        "transfer": None,
    }
    offered = _offered(state, before)
    if read.refusing is None and (read.exported != before.exported or proven >= offered):
        common |= {"failures": 0, "trouble": None}  # progress, or nothing left to do
    if read.running is not None:
        same = before.transfer == read.running.uuid
        since = before.transferring_since if same else now
        return with_replica(
            state,
            read.site,
            **common
            | {
                "activity": Activity.TRANSFERRING,
                "transfer": read.running.uuid,
                "target": read.running.snapshot or before.target,
                "transferring_since": since,
                "look_at": now + poll_interval(now - since, state.rules.watch, took),
            },
        )
    if read.refusing is not None:
        return _stop(with_replica(state, read.site, **common), read.site, RetryClass.OPERATOR, read.refusing, now)
    if read.failed is not None:
        retry, reason = read.failed
        return _stop(with_replica(state, read.site, **common), read.site, retry, reason, now)
    state = _source_may_be_stale(state, read, now)
    if before.transfer is not None and read.exported == before.exported and proven < offered:
        reason = f"a transfer ended, and {read.exported.name if read.exported else 'nothing'} is still what is exported"
        common |= _if_again(state, before, now)
        return _stop(with_replica(state, read.site, **common), read.site, RetryClass.RETRY_SOON, reason, now)
    common |= {
        "activity": Activity.IDLE,
        "look_at": now,
        "idle_since": now,
        "read_at": now + spread(IDLE_READ_SECONDS, f"{read.site}/{now}"),
    }
    return with_replica(state, read.site, **common)


def _offered(state: State, replica: Replica) -> int:
    """The highest cover that the replica could be sent: a hop has it even when it is fenced at the source since."""
    upstream = state.replica(replica.upstream).proven if replica.upstream is not None else 0
    return max(state.covered(), upstream)


def _source_may_be_stale(state: State, read: ReplicaRead, now: float) -> State:
    """A replica that exports a snapshot which the source isn't known to have: have the source read again."""
    if read.exported is None or state.source.snapshots is None:
        return state
    if any(snapshot.id == read.exported for snapshot in state.source.snapshots):
        return state
    return read_source_again(state, now)


def replica_failed(state: State, failed: ReplicaFailed, now: float) -> State:
    before = state.replica(failed.site)
    if failed.retry is RetryClass.REDISCOVER and before.activity is Activity.STARTING:
        state = read_source_again(state, now)  # the snapshot may be gone
        state = with_replica(state, failed.site, **_if_again(state, before, now))
    return _stop(state, failed.site, failed.retry, failed.reason, now)


def _if_again(state: State, before: Replica, now: float) -> dict[str, Any]:
    """What is sent again and again in vain may be older than what is exported: a former owner's request can be carried
    out so late that the snapshot of a lower cover is the younger one, or has the name of one that is held there. From
    the second time on, have a new one taken."""
    if not before.failures or before.exported is None:
        return {}
    sent = (snapshot.id for snapshot in state.source.snapshots or () if snapshot.id.name == before.target)
    return {"younger_than": now, "vain": next(sent, None)}


def _stop(state: State, site: str, retry: RetryClass, reason: str, now: float) -> State:
    """Wait as the class of the failure asks, then read the relationship again before anything else.

    The back-off begins anew where the kind of failure changes: somebody is at work. A cluster that was lost for long
    and is back must not be looked at as seldom as if its relationship had been missing all the time.
    """
    before = state.replica(site)
    stuck = retry in (RetryClass.OPERATOR, RetryClass.FINAL)
    failures = before.failures + 1 if stuck == before.stuck else 1
    return with_replica(
        state,
        site,
        activity=Activity.STOPPED if stuck else Activity.UNKNOWN,
        target=None,
        unseen=before.target or before.unseen,
        transfer=None,
        failures=failures,
        stuck=stuck,
        look_at=now + wait_seconds(retry, failures, site),
        trouble=reason,
    )


def transfer_started(state: State, started: TransferStarted, now: float) -> State:
    return with_replica(
        state,
        started.site,
        activity=Activity.TRANSFERRING,
        transfer=started.transfer,
        transferring_since=now,
        look_at=now + poll_interval(0.0, state.rules.watch, state.replica(started.site).took),
    )


def no_slot(state: State, full: NoSlot, now: float) -> State:
    return with_replica(state, full.site, activity=Activity.WAITING_FOR_SLOT, target=None)


def slot_freed(state: State, freed: SlotFreed, now: float) -> State:
    if state.replica(freed.site).activity is not Activity.WAITING_FOR_SLOT:
        return state
    return with_replica(state, freed.site, activity=Activity.IDLE, idle_since=now)


def published(state: State, published: Published, now: float) -> State:
    replica = state.replica(published.site)
    done = replica.publishing is None or published.position >= replica.publishing
    return with_replica(
        state,
        published.site,
        position=max(published.position, replica.position or 0),
        publishing=None if done else replica.publishing,
        publish_failures=0,
        committed_at=now,
    )


def publish_failed(state: State, failed: PublishFailed, now: float) -> State:
    replica = state.replica(failed.site)
    failures = replica.publish_failures + 1
    return with_replica(
        state,
        failed.site,
        position=max(failed.position, replica.position or 0),
        publishing=None,
        publish_failures=failures,
        publish_at=now + backoff(failures, f"publish/{failed.site}"),
    )


def with_replica(state: State, site: str, **changes: Any) -> State:
    """The state with these changes at `site`."""
    replicas = [one.but(changes) if one.site == site else one for one in state.replicas]
    return state._replace(replicas=tuple(replicas))
