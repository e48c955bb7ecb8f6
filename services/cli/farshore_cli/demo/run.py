"""The demo's course: images, pushes, waiting, deletion, comparison, proof, report."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from farshore.bus.clients import Bus
from farshore.errors import FarshoreError
from farshore.together import together
from farshore_cli.demo.comparison import skopeo_bytes
from farshore_cli.demo.figures import Figures, figures
from farshore_cli.demo.legend import legend
from farshore_cli.demo.material import Material, default_folders
from farshore_cli.demo.oci_layout import LayoutWriter
from farshore_cli.demo.proof import Proof, prove
from farshore_cli.demo.report import Totals, as_json, problems, rows
from farshore_cli.demo.scenario import Push, Scenario, build
from farshore_cli.demo.screen import DemoScreen
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.demo.table import images_table, totals_table
from farshore_cli.demo.watch import Watch
from farshore_cli.stack.files import write
from farshore_cli.stack.layout import PRIMARY, REPLICAS, SITES
from farshore_cli.stack.probes import http_answers
from farshore_cli.stack.stack import Stack

_SETTLED_WITHIN_SECONDS = 300.0
_BURST_AT_ONCE = 3
_SITES = [site.name for site in REPLICAS]


@dataclass(frozen=True, slots=True)
class Demo:
    """One run against a stack that is up. `began` is `time.monotonic()` at the very start."""

    stack: Stack
    skopeo: Skopeo
    registry: Path
    report_file: Path
    console: Console
    began: float

    async def run(self) -> bool:
        """Whether everything held; the report says what didn't. Raises FarshoreError where a tool fails."""
        screen = DemoScreen(self.console, _SITES, self.began)
        folder = self.stack.layout.root / "demo"
        layout = folder / "images"
        screen.say("making images of files on this machine")
        scenario = await _make_images(layout)
        pushed = sum(blob.stat().st_size for blob in (layout / "blobs").rglob("*") if blob.is_file())
        screen.say(f"{len(scenario.pushes)} pushes of {pushed / 1_000_000:.0f} MB in different blobs")
        before = await self._figures()
        watch = Watch(
            Bus(self.stack.bootstrap_servers, "farshore-demo"),
            lambda: screen.show(rows(scenario, watch.observations, _SITES)),
        )
        async with watch:
            screen.begin()
            try:
                await self._play(scenario, layout, watch, screen)
            finally:
                screen.end()
            after = await self._figures()
            screen.say("for comparison: skopeo copy of the same images to an empty registry for each site")
            copied = await skopeo_bytes(
                self.skopeo, self.registry, folder / "comparison", layout, scenario.pushes, _SITES
            )
            proof = await self._prove(scenario, layout, folder / "pulled", screen)
            table = rows(scenario, watch.observations, _SITES)
            found = problems(table, scenario, watch.observations, proof)
        totals = _totals(before, after, copied)
        seconds = time.monotonic() - self.began
        self._write_report(as_json(table, totals, proof, found, seconds))
        self.console.print()
        self.console.print(images_table(table))
        self.console.print()
        for line in legend(table, REPLICAS):
            self.console.print(Text(line, style="dim"), soft_wrap=True)
        self.console.print()
        self.console.print(totals_table(len(table), totals, proof, seconds))
        for line in found:
            screen.say(f"did not hold: {line}")
        screen.say(f"{'everything held' if not found else 'NOT everything held'}; report: {self.report_file}")
        return not found

    async def _play(self, scenario: Scenario, layout: Path, watch: Watch, screen: DemoScreen) -> None:
        for push in scenario.opening:
            await self._push(layout, push, screen)
        screen.say(f"now {len(scenario.burst)} pushes at once")
        turn = asyncio.Semaphore(_BURST_AT_ONCE)

        async def in_turn(push: Push) -> None:
            async with turn:
                await self._push(layout, push, screen)

        await together(*map(in_turn, scenario.burst))
        for push in scenario.closing:
            await self._push(layout, push, screen)
        screen.say("all pushed; waiting until every site is verified")
        if not await watch.until(lambda seen: seen.settled(scenario.pushes, _SITES), _SETTLED_WITHIN_SECONDS):
            screen.say(f"not everything was verified within {_SETTLED_WITHIN_SECONDS:g} s")
        screen.say(f"deleting {scenario.deleted.reference}")
        await self.skopeo.delete(self._edge(PRIMARY.name), scenario.deleted)
        if not await watch.until(lambda seen: seen.revoked(scenario.deleted, _SITES), _SETTLED_WITHIN_SECONDS):
            screen.say(f"the deletion did not reach every site within {_SETTLED_WITHIN_SECONDS:g} s")

    async def _push(self, layout: Path, push: Push, screen: DemoScreen) -> None:
        began = time.monotonic()
        await self.skopeo.push(layout, push, self._edge(PRIMARY.name))
        screen.say(f"pushed {push.reference} in {time.monotonic() - began:.1f} s")

    async def _prove(self, scenario: Scenario, layout: Path, folder: Path, screen: DemoScreen) -> Proof:
        name = f"registry-{PRIMARY.name}"
        await self.stack.stop_part(name)
        if await http_answers(self.stack.ports.url(name) + "/v2/")():
            raise FarshoreError("stop", name, "it still answers", hint="another process has its port")
        screen.say("the proof: the primary's registry is stopped, every image is pulled at the other sites")
        edges = {site: self._edge(site) for site in _SITES}
        return await prove(self.skopeo, layout, scenario.live, edges, folder, screen.say)

    async def _figures(self) -> Figures:
        stats = await asyncio.gather(*(self.stack.simulator(site.name).stats() for site in SITES))
        return figures(stats)

    def _edge(self, site: str) -> str:
        return self.stack.ports.url(f"edge-{site}")

    def _write_report(self, report: dict[str, Any]) -> None:
        write(self.report_file, json.dumps(report, indent=2) + "\n")


async def _make_images(layout: Path) -> Scenario:
    material = Material(default_folders())
    try:
        return await asyncio.to_thread(build, LayoutWriter(layout), material)
    except asyncio.CancelledError:
        material.give_up()
        raise


def _totals(before: Figures, after: Figures, copied: int) -> Totals:
    return Totals(
        transfers=after.transfers - before.transfers,
        snapshots=after.snapshots - before.snapshots,
        logical_bytes=after.logical_bytes - before.logical_bytes,
        wire_bytes=after.wire_bytes - before.wire_bytes,
        at_rest_logical_bytes=after.at_rest_logical_bytes,
        at_rest_physical_bytes=after.at_rest_physical_bytes,
        skopeo_bytes=copied,
    )
