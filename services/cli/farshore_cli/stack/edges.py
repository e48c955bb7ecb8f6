"""The edges of a local stack: nginx's files, and the agent's loop that keeps each at the topology file.

The loop runs in the stack's own process, where a service for each edge would run in production: its part of /status
is not needed here.
"""

import asyncio
import os
from pathlib import Path

from farshore_cli.stack.layout import SITES, Layout
from farshore_cli.stack.ports import Ports, rules_port
from farshore_edge.agent.nginx import Nginx
from farshore_edge.agent.rules import Rules
from farshore_edge.runtime import Runtime

LOOK_SECONDS = 0.5


def edge_config(layout: Layout, site: str) -> Path:
    """What the site's nginx is started with."""
    return layout.config_file(f"edge-{site}.conf")


def edge_runtime(layout: Layout, ports: Ports, site: str) -> Runtime:
    """Where the site's nginx has its files."""
    folder = layout.edge_dir(site)
    return Runtime(
        folder / "nginx.pid",
        layout.log_file(f"edge-{site}-access"),
        layout.log_file(f"edge-{site}"),
        folder,
        hold_dir=layout.hold_dir(site),
        agent_listen=ports.address(rules_port(site)),
        # else a root's workers couldn't look into the hold folder, which only its owner may
        user="root" if os.getuid() == 0 else None,
    )


async def keep_edges(layout: Layout, ports: Ports, nginx: Path) -> None:
    """Keep every edge at the rules of the topology file until cancelled."""
    await asyncio.gather(*(_keep(layout, ports, nginx, site.name) for site in SITES))


async def _keep(layout: Layout, ports: Ports, program: Path, site: str) -> None:
    config = edge_config(layout, site)
    async with Nginx(program, config, ports.address(rules_port(site))) as nginx:
        rules = Rules(site, layout.topology_file, config, edge_runtime(layout, ports, site), nginx)
        while True:
            await rules.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_SECONDS)
