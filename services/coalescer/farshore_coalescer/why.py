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
    if state.source.trouble is not None:
        return f"the source volume: {state.source.trouble}"
    if replica.activity is Activity.IDLE and (holding := state.holding(now)):
        fence = max(holding, key=lambda one: one.seen_at + one.limit)
        left = fence.seen_at + fence.limit - now
        return f"fence {fence.fence} ({fence.reason}) holds snapshots, for {left:.0f} s more at most"
    if replica.activity is Activity.IDLE:
        return "it waits for the next snapshot"
    return "its relationship is being read"
