"""An independent auditor: judges what the topics hold from their beginning, and says which promises were broken.

It shares nothing with the services but the records' formats, and trusts none of them. `judge` is pure; the promises are
those of docs/faults.md. What a replica's disk held when something was called ready is replica_disk.py's, since only
somebody who was there can tell.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from evidence import Evidence, Logged, collect

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS
from farshore.oci import image_name
from farshore.records.arrivals import Arrival
from farshore.records.events import ANNOUNCED_KINDS, Event, EventKind
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState

FINAL = frozenset({ReadinessState.READY, ReadinessState.REVOKED, ReadinessState.SUPERSEDED})
SAID_OF_ALL_SITES = {
    ReadinessState.READY: ReadinessState.READY_EVERYWHERE,
    ReadinessState.REVOKED: ReadinessState.REVOKED,
}
REPEATED_WITHIN = 4096
"""Offsets within which an event's id that comes again is the same event (docs/adr/0007-repeated-notifications.md)."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that the registry acknowledged to the client."""

    repository: str
    digest: str
    tag: str | None = None


async def audit(
    bus: Bus,
    sites: Sequence[str],
    *,
    pushed: Iterable[Pushed] = (),
    may_fail: Collection[ReadinessState] = (),
) -> list[str]:
    """Read everything and `judge` it."""
    return judge(await collect(bus), sites, pushed=pushed, may_fail=may_fail)


def judge(
    evidence: Evidence,
    sites: Sequence[str],
    *,
    pushed: Iterable[Pushed] = (),
    may_fail: Collection[ReadinessState] = (),
) -> list[str]:
    """Every broken promise, one line each. All of `pushed` must have been accepted.

    `may_fail`: failures that a fault of the test may justly end in; what isn't named is a broken promise.
    """
    return [
        *_every_push_is_announced(evidence, pushed),
        *judge_arrivals(evidence, sites),
        *_decided_once(evidence, sites, may_fail),
        *_ready_after_arrival(evidence),
        *_of_all_sites_once(evidence, sites),
        *_letters(evidence, may_fail),
    ]


def judge_arrivals(evidence: Evidence, sites: Sequence[str]) -> list[str]:
    """The broken promises up to arrivals: all that can be judged where no verifier runs."""
    return [
        *(f"it can't be read: {where}" for where in evidence.unreadable),
        *_arrivals_once(evidence, sites),
        *_arrivals_in_order(evidence),
        *_snapshots_cover(evidence),
        *_positions_forward(evidence),
    ]


def accepted(evidence: Evidence) -> list[Logged[Event]]:
    """The events without their repetitions."""
    last: dict[tuple[str, str], int] = {}
    once = []
    for entry in sorted(evidence.events, key=attrgetter("partition", "offset")):
        identity = (entry.what.registry, entry.what.id)
        if identity not in last or entry.offset - last[identity] > REPEATED_WITHIN:
            once.append(entry)
        last[identity] = entry.offset
    return once


def owed(
    evidence: Evidence,
    sites: Sequence[str],
    *,
    pushed: Iterable[Pushed] = (),
    may_fail: Collection[ReadinessState] = (),
) -> list[str]:
    """What is still to come: events, arrivals, decisions, and what is to be said of all sites."""
    ends = FINAL | set(may_fail)
    arrived = {_place(one.what) for one in evidence.arrivals}
    decided = {(one.what.event_id, one.what.site) for one in evidence.statements if one.what.state in ends}
    wanting = list(_every_push_is_announced(evidence, pushed))
    for entry in accepted(evidence):
        for site in sites:
            if (entry.partition, entry.offset, site) not in arrived:
                wanting.append(f"the arrival of {_name(entry)} at {site}")
            elif entry.what.kind in ANNOUNCED_KINDS and (entry.what.id, site) not in decided:
                wanting.append(f"a decision about {_name(entry)} at {site}")
    due, said, _ = _of_all_sites(evidence, sites)
    return wanting + [f"{one.image} is {word[1]} at all sites" for word, one in due.items() if word not in said]


def _every_push_is_announced(evidence: Evidence, pushed: Iterable[Pushed]) -> Iterator[str]:
    known = {
        (entry.what.repository, entry.what.digest, entry.what.tag)
        for entry in evidence.events
        if entry.what.kind is EventKind.MANIFEST_PUSHED
    }
    for push in pushed:
        if (push.repository, push.digest, push.tag) not in known:
            yield f"{push.repository}:{push.tag or push.digest} was pushed, and no event says so"


