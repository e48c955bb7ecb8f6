"""What every test may ask for: a real Kafka, the outside programs, a name of its own."""

import faulthandler
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from memory_folder import memory_folder

from farshore_cli.tools.find import Tools, find_tools
from farshore_cli.tools.kafka import Broker

# How long an example takes says nothing about it on a busy machine; a failure prints how to repeat it.
settings.register_profile("farshore", deadline=None, print_blob=True)
settings.load_profile("farshore")

BEYOND_TIMEOUT_SECONDS = 60
_STDERR = 2
_TESTS = Path(__file__).parent
_TEMPORARY_ROOT = "PYTEST_DEBUG_TEMPROOT"
"""pytest's own variable: below it lies every `tmp_path`."""
_LONGEST_FIRST = ("end_to_end", "faults", "simulation", "integration", "helm", "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into memory, unless somebody has chosen another place or there is too little of it."""
    if config.option.basetemp is None and _TEMPORARY_ROOT not in os.environ and (folder := memory_folder()):
        os.environ[_TEMPORARY_ROOT] = str(folder)


def pytest_report_header() -> str:
    """Where they are."""
    return f"temporary files: {os.environ.get(_TEMPORARY_ROOT, 'on disk: too little memory is free for them')}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker begins one while the others have nothing left."""
    places = {name: number for number, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(_TESTS).parts[0], 0))


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(settings: Any) -> None:
    """Behind pytest-timeout's exception, which an asyncio task takes for its own if it happens to run: end the process.

    Of several workers only the one ends; its test has failed, and another goes on.
    """
    if settings.timeout:
        faulthandler.dump_traceback_later(settings.timeout + BEYOND_TIMEOUT_SECONDS, exit=True, file=_STDERR)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer() -> None:
    """The test has ended."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One real broker for all tests; start your own `Broker` to kill or break one."""
    folder = tmp_path_factory.mktemp("kafka")
    with Broker(folder / "data", folder / "kafka.log") as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_broker: Broker) -> str:
    """`host:port` of the session's broker. Topics aren't created by themselves: name them with `unique`."""
    return kafka_broker.bootstrap


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The outside programs; fails naming the one that is missing (`scripts/setup` gets them)."""
    return find_tools()


@pytest.fixture(scope="session", params=["v2", "v3"], ids=["distribution-2.8", "distribution-3"])
def registry_program(request: pytest.FixtureRequest, tools: Tools) -> Path:
    """The registry, once in each major version: `serve CONFIG` is its command line."""
    program = tools.registries.get(request.param)
    if program is None:
        pytest.skip("distribution 3.x is not here: scripts/setup --for-tests builds it where Go is")
    return program


@pytest.fixture
def unique() -> str:
    """A short name that no other test uses; valid as a topic, a group, a repository and a tag."""
    return f"t{secrets.token_hex(4)}"
