"""Planted mistakes: each is one change of the decisions' source that breaks a promise; the schedules must see it.

`python tests/simulation/mutants.py NAME SEEDS` runs schedules against the decisions with that mistake, in memory alone,
until one of SEEDS schedules breaks, and says which.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from planting import plant


@dataclass(frozen=True)
class Mutant:
    """`right` stands once in the source of `farshore_coalescer.<module>`, and becomes `wrong`.

    `harm` is what that would have done to a user.
    """

    module: str
    right: str
    wrong: str
    harm: str


MUTANTS = {
    "events count before they have settled": Mutant(
        "decide",
        "if mark.seen_at + settle > now:",
        "if mark.seen_at > now:",
        "an image is announced whose tag is not there yet",
    ),
    "a snapshot's name covers what has not settled": Mutant(
        "decide",
        "cover = settled_extent(state, now).end",
        "cover = state.seen.end",
        "an image is announced whose tag is not there yet",
    ),
    "an event inherits the age of the one before": Mutant(
        "apply_log",
        "Mark(extent, now))",
        "Mark(extent, state.marks[0].seen_at if state.marks else now))",
        "in a burst, an image is announced whose tag is not there yet",
    ),
    "another registry's event hides ours": Mutant(
        "apply_log",
        "extent = state.seen.merged(seen.extent)",
        "extent = seen.extent",
        "an image never becomes ready because another registry pushed right after it",
    ),
    "arrivals reach as far as the source's snapshots": Mutant(
        "decide",
        "end = replica.proven",
        "end = state.covered()",
        "a slow site is said to have what only the fast ones have",
    ),
    "a position follows the log although events wait": Mutant(
        "decide",
        "if end >= state.seen.dirty and end > 0 and now",
        "if end > 0 and now",
        "an image is announced ten seconds after it was pushed, wherever it is",
    ),
    "arrivals begin at the log's beginning": Mutant(
        "decide",
        "Publish(replica.site, replica.position, end,",
        "Publish(replica.site, 0, end,",
        "every arrival is published again with each transfer",
    ),
    "a publication that failed counts as done": Mutant(
        "apply_replica",
        "position=max(failed.position, replica.position or 0)",
        "position=replica.publishing",
        "images are skipped when Kafka refuses a transaction",
    ),
    "what was published is not remembered": Mutant(
        "apply_replica",
        "position=max(published.position, replica.position or 0)",
        "position=replica.position",
        "every arrival is published again, without end",
    ),
    "two publications of a site run side by side": Mutant(
        "decide",
        "if replica.publishing is not None or now < replica.publish_at:",
        "if now < replica.publish_at:",
        "arrivals are published twice",
    ),
    "somebody else's exported snapshot proves the newest cover": Mutant(
        "proof",
        "return snapshot.cover or 0",
        "return max(s.cover or 0 for s in source) if snapshot.cover is None else snapshot.cover",
        "after an update by hand, images are announced that came later than it",
    ),
    "any exported snapshot proves the newest cover": Mutant(
        "proof",
        "    return 0",
        "    return max((s.cover or 0 for s in source), default=0)",
        "a site that was set up before the log was made anew is said to have everything",
    ),
    "what may be older than the exported snapshot is sent": Mutant(
        "decide",
        "return state.source.began_at < replica.younger_than or useless",
        "return useless",
        "after an update by hand, ONTAP refuses every transfer and the site stays behind until the next push",
    ),
    "what is sent in vain is sent for ever": Mutant(
        "apply_replica",
        'return {"younger_than": now, "vain": next(sent, None)}',
        "return {}",
        "after a late request of a former owner, the site stays behind until the next push",
    ),
    "a snapshot's name is given again": Mutant(
        "apply",
        "numbered=state.source.numbered + 1, ",
        "",
        "a late request for a deleted snapshot finds another one, which a garbage collector may have half removed",
    ),
    "the owners of a lane name their snapshots alike": Mutant(
        "decide",
        "source.numbered + 1, state.owner)",
        'source.numbered + 1, "0" * 8)',
        "a late request for a deleted snapshot finds another one, which a garbage collector may have half removed",
    ),
    "a new snapshot of the same cover isn't the newest": Mutant(
        "state",
        "own = [(snapshot.cover, snapshot.number, snapshot)",
        "own = [(snapshot.cover, -snapshot.number, snapshot)",
        "what proves nothing, or can't be sent, is sent again and again",
    ),
    "snapshots that people named like ours are deleted": Mutant(
        "state",
        "is_ours(identity.name))",
        'identity.name.startswith("farshore-"))',
        "a snapshot that an operator took before an upgrade is gone",
    ),
    "bases and targets of replicas are deleted": Mutant(
        "decide",
        "if snapshot.id == replica.exported or snapshot.id.name in (replica.target, replica.unseen):",
        "if False:",
        "transfers break off; the next one copies everything anew",
    ),
    "the newest snapshot is deleted": Mutant(
        "decide",
        "    if snapshot is state.source.newest or snapshot is state.newest():",
        "    if False:",
        "a snapshot is gone before it was sent; another is taken, without end",
    ),
    "a cascade takes what its upstream doesn't have": Mutant(
        "decide",
        "(s for s in state.source.snapshots or () if s.id == exported)",
        "(s for s in state.source.snapshots or () if exported and s is state.source.newest)",
        "the far end of a cascade asks in vain, and falls behind",
    ),
    "a cascade's third hop takes what the first one has": Mutant(
        "decide",
        "exported = state.replica(replica.upstream).exported",
        "exported = state.replicas[0].exported",
        "the far end of a long cascade asks in vain, and falls behind",
    ),
    "what the end of a cascade rests on is deleted": Mutant(
        "decide",
        "if snapshot.id == replica.exported or snapshot.id.name in (replica.target, replica.unseen):",
        "if replica.upstream is None and replica.exported == snapshot.id or snapshot.id.name == replica.target:",
        "a slow site's content is no longer proved, nor could it go on from the primary when its upstream is lost",
    ),
    "the end of a cascade waits for the source": Mutant(
        "decide",
        "    if replica.upstream is not None:\n        return False",
        "    if False:\n        return False",
        "after an update by hand, the end of a cascade stays behind until the next push",
    ),
    "a transfer that runs is forgotten": Mutant(
        "apply_replica",
        "activity=Activity.TRANSFERRING,\n        transfer",
        "activity=Activity.IDLE,\n        transfer",
        "a second transfer is asked for while one runs",
    ),
    "a slot that gets free is not heard": Mutant(
        "apply_replica",
        "activity=Activity.IDLE, idle_since=now)",
        "idle_since=now)",
        "a site that once waited for its turn waits for ever",
    ),
    "a refusal is tried again at once": Mutant(
        "apply_replica",
        "look_at=now + wait_seconds(retry, failures, site)",
        "look_at=now",
        "a cluster in trouble is asked thousands of times a second",
    ),
    "nobody is woken when events settle": Mutant(
        "decide",
        "times = [mark.seen_at + state.rules.settle for mark in state.marks]",
        "times: list[float] = []",
        "the last image of the day is ready tomorrow",
    ),
    "a refused source is asked again at once": Mutant(
        "apply_source",
        'look_at=now + wait_seconds(failed.retry, failures, "source")',
        "look_at=now",
        "a cluster in trouble is asked thousands of times a second",
    ),
    "a fence is not heeded": Mutant(
        "decide",
        "return unread or bool(state.holding(now)) or fences.touch(end)",
        "return unread",
        "a site serves what a garbage collector had half removed",
    ),
    "a snapshot sets out that a fence may touch": Mutant(
        "decide",
        "return newest if newest is not None and state.is_clean(newest) else None",
        "return newest",
        "a site serves what a garbage collector had half removed",
    ),
    "every snapshot counts as clean once the log was read": Mutant(
        "apply_log",
        "is not None and not fences.touch(cover, read.end)",
        "is not None",
        "a site serves what a garbage collector had half removed",
    ),
    "fences from before the process are unknown to it": Mutant(
        "state",
        "fences=Fences(read_to=head)",
        "fences=Fences(read_from=0, read_to=head)",
        "a site serves what a garbage collector had half removed",
    ),
    "a fence lets go before its limit": Mutant(
        "fences",
        "now < fence.seen_at + fence.limit",
        "now < fence.seen_at + 1",
        "a site serves what a garbage collector had half removed",
    ),
    "a lifted fence holds on": Mutant(
        "fences",
        " and not self.is_lifted(fence)",
        "",
        "nothing arrives although the garbage collector has ended",
    ),
    "a fence is said to hold while a snapshot is under way": Mutant(
        "decide",
        "taking = state.source.activity is SourceActivity.SNAPSHOTTING or state.source.unsure",
        "taking = False",
        "the garbage collector begins while a snapshot is being taken",
    ),
    "nobody is woken when a fence lets go": Mutant(
        "decide",
        "times += [fence.seen_at + fence.limit for fence in state.holding(now)]",
        "pass",
        "nothing arrives although the fence has let go",
    ),
    "a snapshot that ends where a fence was raised counts as clean": Mutant(
        "fences",
        "fence.offset >= cover and",
        "fence.offset > cover and",
        "a site serves what a garbage collector had half removed",
    ),
}


def main() -> int:
    """0 when a schedule breaks, 1 when all keep their promises: the mistake went unseen."""
    parser = argparse.ArgumentParser(description="run schedules against a planted mistake")
    parser.add_argument("name", choices=MUTANTS)
    parser.add_argument("seeds", type=int)
    arguments = parser.parse_args()
    mutant = MUTANTS[arguments.name]
    plant(f"farshore_coalescer.{mutant.module}", mutant.right, mutant.wrong)
    sys.path.insert(0, str(Path(__file__).parent))
    from schedule import run_range  # only now: it imports what was planted

    failure = run_range((0, arguments.seeds)).failure
    print(failure[:300] if failure else "unseen")
    return 0 if failure else 1


if __name__ == "__main__":
    raise SystemExit(main())
