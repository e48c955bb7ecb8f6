"""What several fault tests share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from site_world import SiteWorld, site_world

from farshore_cli.tools.find import Tools


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sites(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SiteWorld]:
    """One verifier over a calm and a sick site for a module's tests.

    Its session with Kafka is so long that a busy machine doesn't end it: what each restart of a lane costs is not what
    these tests are about, and makes the machine busier still.
    """
    async with site_world(tmp_path_factory.mktemp("sites"), tools, session_timeout=30) as world:
        yield world
