"""What schedules reach: the changes of each small machine inside the state, and the answers that each action got."""

from farshore_coalescer.messages import (
    Action,
    Began,
    LogRead,
    NoSlot,
    Observation,
    PositionRead,
    Publish,
    Published,
    PublishFailed,
    ReadReplica,
    ReplicaFailed,
    ReplicaRead,
    SlotFreed,
    SourceFailed,
    StartTransfer,
    TransferStarted,
)
from farshore_coalescer.state import Replica, State

Step = tuple[str, str, str, str]
"""(machine, before, cause, after): `cause` moved a replica, the source or a publication from `before` to `after`, which
may be the same. For the machine `answer`, `before` is an action, `cause` what it was answered with, `after` is empty.
"""

_OF_REPLICA = frozenset({ReadReplica, StartTransfer, ReplicaRead, ReplicaFailed, TransferStarted, NoSlot, SlotFreed})
_OF_PUBLICATION = frozenset({PositionRead, Publish, Published, PublishFailed})


def label(observation: Observation | Action) -> str:
    """The name of an observation, with what makes a difference to the decisions."""
    kind = type(observation)
    if isinstance(observation, ReplicaRead):
        if observation.running is not None:
            return "ReplicaRead: running"
        if observation.refusing is not None:
            return "ReplicaRead: refusing"
        return "ReplicaRead: failed" if observation.failed is not None else "ReplicaRead: at rest"
    if isinstance(observation, ReplicaFailed | SourceFailed):
        return f"{kind.__name__}: {observation.retry}"
    return kind.__name__


def record(reached: set[Step], before: State, observation: Observation, after: State) -> None:
    """Add what `observation` did to the machine that it concerns."""
    concerned = observation.action if isinstance(observation, Began) else observation
    kind = type(concerned)
    if kind in _OF_REPLICA:
        site = concerned.site  # type: ignore[union-attr]
        old, new = before.replica(site).activity, after.replica(site).activity
        reached.add(("replica", old._name_, label(concerned), new._name_))
    elif kind in _OF_PUBLICATION:
        site = concerned.site  # type: ignore[union-attr]
        place, reached_place = _publication(before.replica(site)), _publication(after.replica(site))
        reached.add(("publication", place, kind.__name__, reached_place))
    elif before.source is not after.source and kind is not LogRead:  # which says only what is clean there
        reached.add(("source", before.source.activity._name_, label(concerned), after.source.activity._name_))


def record_answer(reached: set[Step], action: Action, answer: Observation) -> None:
    """Add an answer, whether the process lived to hear it or not."""
    reached.add(("answer", type(action).__name__, label(answer), ""))


def _publication(replica: Replica) -> str:
    if replica.position is None:
        return "NO_POSITION"
    if replica.publishing is not None:
        return "PUBLISHING"
    return "REFUSED" if replica.publish_failures else "AT_REST"
