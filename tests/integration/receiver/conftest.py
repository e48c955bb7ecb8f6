"""A receiver per module on the session's Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from receiver_process import ReceiverProcess

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics


@pytest.fixture(scope="session")
async def bootstrap(kafka_bootstrap: str) -> str:
    """The session's Kafka, with farshore's topics."""
    await create_missing_topics(Bus(kafka_bootstrap))
    return kafka_bootstrap


@pytest.fixture
async def receiver(bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    """A receiver for the registries `unique` (every repository) and `unique`-team (those under team/)."""
    async with ReceiverProcess(tmp_path, bootstrap, {unique: "", f"{unique}-team": "team/"}) as process:
        yield process
