"""Very many schedules on all cores: until a promise breaks, so many have run, the time is over or somebody stops it.

What was reached and how far it came stands in a file after every few seconds, so that a campaign can go on from there.
"""

import argparse
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 100
WRITE_SECONDS = 5.0

Seeds = tuple[int, int]
RunRange = Callable[[Seeds], tuple[str | None, Counter[Any]]]


@dataclass
class Totals:
    """`next`: the seed to go on with. `reached`: how many schedules reached each step. Seconds by the wall's clock."""

    next: int
    schedules: int = 0
    seconds: float = 0.0
    reached: Counter[Any] = field(default_factory=Counter)
    failure: str | None = None

    @classmethod
    def read(cls, file: Path) -> "Totals":
        """Where a campaign stopped."""
        document = json.loads(file.read_text(encoding="utf-8"))
        reached = {tuple(step) if isinstance(step, list) else step: count for step, count in document["reached"]}
        return cls(document["next"], document["schedules"], document["seconds"], Counter(reached))

    def write(self, file: Path, listed: set[Any]) -> None:
        """Replace the file, with what of `listed` was not reached."""
        document = {
            "next": self.next,
            "schedules": self.schedules,
            "seconds": round(self.seconds, 1),
            "reached": sorted(self.reached.items()),
            "missed": sorted(listed - set(self.reached)),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        fresh.replace(file)


def parser(description: str) -> argparse.ArgumentParser:
    """The command line that both campaigns have."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--schedules", type=int, default=1_000_000, help="how many to run at most")
    arguments.add_argument("--seconds", type=float, default=float("inf"), help="begin none after that")
    arguments.add_argument("--first", type=int, default=0, help="first seed")
    arguments.add_argument("--resume", action="store_true", help="go on, and count on, where the last campaign stopped")
    arguments.add_argument("--workers", type=int, default=os.cpu_count())
    return arguments


def run_many(options: argparse.Namespace, run_range: RunRange, report: Path, listed: set[Any]) -> Totals:
    """Run them, say how it goes, and leave `report`. Ctrl-C stops it as `--seconds` does."""
    totals = Totals.read(report) if options.resume and report.exists() else Totals(options.first)
    last = totals.next + options.schedules
    before, began, written = totals.seconds, time.monotonic(), 0.0
    beginning, done = totals.next, totals.schedules
    running: deque[tuple[Seeds, Future[tuple[str | None, Counter[Any]]]]] = deque()
    with ProcessPoolExecutor(options.workers) as pool:
        try:
            while True:
                elapsed = time.monotonic() - began
                while beginning < last and elapsed < options.seconds and len(running) < 2 * (options.workers or 1):
                    seeds = (beginning, min(beginning + CHUNK, last))
                    running.append((seeds, pool.submit(run_range, seeds)))
                    beginning = seeds[1]
                if not running:
                    break
                (start, end), future = running.popleft()
                totals.failure, reached = future.result()
                totals.reached.update(reached)
                totals.seconds = before + time.monotonic() - began
                if totals.failure is not None:
                    break
                totals.next, totals.schedules = end, totals.schedules + end - start
                rate = (totals.schedules - done) / (time.monotonic() - began)
                print(f"\r{totals.schedules:,} schedules, {rate:,.0f} a second", end="", flush=True)
                if totals.seconds - written > WRITE_SECONDS:
                    totals.write(report, listed)
                    written = totals.seconds
        except KeyboardInterrupt:
            print("\nstopped", end="")
        finally:
            pool.shutdown(cancel_futures=True)
    print()
    totals.write(report, listed)
    return totals


def run_all(run_range: RunRange, schedules: int) -> tuple[str | None, Counter[Any]]:
    """The schedules from 0 on, on all cores, in silence: what broke first in each share, and what was reached."""
    workers = os.cpu_count() or 1
    share = -(-schedules // workers)
    ranges = [(start, min(start + share, schedules)) for start in range(0, schedules, share)]
    reached: Counter[Any] = Counter()
    failures = []
    with ProcessPoolExecutor(workers) as pool:
        for failure, steps in pool.map(run_range, ranges):
            reached.update(steps)
            if failure is not None:
                failures.append(failure)
    return "\n".join(failures) or None, reached


def say_totals(totals: Totals, report: Path) -> None:
    """The last words: what ran, and how to go on."""
    print(f"{totals.schedules:,} schedules kept every promise, in {totals.seconds:,.0f} s; next seed {totals.next}")
    print(f"counts: {report}; --resume goes on from there")
