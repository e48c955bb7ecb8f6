"""One API server for all tests of the chart."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from kubernetes_api import KubernetesApi, kubernetes_api


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubernetesApi]:
    """A Kubernetes without namespaces of its own."""
    # what makes each namespace's service account isn't here
    options = ["--disable-admission-plugins=ServiceAccount"]
    async with kubernetes_api(tmp_path_factory.mktemp("kubernetes"), *options) as found:
        yield found
