"""What follows from the facts of one name. Pure.

The rules:

1. What the primary has decides; where it gave no certain answer, nothing follows.
2. What the log announced and a site hasn't decided yet is under way: it isn't announced again. Unless a request says
   that the site lost what was announced before some offset.
3. What the primary has and a site was never told of, or was last told otherwise, is announced as a push.
4. What is called ready and the primary says it doesn't have is announced as deleted, but only by a primary that has
   proved in the same run that its content is mounted. An empty answer is no proof of anything.
5. What a site gave up is only reported: it was announced, so no notification was lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from farshore.records.events import EventKind
from farshore.records.readiness import GIVEN_UP, ReadinessState
from farshore_reconciler.facts import Announced, Answer, Facts, ImageName, Said


class Cause(StrEnum):
    """Why an event is missing."""

    LOST_PUSH = "lost-push"
    """No site ever heard of it: the notification was lost."""
    LOST_DELETE = "lost-delete"
    """Called ready, and the primary doesn't have it any more."""
    BACKFILL = "backfill"
    """Other sites know it, this one doesn't: it is new, or fell off the log."""
    HOLE = "hole"
    """Called ready at a site whose registry doesn't serve it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An event that has to be announced. `epoch` names the last that was known of the name before."""

    name: ImageName
    kind: EventKind
    digest: str | None
    cause: Cause
    sites: tuple[str, ...]
    epoch: str


class Remark(StrEnum):
    """What is reported, and changes nothing."""

    UNDER_WAY = "under-way"
    GIVEN_UP = "given-up"
    HOLE = "hole"
    EXTRA = "extra"
    """Served at a site; the primary says that it doesn't have it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Remarked:
    """One remark on a name at a site."""

    name: ImageName
    remark: Remark
    site: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all names of one registry in one run.

    `looked_at` are the sites whose registries were asked, and have proved that their content is mounted. `proven`
    says the same of the primary. `lost_before`: what was announced below this offset and the site hasn't decided, it
    never will.
    """

    primary: str
    replicas: tuple[str, ...]
    looked_at: frozenset[str] = frozenset()
    proven: bool = False
    lost_before: Mapping[str, int] = field(default_factory=dict)

    def is_under_way(self, announced: Announced | None, said: Said | None, site: str) -> bool:
        """Whether the site has yet to decide the last event, and can."""
        return _is_open(announced, said) and announced is not None and announced.offset >= self.lost_before.get(site, 0)


class _At(StrEnum):
    """How a name stands at a site, against what the primary has."""

    READY = "ready"
    UNDER_WAY = "under-way"
    GIVEN_UP = "given-up"
    UNTOLD = "untold"
    HOLE = "hole"


def judge(facts: Facts, rules: Rules) -> Iterator[Missing | Remarked]:
    """At most one Missing, and remarks."""
    primary = facts.seen.get(rules.primary)
    if primary is None:  # not asked: nobody calls it ready, and the primary doesn't list it
        return
    for site, seen in facts.seen.items():
        if seen.answer is Answer.UNKNOWN:
            yield Remarked(facts.name, Remark.UNKNOWN, site)
    match primary.answer:
        case Answer.HAS:
            yield from _pushed(facts, str(primary.digest), rules)
        case Answer.ABSENT:
            yield from _gone(facts, rules)


def _pushed(facts: Facts, digest: str, rules: Rules) -> Iterator[Missing | Remarked]:
    standing = {site: _stands(facts, site, digest, rules) for site in rules.replicas}
    for site, at in standing.items():
        if at in (_At.UNDER_WAY, _At.GIVEN_UP, _At.HOLE):
            yield Remarked(facts.name, Remark(at.value), site)
    untold = tuple(site for site, at in standing.items() if at is _At.UNTOLD)
    holes = tuple(site for site, at in standing.items() if at is _At.HOLE)
    if untold:
        told = len(untold) < len(standing) or _announces(facts.announced, EventKind.MANIFEST_PUSHED, digest)
        cause = Cause.BACKFILL if told else Cause.LOST_PUSH
        yield Missing(facts.name, EventKind.MANIFEST_PUSHED, digest, cause, untold, _epoch(facts))
    elif holes:
        yield Missing(facts.name, EventKind.MANIFEST_PUSHED, digest, Cause.HOLE, holes, _epoch(facts))


def _stands(facts: Facts, site: str, digest: str, rules: Rules) -> _At:
    said = facts.said.get(site)
    if rules.is_under_way(facts.announced, said, site):
        announced = _announces(facts.announced, EventKind.MANIFEST_PUSHED, digest)
        return _At.UNDER_WAY if announced else _At.UNTOLD
    if said is None or said.digest != digest:
        return _At.UNTOLD
    if said.state is ReadinessState.READY:
        seen = facts.seen.get(site) if site in rules.looked_at else None
        served = seen is None or seen.answer is Answer.UNKNOWN or seen.digest == digest
        return _At.READY if served else _At.HOLE
    if said.state is ReadinessState.LATE:
        return _At.UNDER_WAY if said.offset >= rules.lost_before.get(site, 0) else _At.UNTOLD
    return _At.GIVEN_UP if said.state in GIVEN_UP else _At.UNTOLD


def _gone(facts: Facts, rules: Rules) -> Iterator[Missing | Remarked]:
    deletion = EventKind.MANIFEST_DELETED if facts.name.tag is None else EventKind.TAG_DELETED
    announced = _announces(facts.announced, deletion, None)
    ready = [said for said in facts.said.values() if said.state is ReadinessState.READY and said.site in rules.replicas]
    untold = tuple(sorted(s.site for s in ready if not (announced and rules.is_under_way(facts.announced, s, s.site))))
    for said in ready:
        if said.site not in untold:
            yield Remarked(facts.name, Remark.UNDER_WAY, said.site)
    if untold and not rules.proven:
        yield Remarked(facts.name, Remark.UNKNOWN, rules.primary)
    elif untold:
        digest = facts.name.digest
        yield Missing(facts.name, deletion, digest, Cause.LOST_DELETE, untold, _epoch(facts))
    if not rules.proven:
        return
    for site in rules.looked_at:
        seen = facts.seen.get(site)
        going = announced and rules.is_under_way(facts.announced, facts.said.get(site), site)
        if seen is not None and seen.answer is Answer.HAS and site not in untold and not going:
            yield Remarked(facts.name, Remark.EXTRA, site)


def _is_open(announced: Announced | None, said: Said | None) -> bool:
    """Whether the site has yet to decide the last event."""
    return announced is not None and (said is None or said.offset < announced.offset)


def _announces(announced: Announced | None, kind: EventKind, digest: str | None) -> bool:
    return announced is not None and announced.kind is kind and (digest is None or announced.digest == digest)


def _epoch(facts: Facts) -> str:
    """The last that is known of the name: two runs that see the same come to the same, a later loss to another."""
    if facts.announced is not None:
        return facts.announced.event_id
    newest = max(facts.said.values(), key=lambda said: (said.offset, said.generation), default=None)
    return newest.generation if newest else "never"
