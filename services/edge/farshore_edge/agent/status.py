"""`/status`: the edge at a glance."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from farshore.topology import Place
from farshore_edge.agent.holds import HoldFolder
from farshore_edge.agent.nginx import Nginx
from farshore_edge.agent.reach import Reach, State
from farshore_edge.agent.rules import Rules


def status_app(rules: Rules, reach: Reach, holds: HoldFolder, nginx: Nginx) -> Starlette:
    """The agent's own HTTP endpoint; health and metrics are added by `serve_http`."""

    async def status(_request: Request) -> JSONResponse:
        held = {registry: await nginx.holds(registry) for registry in rules.topology.registries}
        return JSONResponse(status_document(rules, reach, holds, held))

    return Starlette(routes=[Route("/status", status)])


def status_document(rules: Rules, reach: Reach, holds: HoldFolder, held: Mapping[str, bool]) -> dict[str, Any]:
    """What docs/edge.md says of `/status`."""
    return {
        "site": rules.site,
        "topology": {
            "file": str(rules.watch.path),
            "digest": rules.watch.digest,
            "trouble": rules.watch.refusal,
        },
        "rules": {
            "wanted": rules.wanted,
            "running": rules.running,
            "running_since": rules.running_since.isoformat() if rules.running_since else None,
            "in_force": rules.in_force,
            "trouble": rules.trouble,
        },
        "holds": {"folder": str(holds.folder), "trouble": holds.trouble},
        "registries": {
            name: {
                "prefix": registry.prefix,
                "held": held[name],
                "primary": _place(registry.primary, f"primary_{name}", reach),
                "replica": _place(replica, f"local_{name}", reach)
                if (replica := registry.replica(rules.site))
                else None,
            }
            for name, registry in rules.topology.registries.items()
        },
    }


def _place(place: Place | None, upstream: str, reach: Reach) -> dict[str, Any] | None:
    if place is None:
        return None
    found = reach.found.get(upstream)
    return {
        "site": place.site,
        "url": place.url,
        "state": found.state if found else State.UNKNOWN,
        "status": found.status if found else None,
        "since": found.since.isoformat() if found else None,
    }
