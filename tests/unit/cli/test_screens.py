"""What the commands print where there is no terminal."""

import io
import time

from rich.console import Console

from farshore.oci import Digest, Repository, Tag
from farshore_cli.demo.observations import Fate
from farshore_cli.demo.report import Row
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.screen import DemoScreen
from farshore_cli.screen import PartsScreen
from farshore_cli.supervisor import Notice, Stage

PUSH = Push(Repository.parse("team/app"), Tag.parse("v1"), Digest.of(b"x"), "x")


def lines(output: io.StringIO) -> list[str]:
    """The printed lines without their times."""
    return [line.partition("] ")[2] for line in output.getvalue().splitlines()]


def test_a_line_for_each_part_that_is_ready_and_none_for_the_wait() -> None:
    output = io.StringIO()
    with PartsScreen(Console(file=output), ["kafka"]) as screen:
        screen.show(Notice("kafka", Stage.STARTING, 7))
        screen.show(Notice("kafka", Stage.READY, 7, "2.0 s"))
    assert lines(output) == ["kafka: ready pid 7 (2.0 s)"]


def test_once_the_screen_is_over_only_parts_that_die_are_told_of() -> None:
    output = io.StringIO()
    screen = PartsScreen(Console(file=output), ["kafka"])
    with screen:
        pass
    screen.show(Notice("kafka", Stage.ENDED, None, "signal SIGKILL"))
    screen.show(Notice("kafka", Stage.READY, 8, "2.0 s"))
    screen.show(Notice("kafka", Stage.STOPPED, None))
    assert lines(output) == ["kafka: ended (signal SIGKILL)"]


def test_brackets_in_what_is_said_are_no_markup() -> None:
    output = io.StringIO()
    PartsScreen(Console(file=output), []).say("[red] is a word")
    assert lines(output) == ["[red] is a word"]


def test_both_screens_of_a_demo_count_from_its_beginning() -> None:
    output = io.StringIO()
    PartsScreen(Console(file=output), [], began=time.monotonic() - 3600).say("left up")
    assert output.getvalue().startswith("[360")


def test_each_change_of_an_image_is_told_once() -> None:
    output = io.StringIO()
    screen = DemoScreen(Console(file=output), ["fra"], time.monotonic())
    ready = Row(PUSH, {"fra": Fate(state="ready")})
    for rows in ([Row(PUSH, {"fra": Fate()})], [ready], [ready]):
        screen.show(rows)
    assert lines(output) == ["fra: team/app:v1 ready"]
