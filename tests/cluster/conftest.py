"""One node, with a hub and a site on it, for all tests; `make test-cluster` makes what they need."""

import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from authorities import Authority
from documents import ROOT
from kubernetes_node import KubernetesNode, kubernetes_node, need_programs
from node_releases import NodeReleases
from node_sites import NodeSites, node_sites

from farshore_cli.tools.find import Tools

BUILD = ROOT / "build" / "cluster"
Figures = dict[str, object]


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """What is measured; written to build/cluster/figures.json at the end."""
    found: Figures = {}
    yield found
    if found:
        (BUILD / "figures.json").write_text(json.dumps(found, indent=2) + "\n")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node(figures: Figures) -> AsyncIterator[KubernetesNode]:
    """A node with the images that tests/cluster/images.py has put into an archive."""
    if "FARSHORE_TEST_NODE" not in os.environ:
        pytest.skip("a node is started by make test-cluster: it needs root, namespaces of its own, and minutes")
    need_programs()
    logs = BUILD / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    began = time.monotonic()
    async with kubernetes_node(Path(os.environ["FARSHORE_TEST_NODE"]), logs) as found:
        figures["seconds until the node was ready"] = round(time.monotonic() - began, 1)
        found.import_images(BUILD / "images.tar")
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sites(node: KubernetesNode, tools: Tools) -> AsyncIterator[NodeSites]:
    """Kafka, clusters and registries beside the node."""
    registry = tools.registries["v2"]
    folder = node.folder / "sites"
    folder.mkdir()
    async with node_sites(registry, folder, node.logs, NodeReleases.EDGE, NodeReleases.RECEIVER) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def releases(node: KubernetesNode, sites: NodeSites, figures: Figures) -> NodeReleases:
    """A hub and the site fra, installed, with all pods ready."""
    folder = node.folder / "releases"
    folder.mkdir()
    found = NodeReleases(node, sites, folder, Authority(folder))
    found.make_namespace()
    for install, what in ((found.install_hub, "hub"), (found.install_site, "site")):
        began = time.monotonic()
        install()
        await found.all_ready()
        figures[f"seconds until the {what}'s pods were ready"] = round(time.monotonic() - began, 1)
    return found
