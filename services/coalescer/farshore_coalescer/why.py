"""Says in one line why a site is behind, from the same state that the decisions use."""

from farshore_coalescer.state import Activity, Replica, State


def why_behind(state: State, replica: Replica, now: float) -> str | None:
    """One line for a person; None where the site has everything that was announced."""
    if replica.position is None:
        return "its position is being read from Kafka"
    if replica.position >= state.seen.dirty:
        return None
    behind = state.seen.end - replica.position
    return f"{behind} offsets behind: {_reason(state, replica, now)}"


def _reason(state: State, replica: Replica, now: float) -> str:
    if replica.trouble is not None:
        wait = max(0.0, replica.look_at - now)
        return f"{replica.trouble}; looked at again in {wait:.1f} s"
    if replica.publish_failures:
        return f"arrivals can't be published, see the log; tried again in {max(0.0, replica.publish_at - now):.1f} s"
    if replica.publishing is not None:
        return f"arrivals up to {replica.publishing} are being published"
    if replica.activity is Activity.TRANSFERRING:
        return f"{replica.target or 'a snapshot'} is being transferred since {now - replica.transferring_since:.1f} s"
    if replica.activity is Activity.STARTING:
        return f"the transfer of {replica.target} is being started"
    if replica.activity is Activity.WAITING_FOR_SLOT:
        return "its cluster receives as many transfers as it may"
    if state.source.trouble is not None and replica.upstream is None:
        return f"the source volume: {state.source.trouble}"
    if (waiting := _upstream_behind(state, replica, now)) is not None:
        return waiting
    if replica.activity is Activity.IDLE and (holding := state.holding(now)):
        fence = max(holding, key=lambda one: one.seen_at + one.limit)
        left = fence.seen_at + fence.limit - now
        return f"fence {fence.fence} ({fence.reason}) holds snapshots, for {left:.0f} s more at most"
    if replica.activity is Activity.IDLE:
        return "it waits for the next snapshot"
    return "its relationship is being read"


def _upstream_behind(state: State, replica: Replica, now: float) -> str | None:
    """What keeps the upstream of an idle end of a cascade, hop by hop; None where that has nothing newer to wait for.

    While a relationship is being read nothing is said of its upstream: there may be something to take from it.
    """
    if replica.upstream is None or replica.activity is not Activity.IDLE:
        return None
    upstream = state.replica(replica.upstream)
    if upstream.proven > replica.proven or upstream.proven >= state.seen.dirty:
        return None
    return f"it waits for {upstream.site}: {_reason(state, upstream, now)}"
