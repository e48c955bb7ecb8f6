"""The middle of every move: break off, have the registry take writes, switch the topology. Pure."""

from collections.abc import Iterator

from farshore_cli.applying.steps import Kind, Step
from farshore_cli.moving.plan.after import After
from farshore_cli.moving.plan.view import View
from farshore_cli.moving.steps import Act, MoveStep, Stage
from farshore_cli.moving.successor import successor


class Switching(View):
    """Whoever leads to the switch."""

    def _break(self) -> list[MoveStep]:
        copy = self._copy(self._intent.target)
        uuid = copy.relationship.uuid if copy and copy.relationship else "<uuid>"
        name = f"{self._intent.registry}.{self._intent.target}"
        call = Step(
            self._intent.target,
            Kind.BREAK_OFF,
            f"relationship {name}",
            f"break off {name}: the volume there becomes writable",
            "PATCH",
            f"/snapmirror/relationships/{uuid}",
            {"state": "broken_off"},
        )
        return [self._call(Stage.BREAK, call)]

    def _switch(self, *, broken: bool) -> Iterator[list[MoveStep]]:
        """The target's registry takes writes, the topology is switched, and all that follows."""
        yield from self._promotion(broken=broken)
        words = f"write the topology: the primary is {self._intent.target}, epoch {self._epoch}"
        yield [MoveStep(Stage.SWITCH, "", words, Act.SWITCH)]
        after = successor(self._topology, self._intent.registry, self._intent.target)
        yield from After(after, self._intent, self._facts, self._entry.primary.site).stages(foreseen=True)

    def _promotion(self, *, broken: bool) -> Iterator[list[MoveStep]]:
        """The target's registry becomes one that takes writes: by the command that was given for it, or by others."""
        target, accepts = self._intent.target, self._facts.accepts_writes
        told = self._facts.promoted or not self._intent.has_promotion
        words = f"the registry at {target} takes writes and posts notifications"
        if broken and (accepts or (accepts is None and told)):
            return
        if self._intent.has_promotion and not self._facts.promoted:
            yield [MoveStep(Stage.PROMOTE, target, f"have {words}", Act.PROMOTE)]
        else:
            yield [
                MoveStep(Stage.PROMOTE, target, f"{words}{'' if self._intent.has_promotion else ': start it so now'}")
            ]