def _arrivals_once(evidence: Evidence, sites: Sequence[str]) -> Iterator[str]:
    """Each accepted event arrives once at each site; one more time for each time that its letter was sent back."""
    events = {(entry.partition, entry.offset): entry for entry in accepted(evidence)}
    counts = Counter(_place(one.what) for one in evidence.arrivals)
    again = Counter(_place(one.what) for one in _sent_back(evidence))
    for (partition, offset), entry in events.items():
        for site in sites:
            place = (partition, offset, site)
            if counts[place] != 1 + again[place]:
                yield f"{_name(entry)} arrived {counts[place]} times at {site}"
    for one in evidence.arrivals:
        announced = events.get(_place(one.what)[:2])
        if announced is None or one.what.site not in sites:
            yield f"an arrival of {one.what.event.image} at {one.what.site} that no event announced"
        elif announced.what != one.what.event:
            yield f"{_name(announced)} arrived at {one.what.site} as something else"
    if len({one.what.generation.incarnation for one in evidence.arrivals}) > 1:
        yield "arrivals speak of several incarnations of the topic of events"


def _arrivals_in_order(evidence: Evidence) -> Iterator[str]:
    """In each partition each relationship's arrivals come in the order of their events, by ever newer snapshots."""
    sent_back = {(one.partition, one.offset) for one in _sent_back_copies(evidence)}
    last: dict[tuple[int, str, str], tuple[int, tuple[int, int]]] = {}
    for one in sorted(evidence.arrivals, key=attrgetter("partition", "offset")):
        if (one.partition, one.offset) in sent_back:
            continue
        relationship = (one.partition, one.what.event.registry, one.what.site)
        offset, cover = one.what.generation.offset, _cover(one.what)
        before = last.get(relationship, (-1, (-1, 0)))
        if offset <= before[0]:
            yield f"{one.what.event.image} arrived at {one.what.site} after a later event"
        if cover < before[1]:
            yield f"{one.what.event.image} arrived at {one.what.site} by an older snapshot than the event before it"
        last[relationship] = (offset, cover)


def _snapshots_cover(evidence: Evidence) -> Iterator[str]:
    """The snapshot that an arrival names must cover the event's offset, by its name."""
    for one in evidence.arrivals:
        arrival, generation = one.what, one.what.generation
        cover, _ = _cover(arrival)
        if generation.offset >= cover:
            yield f"{arrival.event.image} at {arrival.site}: {arrival.passage.snapshot} doesn't cover it"


def _decided_once(evidence: Evidence, sites: Sequence[str], may_fail: Collection[ReadinessState]) -> Iterator[str]:
    """Each announced event has one end at each site and generation."""
    ends = FINAL | set(may_fail)
    of_sites = [one.what for one in evidence.statements if one.what.site != EVERYWHERE]
    final = Counter((one.generation, one.event_id, one.site) for one in of_sites if one.state in ends)
    again = Counter((str(one.what.generation), one.what.event.id, one.what.site) for one in _sent_back(evidence))
    generations = {_place(one.what)[:2]: str(one.what.generation) for one in evidence.arrivals}
    for entry in accepted(evidence):
        if entry.what.kind not in ANNOUNCED_KINDS:
            continue
        for site in sites:
            decision = (generations.get((entry.partition, entry.offset), ""), entry.what.id, site)
            times = final.pop(decision, 0)
            if times != 1 + again[decision]:
                yield f"{entry.what.kind} of {_name(entry)} decided {times} times at {site}"
    for generation, event_id, site in final:
        yield f"{event_id} of generation {generation} decided at {site}, which no event announced"
    for one in of_sites:
        if one.state not in ends and one.state is not ReadinessState.LATE:
            yield f"{one.image} at {one.site}: {one.state} ({one.reason})"


def _ready_after_arrival(evidence: Evidence) -> Iterator[str]:
    """What is called ready arrived there, by the snapshot that the record names."""
    arrived = {
        (one.what.event.id, one.what.site, one.what.passage.snapshot, one.what.passage.snapshot_version)
        for one in evidence.arrivals
    }
    for entry in evidence.statements:
        one = entry.what
        if one.state is ReadinessState.READY and (one.event_id, one.site, one.snapshot, one.snapshot_version) not in (
            arrived
        ):
            yield f"{one.image} is ready at {one.site} by {one.snapshot}, with which it didn't arrive"


