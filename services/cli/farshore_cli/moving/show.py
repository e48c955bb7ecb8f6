"""A move's plan in words. Pure."""

import json
from collections.abc import Iterator
from itertools import groupby

from farshore_cli.applying.show import difference_line
from farshore_cli.moving.loss import Loss
from farshore_cli.moving.steps import MovePlan


def plan_lines(plan: MovePlan) -> Iterator[str]:
    """Every stage that is left, in order, with its steps and each call as it is sent; then what stands against it."""
    if plan.given_up:
        yield f"the way back: {plan.given_up}"
    stages = groupby(plan.steps, key=lambda step: step.stage)
    for number, (stage, steps) in enumerate(stages, 1):
        yield f"{number:2}. {stage}"
        for step in steps:
            where = f"{step.site}: " if step.site else ""
            yield f"    {where}{'' if step.act else 'wait until '}{step.words}"
            if step.call is not None:
                body = "" if step.call.body is None else f" {json.dumps(step.call.body)}"
                yield f"      {step.call.method} /api{step.call.path}{body}"
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
