"""What was seen of a registry that moves: storage, edges, hold files, the log, readiness. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from farshore.ontap.model import Relationship, Volume
from farshore.records.moves import MoveMarked
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.loss import Loss


@dataclass(frozen=True, slots=True)
class Copy:
    """The registry at one site."""

    cluster: str
    """The cluster's own name."""
    volume: Volume | None
    relationship: Relationship | None
    """The one that ends in the volume."""
    exported: tuple[str, str] | None = None
    """Name and `version_uuid` of the snapshot that the destination shows."""
    snapshots: Mapping[str, str] = field(default_factory=dict)
    """`version_uuid` of farshore's snapshots on the volume, by name."""
    peers: frozenset[tuple[str, str]] = frozenset()
    """`(cluster, SVM)` that SnapMirror can reach from here."""
    has_policy: bool = True
    """Whether the SVM has farshore's policy."""
    crossed: int = 0
    """Bytes of the transfer that runs."""


@dataclass(frozen=True, slots=True)
class EdgeSeen:
    """What an edge says of the registry: whom it takes for the primary, and what becomes of writes."""

    primary: str
    epoch: int
    held: bool
    idle: bool
    """No write is under way."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold file's content. `move` is '' where somebody else made it."""

    move: str
    target: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark in the log."""

    offset: int
    record: MoveMarked


@dataclass(frozen=True, slots=True)
class LogSeen:
    """The registry's partition of `farshore.events`."""

    incarnation: str
    partition: int
    end: int
    last_event: int = -1
    """Offset of the registry's last event; -1 where the log has none."""
    marks: tuple[Marked, ...] = ()
    """In their order."""
    fences: tuple[str, ...] = ()
    """Those that are up."""


@dataclass(frozen=True, slots=True)
class Decided:
    """How the registry's images stand at the target."""

    undecided: int
    failed: tuple[str, ...]
    """Images that the verifier gave up, with the reason."""


@dataclass(frozen=True, slots=True)
class MoveFacts:
    """All of it, at one moment."""

    now: datetime
    copies: Mapping[str, Copy | Unseen]
    """By site."""
    edges: Mapping[str, EdgeSeen | Unseen]
    """Of every site that has one."""
    holds: Mapping[str, Hold | None]
    """The hold file of each edge's site."""
    log: LogSeen
    decided: Decided | None
    """None once the primary has moved: it is not asked for then."""
    positions: Mapping[str, int]
    """By relationship: up to where arrivals are published; left out where nothing was published yet."""
    accepts_writes: bool | None = None
    """Whether the target's registry takes writes; None where it doesn't say."""
    loss: Loss | None = None
    """Of a forced move: what the target lacks."""
    promoted: bool = False
    """Whether this run has had it take writes."""
