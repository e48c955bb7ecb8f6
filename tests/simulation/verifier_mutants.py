"""Planted mistakes: each is one change of the verifier's decisions that breaks a promise; the schedules must see it.

`python tests/simulation/verifier_mutants.py SEEDS [NAME …]` plants each in turn, in a process of its own, and runs
schedules until one breaks, at most SEEDS; a line says which. The exit code is 1 when a mistake went unseen.
"""

import argparse
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path

from planting import plant

import farshore.records.arrivals
import farshore.topology  # noqa: F401 - heavy, and the same for all mutants: read once, before the processes divide


@dataclass(frozen=True)
class Mutant:
    """`right` stands once in the source of `farshore_verifier.<module>`, and becomes `wrong`."""

    module: str
    right: str
    wrong: str


MUTANTS = {
    "absence is taken for proof once it has been patient": Mutant(
        "outcome",
        "return Decided(finding.state, finding, finding.reason)",
        "return Decided(ReadinessState.READY, finding, finding.reason)",
    ),
    "an unreachable site has served the deletion": Mutant(
        "outcome", "if isinstance(finding, Gone):", "if isinstance(finding, Gone) or finding.state == 'unreachable':"
    ),
    "a failure is never superseded": Mutant(
        "outcome", "if touched is Reach.NAME or (touched is Reach.CONTENT and lag):", "if False:"
    ),
    "nobody asks for a snapshot when a tag lags": Mutant(
        "outcome", "wants_snapshot=lag and waited_seconds >= LAG_SECONDS", "wants_snapshot=False"
    ),
    "every failure asks for a snapshot": Mutant(
        "outcome", "wants_snapshot=lag and waited_seconds >= LAG_SECONDS", "wants_snapshot=True"
    ),
    "patience begins anew with each look": Mutant("course", "0.0 if self._began is None else now - self._began", "0.0"),
    "a snapshot is asked for at each look": Mutant("course", "        self._asked = True", "        pass"),
    "the order of reading is taken for the order of events": Mutant(
        "supersede", "return Place(log, generation.offset)", "return Place(log, 0)"
    ),
    "an older event makes a newer one moot": Mutant(
        "supersede", "if own < place else None", "if own > place else None"
    ),
    "another name of the same digest counts as the image": Mutant(
        "supersede",
        "self._about.get((event.registry, event.image, None), ())",
        "offset for offset, (one, _) in self._events.items() if one.digest == event.digest",
    ),
    "a deletion doesn't touch what other names had": Mutant(
        "supersede", "_subjects(event, _OPPOSED.get(event.kind))", "_subjects(event, event.kind)"
    ),
    "what was decided stays in the index": Mutant("supersede", "self._about[subject].discard(offset)", "pass"),
    "arrivals of an image are concluded in any order": Mutant(
        "docket", "after=before[-1] if before else None", "after=None"
    ),
    "what was overtaken speaks last": Mutant("docket", "spoken=not undecided", "spoken=False"),
    "what was overtaken is looked at": Mutant("docket", "if newest.place > place:", "if False:"),
    "an arrival that stands there twice is said twice": Mutant(
        "docket", "again = newest.place == place", "again = False"
    ),
    "what was given up can't be sent back": Mutant("docket", "(undecided or newest.ended in _ENDED_WELL)", "True"),
    "what is decided is decided again": Mutant("docket", "None if standing is Standing.DECIDED else", ""),
    "what was late is late again": Mutant("docket", "late=standing is Standing.WAITING_LATE", "late=False"),
    "the position follows the newest decision": Mutant(
        "window", "return next(iter(self._waiting), self._frontier)", "return self._frontier"
    ),
    "a restart forgets what was decided beyond the position": Mutant(
        "window", "window._frontier = mark.offset + next(numbers)", "window._frontier = mark.offset + 0 * next(numbers)"
    ),
    "the next owner of a full lane reads nothing": Mutant("window", "return free + len(self._unread)", "return free"),
    "a full lane reads on": Mutant("window", "MAX_WAITING - len(self._waiting)", "MAX_WAITING"),
    "it isn't committed who is late": Mutant(
        "window", "yield (offset - previous) << 1 | late", "yield (offset - previous) << 1"
    ),
    "late is taken for decided": Mutant(
        "window", "                self.say_late(offset)", "                self.decide(offset)"
    ),
    "one site is every site": Mutant(
        "everywhere", "return all(site in said and", "return True or all(site in said and"
    ),
    "sites that have different events agree": Mutant(
        "everywhere", "said[site][:2] == word for", "said[site][1] == word[1] for"
    ),
    "a site's former word still counts": Mutant(
        "everywhere", "            said.pop(sighting.site, None)", "            pass"
    ),
    "what is everywhere is said again after a restart": Mutant(
        "everywhere", "                del self._complete[image]\n        elif", "                pass\n        elif"
    ),
    "a restart takes what isn't committed for announced": Mutant(
        "everywhere", "elif offset < self._committed:", "else:"
    ),
    "what was forgotten is never doubted": Mutant(
        "everywhere", "            self._doubtful.add(image)", "            pass"
    ),
}


def _run(name: str, seeds: int) -> None:
    mutant = MUTANTS[name]
    plant(f"farshore_verifier.{mutant.module}", mutant.right, mutant.wrong)
    sys.path.insert(0, str(Path(__file__).parent))
    from verifier_schedule import first_failure  # only now: it imports what was planted

    failure = first_failure((0, seeds))
    seen = failure.partition("\n")[0][:200] if failure else "unseen"
    print(f"{name}: {seen}", flush=True)
    raise SystemExit(0 if failure else 1)


def main() -> int:
    """0 when each mistake breaks a schedule."""
    parser = argparse.ArgumentParser(description="run schedules against planted mistakes")
    parser.add_argument("seeds", type=int)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    unseen = 0
    fork = multiprocessing.get_context("fork")
    for name in arguments.names or MUTANTS:
        process = fork.Process(target=_run, args=(name, arguments.seeds))
        process.start()
        process.join()
        unseen += process.exitcode != 0
    return min(unseen, 1)


if __name__ == "__main__":
    raise SystemExit(main())
