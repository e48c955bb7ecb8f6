"""The demo's report: `report.json`, and whether everything held. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from farshore.records.cloudevent import format_time
from farshore.records.readiness import ReadinessState
from farshore_cli.demo.observations import Fate, Observations
from farshore_cli.demo.proof import Proof
from farshore_cli.demo.scenario import Push, Scenario


@dataclass(frozen=True, slots=True)
class Totals:
    """What the simulated clusters and the comparison counted; bytes.

    `logical_bytes` is what SnapMirror had to bring (ONTAP's `bytes_transferred`), `wire_bytes` what crossed the
    intercluster links for it, both summed over the replicas. `at_rest_logical_bytes` is the size of the files at all
    sites, `at_rest_physical_bytes` what is stored of them and of all snapshots after deduplication and compression.
    `skopeo_bytes` is what copying the same images to each replica site moved.
    """

    transfers: int
    snapshots: int
    logical_bytes: int
    wire_bytes: int
    at_rest_logical_bytes: int
    at_rest_physical_bytes: int
    skopeo_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One push and what became of it at each replica site."""

    push: Push
    fates: dict[str, Fate]


def rows(scenario: Scenario, observed: Observations, sites: Sequence[str]) -> list[Row]:
    """A row for each push, in order."""
    return [Row(push, {site: observed.fate(push, site) for site in sites}) for push in scenario.pushes]


def problems(table: Sequence[Row], scenario: Scenario, observed: Observations, proof: Proof) -> list[str]:
    """What didn't hold, one line each; empty when everything did."""
    found = []
    for row in table:
        allowed = _allowed(row.push, scenario)
        for site, fate in row.fates.items():
            if fate.state not in allowed:
                said = f"{fate.state} ({fate.reason})" if fate.reason else fate.state or "nothing was said"
                found.append(f"{row.push.reference} at {site}: {said}, not {' or '.join(sorted(allowed))}")
    found += [f"called ready twice: {image}" for image in observed.twice_ready()]
    found += proof.problems
    if not proof.held and not proof.problems:
        found.append(f"proof: {proof.matched} of {proof.expected} images matched")
    return found


def _allowed(push: Push, scenario: Scenario) -> set[str]:
    if push == scenario.deleted:
        return {ReadinessState.REVOKED}
    moved = any(
        later.tag is not None and (later.repository, later.tag) == (push.repository, push.tag)
        for later in scenario.pushes[scenario.pushes.index(push) + 1 :]
    )
    # a tag that moved on before its image could be looked at
    return {ReadinessState.READY, ReadinessState.SUPERSEDED} if moved else {ReadinessState.READY}


def as_json(table: Sequence[Row], totals: Totals, proof: Proof, found: Sequence[str], seconds: float) -> dict[str, Any]:
    """`report.json`. `seconds` is how long all of it took."""
    return {
        "pushes": len(table),
        "transfers": totals.transfers,
        "snapshots": totals.snapshots,
        "logical_bytes": totals.logical_bytes,
        "wire_bytes": totals.wire_bytes,
        "skopeo_bytes": totals.skopeo_bytes,
        "at_rest": {
            "logical_bytes": totals.at_rest_logical_bytes,
            "physical_bytes": totals.at_rest_physical_bytes,
        },
        "seconds": round(seconds, 1),
        "images": [
            {
                "reference": row.push.reference,
                "digest": row.push.digest,
                "note": row.push.note,
                "sites": {site: _fate(fate) for site, fate in row.fates.items()},
            }
            for row in table
        ],
        "proof": {"expected": proof.expected, "pulled": proof.pulled, "matched": proof.matched},
        "held": not found,
        "problems": list(found),
    }


def _fate(fate: Fate) -> dict[str, Any]:
    seconds = fate.seconds_to_ready
    return {
        "state": fate.state or "unknown",
        "pushed_at": _time(fate.pushed_at),
        "arrived_at": _time(fate.arrived_at),
        "ready_at": _time(fate.ready_at),
        "seconds_to_ready": None if seconds is None else round(seconds, 3),
        "transfer": fate.transfer,
        "snapshot": fate.snapshot,
        "reason": fate.reason,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
