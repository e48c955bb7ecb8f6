"""How a move is carried out where things fail; what is seen is scripted, hold files and topology are real files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from move_facts import HUB, INTENT, copies

from farshore.bus.clients import Bus
from farshore.errors import FarshoreError, RetryClass
from farshore.records.moves import MoveMarked
from farshore.topology import Topology, load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving import run as running
from farshore_cli.moving.facts import Copy, Decided, EdgeSeen, Hold, LogSeen, MoveFacts
from farshore_cli.moving.holds import HoldFiles
from farshore_cli.moving.plan import Intent
from farshore_cli.moving.run import MoveOutcome, Mover, Request
from farshore_cli.moving.steps import MovePlan, MoveStep

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "hub-and-spokes.yaml"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
Trouble = FarshoreError("read", "Kafka", "away", retry=RetryClass.RETRY_SOON)


class Unshown:
    def beginning(self, step: MoveStep) -> None:
        pass

    def done(self, step: MoveStep, failure: FarshoreError | None) -> None:
        pass

    def looked(self, plan: MovePlan) -> None:
        pass


@dataclass
class Log:
    """Takes no mark."""

    failure: FarshoreError
    marks: list[MoveMarked] = field(default_factory=list)

    async def mark(self, record: MoveMarked) -> None:
        self.marks.append(record)
        raise self.failure


@dataclass
class Scripted:
    """An observer of a calm world, whose edges hold as the files say; `troubles` come before an answer."""

    holds: HoldFiles
    log: Log
    copies: dict[str, Copy | Unseen]
    troubles: list[FarshoreError] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: NOW

    async def look(self, topology: Topology, intent: Intent) -> MoveFacts:
        if self.troubles:
            raise self.troubles.pop()
        old = topology.registries[intent.registry].primary.site
        holds = {name: self.holds.read(name) for name in topology.sites}
        edges = {name: EdgeSeen(old, 1, hold is not None, True) for name, hold in holds.items()}
        log = LogSeen("0a1b2c3d", 0, 10, 5)
        return MoveFacts(NOW, self.copies, edges, holds, log, Decided(0, ()), {})


@pytest.fixture
def world(tmp_path: Path) -> tuple[Mover, Scripted, Path]:
    file = tmp_path / "topology.yaml"
    file.write_text(EXAMPLE.read_text())
    holds = HoldFiles(str(tmp_path / "{site}"), INTENT.registry)
    scripted = Scripted(holds, Log(refusal(RetryClass.FINAL)), copies(HUB, 6))
    request = Request(file, Bus("127.0.0.1:1"), replace(INTENT, fresh="m"), str(tmp_path / "{site}"))
    return Mover(request, cast(Any, scripted), load_topology(file)), scripted, tmp_path


def refusal(retry: RetryClass) -> FarshoreError:
    return FarshoreError("mark", "the log", "refused", retry=retry)


def held(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/main"))


async def run(mover: Mover, within: float = 60) -> MoveOutcome:
    return await mover.run(Unshown(), within)


async def test_a_step_that_fails_for_good_releases_the_writes_that_were_held_for_it(
    world: tuple[Mover, Scripted, Path],
) -> None:
    mover, scripted, folder = world
    outcome = await run(mover)
    assert len(scripted.log.marks) == 1
    assert (outcome.given_up, outcome.exit_code) == ("a step failed", exit_codes.FAILED)
    assert held(folder) == []
    assert set(outcome.held_seconds) == set(load_topology(EXAMPLE).sites)


async def test_what_may_heal_is_tried_five_times(
    world: tuple[Mover, Scripted, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LONGEST_PAUSE", 0.01)
    mover, scripted, folder = world
    scripted.log.failure = refusal(RetryClass.RETRY_SOON)
    outcome = await run(mover)
    assert len(scripted.log.marks) == running.ATTEMPTS
    assert outcome.exit_code == exit_codes.FAILED
    assert held(folder) == []


async def test_kafka_that_is_away_for_a_moment_ends_nothing(
    world: tuple[Mover, Scripted, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LONGEST_PAUSE", 0.01)
    mover, scripted, _ = world
    scripted.troubles = [Trouble] * 5
    await run(mover)
    assert scripted.troubles == []
    assert scripted.log.marks


async def test_what_only_a_person_can_mend_ends_it_at_once(world: tuple[Mover, Scripted, Path]) -> None:
    mover, scripted, folder = world
    scripted.troubles = [Trouble, refusal(RetryClass.OPERATOR)]
    with pytest.raises(FarshoreError, match="refused"):
        await run(mover)
    assert scripted.troubles == [Trouble]
    assert held(folder) == []


async def test_a_move_that_is_out_of_time_goes_back(world: tuple[Mover, Scripted, Path]) -> None:
    mover, scripted, folder = world
    scripted.holds.write("nyc", Hold("m", "fra", NOW))
    outcome = await run(mover, within=0)
    assert (outcome.given_up, outcome.exit_code) == ("its time is over", exit_codes.UNKNOWN)
    assert held(folder) == []
    assert scripted.log.marks == []