Word = tuple[str, ReadinessState]
"""An event's id and what is said of it."""


def _of_all_sites(evidence: Evidence, sites: Sequence[str]) -> tuple[dict[Word, Readiness], Counter[Word], list[str]]:
    """What is to be said of all sites, how often it was said, and what was said too early.

    It is due when every site's last word about an image is the same one.
    """
    words: defaultdict[tuple[str, str], dict[str, Word]] = defaultdict(dict)
    due: dict[Word, Readiness] = {}
    said: Counter[Word] = Counter()
    early = []
    for entry in sorted(evidence.statements, key=attrgetter("partition", "offset")):
        one = entry.what
        if one.site == EVERYWHERE:
            said[one.event_id, one.state] += 1
            if (one.event_id, one.state) not in due:
                early.append(f"{one.image} is {one.state} of all sites before all of them say so")
            continue
        last = words[one.registry, one.image]
        last[one.site] = (one.event_id, one.state)
        if one.state in SAID_OF_ALL_SITES and all(last.get(site) == last[one.site] for site in sites):
            due[one.event_id, SAID_OF_ALL_SITES[one.state]] = one
    return due, said, early


def _of_all_sites_once(evidence: Evidence, sites: Sequence[str]) -> Iterator[str]:
    due, said, early = _of_all_sites(evidence, sites)
    yield from early
    for word, one in due.items():
        if said[word] != 1:
            yield f"{one.image} is {word[1]} at all sites, which was said {said[word]} times"


def _positions_forward(evidence: Evidence) -> Iterator[str]:
    last: dict[tuple[str, str, int], int] = {}
    for commit in evidence.commits:
        if not commit.group.startswith("farshore."):
            continue
        place = (commit.group, commit.topic, commit.partition)
        before = last.get(place, -1)
        if commit.offset is None:
            yield f"the position of {commit.group} on {commit.topic}/{commit.partition} was forgotten"
        elif commit.offset < before:
            yield f"{commit.group} went back on {commit.topic}/{commit.partition} from {before} to {commit.offset}"
        last[place] = max(before, commit.offset or 0)


def _letters(evidence: Evidence, may_fail: Collection[ReadinessState]) -> Iterator[str]:
    sent_back = {mark.what.offset for mark in evidence.marks}
    for letter in evidence.letters:
        if letter.offset not in sent_back and letter.what.code not in set(may_fail):
            yield f"a dead letter of {letter.what.source}: {letter.what.code}, {letter.what.reason}"
    if len(sent_back) < len(evidence.marks):
        yield "a dead letter was sent back twice"


def _sent_back(evidence: Evidence) -> list[Logged[Arrival]]:
    """The arrivals whose dead letters were sent back, as they stand in the log for the first time."""
    marked = {mark.what.offset for mark in evidence.marks}
    sources = {letter.what.source for letter in evidence.letters if letter.offset in marked}
    return [one for one in evidence.arrivals if f"{ARRIVALS.name}/{one.partition}@{one.offset}" in sources]


def _sent_back_copies(evidence: Evidence) -> list[Logged[Arrival]]:
    """What redrive wrote: the later copies of arrivals whose letters were sent back."""
    first = {_place(one.what): one for one in reversed(_sent_back(evidence))}
    return [one for one in evidence.arrivals if _place(one.what) in first and one != first[_place(one.what)]]


def _place(arrival: Arrival) -> tuple[int, int, str]:
    return (arrival.generation.partition, arrival.generation.offset, arrival.site)


def _cover(arrival: Arrival) -> tuple[int, int]:
    """What the arrival's snapshot says by its name that it covers of the event's log, and which of the log's snapshots
    it is; -1 where it says nothing of that log."""
    log = f"farshore-{arrival.generation.incarnation}-{arrival.generation.partition}"
    match = re.fullmatch(rf"{re.escape(log)}-(\d+)-(\d+)-[0-9a-f]{{8}}", arrival.passage.snapshot)
    return (int(match[1]), int(match[2])) if match else (-1, 0)


def _name(entry: Logged[Event]) -> str:
    event = entry.what
    return f"{image_name(event.repository, event.digest, event.tag)} (event {entry.partition}@{entry.offset})"
