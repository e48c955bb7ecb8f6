"""`/v1/relationships`: what each relationship of this process is doing, and why it is behind where it is."""

import asyncio
import time

from aiokafka import TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from farshore_coalescer.lane import Lane
from farshore_coalescer.why import why_behind

Running = dict[TopicPartition, tuple[Lane, "asyncio.Task[None]"]]
"""The lanes of a process, each with the task that runs it."""


def status_app(lanes: Running) -> Starlette:
    """The coalescer's own HTTP endpoint; health and metrics are added by `serve_http`."""

    async def relationships(_request: Request) -> JSONResponse:
        now = time.monotonic()
        return JSONResponse(
            [
                {
                    "relationship": volume.registry.relationships[replica.site].name,
                    "activity": replica.activity.name.lower(),
                    "head": volume.state.seen.end,
                    "position": replica.position,
                    "exported": replica.exported.name if replica.exported else None,
                    "failures": replica.failures,
                    "lost": volume.lost.get(replica.site),
                    "why_behind": why_behind(volume.state, replica, now),
                }
                for lane, _ in lanes.values()
                for volume in lane.volumes.values()
                for replica in volume.state.replicas
            ]
        )

    return Starlette(routes=[Route("/v1/relationships", relationships)])
