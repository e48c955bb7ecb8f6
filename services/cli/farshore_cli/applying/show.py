"""A plan for people: its calls, what differs, and what to do. Pure."""

import json
from collections.abc import Iterator

from farshore_cli.applying.steps import Consequence, Difference, Plan, Step

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def plan_lines(plan: Plan) -> Iterator[str]:
    """Everything that the plan says, a call in two lines."""
    for number, step in enumerate(plan.steps, 1):
        yield from step_lines(f"{number:3}.", step)
    for baseline in plan.baselines:
        yield f"  running: baseline of {baseline.relationship}, {size(baseline.transferred_bytes)} have crossed"
    for one in plan.differences:
        yield difference_line(one)
    yield summary(plan)


def step_lines(mark: str, step: Step) -> Iterator[str]:
    """What a call does, and the call."""
    waits = f"   (waits for {step.waits})" if step.waits else ""
    yield f"{mark} {step.site}: {step.words}{waits}"
    body = "" if step.body is None else f" {json.dumps(step.body)}"
    yield f"     {step.method} /api{step.path}{body}"


def difference_line(one: Difference) -> str:
    """What was found, and what follows."""
    hint = f" ({one.hint})" if one.hint else ""
    return f"  {one.site}: {one.subject}: {one.found} - {one.consequence}{hint}"


def summary(plan: Plan) -> str:
    """One line."""
    if not plan.pending and not plan.differences:
        return "nothing to do: all is as the topology says"
    blocked = sum(one.consequence is Consequence.BLOCKED for one in plan.differences)
    unseen = sum(one.consequence is Consequence.UNKNOWN for one in plan.differences)
    parts = [f"{len(plan.steps)} calls to make"]
    if plan.baselines:
        parts.append(f"{len(plan.baselines)} baselines running")
    if blocked:
        parts.append(f"{blocked} for a person to settle")
    if unseen:
        parts.append(f"{unseen} clusters not seen")
    return ", ".join(parts)


def size(amount: int) -> str:
    """Bytes in a unit that people read."""
    return next((f"{amount / unit:.1f} {name}" for name, unit in _UNITS if amount >= unit), f"{amount} B")
