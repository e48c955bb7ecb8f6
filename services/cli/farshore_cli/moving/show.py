"""A move's plan in words. Pure."""

import json
from collections.abc import Iterator

from farshore_cli.applying.show import difference_line
from farshore_cli.moving.loss import Loss
from farshore_cli.moving.steps import MovePlan


def plan_lines(plan: MovePlan) -> Iterator[str]:
    """Every step that is left, in order, with the call as it is sent; then what stands against it."""
    if plan.given_up:
        yield f"the way back: {plan.given_up}"
    for number, step in enumerate(plan.steps, 1):
        where = f"{step.site}: " if step.site else ""
        waiting = "" if step.act else "wait until "
        yield f"{number:3}. {where}{waiting}{step.words}" + (f"   (waits for {step.waits})" if step.waits else "")
        if step.call is not None:
            body = "" if step.call.body is None else f" {json.dumps(step.call.body)}"
            yield f"     {step.call.method} /api{step.call.path}{body}"
    for difference in plan.differences:
        yield difference_line(difference)
    if not plan.steps and not plan.differences:
        yield "nothing to do: it is there"


def loss_lines(loss: Loss | None) -> Iterator[str]:
    """What a forced move loses, image by image."""
    if loss is None:
        return
    yield (
        f"{loss.events} events were announced behind what the target is known to have (offset {loss.cover}); "
        f"{len(loss.images)} images are lost"
    )
    for image in loss.images:
        yield f"  {image.words}"
    if not loss.complete:
        yield "  and more: Kafka has deleted events behind that offset already"
