"""What a redrive is going to do and has done, as lines for people: pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from farshore_cli.deadletters.printable import printable
from farshore_cli.deadletters.route import Refusal


@dataclass(slots=True)
class Plan:
    """Offsets of letters, in order: what is to be sent and where, what won't be, what was, and what isn't there."""

    send: dict[int, str] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    already: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    needs_receiver: bool = False


@dataclass(slots=True)
class Sent:
    """How many letters were sent back; offsets of those not taken, and why; and of those that came back at once."""

    sent: int = 0
    not_taken: dict[int, str] = field(default_factory=dict)
    again: list[int] = field(default_factory=list)


def plan_lines(plan: Plan, *, dry_run: bool) -> Iterator[str]:
    """A line for each letter that stays, and of a dry run for each that would go; the last one is the sum."""
    if dry_run:
        for offset, where in plan.send.items():
            yield f"{offset}: would go to {where}"
    for offset, refusal in sorted(plan.refused.items()):
        yield f"{offset}: refused: {printable(str(refusal), 500)}"
    for offset in plan.missing:
        yield f"{offset}: there is no letter"
    yield (
        f"{len(plan.send)} to be sent back, {len(plan.refused)} refused, "
        f"{len(plan.already)} sent back before, {len(plan.missing)} not there"
    )


def sent_lines(sent: Sent) -> Iterator[str]:
    """A line for each letter that went wrong; the last one is the sum."""
    for offset, reason in sorted(sent.not_taken.items()):
        yield f"{offset}: not taken: {printable(reason, 500)}"
    for offset in sent.again:
        yield f"{offset}: sent back, and became a dead letter again"
    yield f"{sent.sent} sent back, {len(sent.not_taken)} not taken, {len(sent.again)} dead again"


def all_is_well(plan: Plan, sent: Sent) -> bool:
    """Whether nothing that was asked for stayed or came back."""
    return not (plan.refused or plan.missing or sent.not_taken or sent.again)
