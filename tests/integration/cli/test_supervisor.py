"""The supervisor with real processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from waiting import wait_until

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.supervisor import Notice, Part, PartFailedError, Stage, Supervisor
from farshore_cli.tools.child import tail

pytestmark = pytest.mark.integration

OBEDIENT = "import signal, sys, time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
FAILING = "import sys; print('no such volume'); sys.exit(78)"


def part(folder: Path, name: str, program: str = OBEDIENT, **settings: float) -> Part:
    log_file = folder / f"{name}.log"
    return Part(name, (sys.executable, "-c", program), log_file, says(log_file, "up"), **settings)  # type: ignore[arg-type]


def says(log_file: Path, word: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return word in tail(log_file)

    return ask


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Told(list[Notice]):
    def of(self, name: str, stage: Stage) -> list[Notice]:
        return [notice for notice in self if notice.part == name and notice.stage is stage]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def supervisor(told: Told) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(told.append)
    yield supervisor
    supervisor.hurry()
    await supervisor.stop()


async def test_parts_end_in_reverse_order(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    await supervisor.start(part(tmp_path, "first"))
    await supervisor.start(part(tmp_path, "second"))
    pids = [process.pid for process in supervisor.processes()]
    await supervisor.stop()
    stopped = [notice for notice in told if notice.stage is Stage.STOPPED]
    assert [(notice.part, notice.detail) for notice in stopped] == [("second", ""), ("first", "")]
    assert not any(alive(pid) for pid in pids)
    assert supervisor.processes() == []


async def test_parts_that_start_at_once_may_end_one_after_the_other(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    async def third_starts() -> bool:
        return bool(told.of("third", Stage.STARTING))

    first = part(tmp_path, "first")
    waiting = Part(first.name, first.command, first.log_file, third_starts)
    await supervisor.start_tiers([waiting], [part(tmp_path, "second")], [part(tmp_path, "third")])
    await supervisor.stop()
    stopped = [notice.part for notice in told if notice.stage is Stage.STOPPED]
    assert stopped == ["third", "second", "first"]


async def test_nobody_waits_for_a_part_that_is_started_apart_and_it_is_kept_running(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, "first"))
    supervisor.start_apart(part(tmp_path, "apart", "import time; time.sleep(600)"))  # never ready
    before = {process.name: process.pid for process in supervisor.processes()}["apart"]
    os.kill(before, 9)
    await wait_until(lambda: len(told.of("apart", Stage.STARTING)) > 2, 20, "it to be started again")
    await supervisor.stop()
    assert [notice.part for notice in told if notice.stage is Stage.STOPPED] == ["apart", "first"]


async def test_a_part_that_cant_be_started_for_a_while_is_started_once_it_can(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    kept = part(tmp_path, "kept")
    await supervisor.start(kept)
    (process,) = supervisor.processes()
    kept.log_file.unlink()
    kept.log_file.mkdir()  # what is there instead can't be written to
    os.kill(process.pid, 9)
    await wait_until(
        lambda: any("can't be started: Is a directory" in notice.detail for notice in told.of("kept", Stage.ENDED)),
        60,
        "the failure to be told",
    )
    kept.log_file.rmdir()
    await wait_until(lambda: len(told.of("kept", Stage.READY)) == 2, 60, "it to run again")


async def test_a_part_that_is_still_starting_is_not_waited_for_at_the_end(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    """As Kafka, which ignores SIGTERM while it starts."""
    stubborn = part(tmp_path, "stubborn", STUBBORN.replace("'up'", "'deaf'"), stop_within_seconds=600)
    starting = asyncio.create_task(supervisor.start(stubborn))
    await wait_until(says(stubborn.log_file, "deaf"), 30, "it to ignore SIGTERM")
    starting.cancel()
    await asyncio.wait([starting])
    async with asyncio.timeout(180):
        await supervisor.stop()
    (stopped,) = told.of("stubborn", Stage.STOPPED)
    assert stopped.detail == "killed: it was still starting"


async def test_a_part_that_dies_is_started_again_and_said_so(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, "one"))
    (before,) = supervisor.processes()
    os.kill(before.pid, 9)
    await wait_until(lambda: len(told.of("one", Stage.READY)) == 2, 10, "the second start")
    (after,) = supervisor.processes()
    assert after.pid != before.pid
    assert alive(after.pid)
    assert "signal SIGKILL" in told.of("one", Stage.ENDED)[0].detail


async def test_after_each_start_the_pid_is_handed_on(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    pids: list[int] = []

    async def started(pid: int) -> None:
        pids.append(pid)

    one = part(tmp_path, "one")
    await supervisor.start(Part(one.name, one.command, one.log_file, one.ready, started=started))
    os.kill(pids[0], 9)
    await wait_until(lambda: len(pids) == 2, 10, "the second start")
    assert supervisor.processes()[0].pid == pids[1]


async def test_who_has_to_know_of_a_pid_is_told_again_until_it_listens(supervisor: Supervisor, tmp_path: Path) -> None:
    heard: list[int] = []

    async def started(pid: int) -> None:
        heard.append(pid)
        if len(heard) < 3:
            raise FarshoreError("tell", "cluster", "connection refused", retry=RetryClass.RETRY_SOON)

    one = part(tmp_path, "one")
    await supervisor.start(Part(one.name, one.command, one.log_file, one.ready, started=started))
    assert heard == [supervisor.processes()[0].pid] * 3


async def test_a_start_that_is_refused_for_good_is_a_failure(supervisor: Supervisor, tmp_path: Path) -> None:
    async def started(_pid: int) -> None:
        raise FarshoreError("tell", "cluster", "no such volume")

    one = part(tmp_path, "one")
    with pytest.raises(PartFailedError, match="no such volume"):
        await supervisor.start(Part(one.name, one.command, one.log_file, one.ready, started=started))


async def test_a_part_that_ignores_the_wish_to_end_is_killed(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, "deaf", STUBBORN, stop_within_seconds=0.3))
    (process,) = supervisor.processes()
    await supervisor.stop()
    assert not alive(process.pid)
    assert "killed" in told.of("deaf", Stage.STOPPED)[0].detail


async def test_an_impatient_user_need_not_wait_for_a_deaf_part(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(part(tmp_path, "deaf", STUBBORN, stop_within_seconds=1000))
    stopping = asyncio.create_task(supervisor.stop())
    supervisor.hurry()
    await asyncio.wait_for(stopping, 120)


async def test_a_part_that_fails_to_start_is_shown_with_the_end_of_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(PartFailedError, match="exit code 78") as failure:
        await supervisor.start(part(tmp_path, "broken", FAILING))
    assert "no such volume" in str(failure.value)
    assert failure.value.exit_code == 78


async def test_a_part_that_never_gets_ready_is_given_up(supervisor: Supervisor, tmp_path: Path) -> None:
    silent = part(tmp_path, "silent", "import time; time.sleep(600)", ready_within_seconds=0.3)
    with pytest.raises(PartFailedError, match="not ready after"):
        await supervisor.start(silent)


async def test_one_part_can_be_ended_and_started_by_name(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    await supervisor.start(part(tmp_path, "one"), part(tmp_path, "two"))
    await supervisor.stop_part("one")
    assert [process.name for process in supervisor.processes()] == ["two"]
    assert told.of("one", Stage.ENDED) == []
    await supervisor.start_part("one")
    assert [process.name for process in supervisor.processes()] == ["one", "two"]


PARENT = """
import asyncio, sys
from pathlib import Path
from farshore_cli.supervisor import Part, Supervisor

async def main():
    log = Path(sys.argv[1]) / "child.log"
    async def ready():
        return log.exists() and "up" in log.read_text()
    supervisor = Supervisor(lambda notice: None)
    program = "import time; print('up', flush=True); time.sleep(600)"
    await supervisor.start(Part("child", (sys.executable, "-c", program), log, ready))
    print(supervisor.processes()[0].pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_killing_the_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = int(await asyncio.wait_for(parent.stdout.readline(), 120))
        assert alive(child)
    finally:
        parent.kill()
        await parent.communicate()
    await wait_until(lambda: not alive(child), 10, "the child's end")
