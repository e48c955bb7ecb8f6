"""What is left of a move, from what was seen; without any cluster, edge or Kafka."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from move_facts import HUB, INTENT, NAME, NOW, OLD, OTHERS, SNAPSHOT, TARGET, copies, path, relationship, volume

from farshore.oci import Digest, Repository, Tag
from farshore.ontap.model import RelationshipState
from farshore.records.events import EventKind
from farshore.records.moves import MoveMarked
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.steps import Consequence
from farshore_cli.moving.facts import Copy, Decided, EdgeSeen, Hold, LogSeen, Marked, MoveFacts
from farshore_cli.moving.loss import Loss, LostImage
from farshore_cli.moving.plan import AS_ASKED, plan_move
from farshore_cli.moving.show import plan_lines
from farshore_cli.moving.steps import Act, MovePlan, Stage
from farshore_cli.moving.successor import successor


def edges(primary: str, epoch: int, *, held: bool = False, idle: bool = True) -> dict[str, EdgeSeen | Unseen]:
    return {name: EdgeSeen(primary, epoch, held, idle) for name, site in HUB.sites.items() if site.edge}


def holds(move: str | None, since: datetime = NOW) -> dict[str, Hold | None]:
    return dict.fromkeys(edges(OLD, 1), Hold(move, TARGET, since) if move is not None else None)


def mark(move: str, offset: int, epoch: int = 2) -> Marked:
    record = MoveMarked(move=move, registry=NAME, source=OLD, target=TARGET, epoch=epoch, at=NOW)
    return Marked(offset, record)


def log(*marks: Marked, last_event: int = 5) -> LogSeen:
    return LogSeen("0a1b2c3d", 0, 100, last_event, marks)


CALM = MoveFacts(NOW, copies(HUB, 6), edges(OLD, 1), holds(None), log(), Decided(0, ()), {}, False)
HELD = replace(CALM, holds=holds("m"), edges=edges(OLD, 1, held=True))
MARKED = replace(HELD, log=log(mark("m", 10)))
COVERED = replace(MARKED, copies=copies(HUB, 11))


def broken(facts: MoveFacts) -> MoveFacts:
    copy = facts.copies[TARGET]
    assert isinstance(copy, Copy)
    link = relationship(OLD, RelationshipState.BROKEN_OFF)
    return replace(facts, copies={**facts.copies, TARGET: replace(copy, volume=volume("rw"), relationship=link)})


BROKEN = replace(broken(COVERED), accepts_writes=True)
AFTER = successor(HUB, NAME, TARGET)
SWITCHED = replace(BROKEN, decided=None)


def next_of(plan: MovePlan) -> Stage | None:
    """The stage of what is done or awaited now."""
    now = {step.stage for step in (*plan.ready, *plan.awaited)}
    assert len(now) <= 1
    return now.pop() if now else None


def stages(plan: MovePlan) -> list[Stage]:
    return list(dict.fromkeys(step.stage for step in plan.steps))


def test_an_edge_that_does_not_see_its_hold_file_is_told() -> None:
    def awaited(facts: MoveFacts) -> str:
        return plan_move(HUB, INTENT, facts).awaited[0].words

    assert "doesn't see its hold file" in awaited(replace(HELD, edges=edges(OLD, 1)))
    assert "(some are)" in awaited(replace(HELD, edges=edges(OLD, 1, held=True, idle=False)))


def test_every_step_is_told_beforehand_in_order() -> None:
    plan = plan_move(HUB, INTENT, CALM)
    assert stages(plan) == [
        *(Stage.HOLD, Stage.DRAIN, Stage.MARK, Stage.TRANSFER, Stage.VERIFY, Stage.BREAK, Stage.PROMOTE, Stage.SWITCH),
        *(Stage.REVERSE, Stage.FOLLOW, Stage.RELEASE, Stage.REPOINT, Stage.RESYNC, Stage.TAKE_UP),
    ]
    assert {step.site for step in plan.ready} == set(CALM.edges)
    text = "\n".join(plan_lines(plan))
    for one in AFTER.relationships(NAME):
        assert f"{path(AFTER, TARGET)} to {path(AFTER, one.site)}" in text


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CALM, Stage.HOLD),
        (replace(HELD, edges=edges(OLD, 1)), Stage.DRAIN),
        (replace(HELD, edges=edges(OLD, 1, held=True, idle=False)), Stage.DRAIN),
        (HELD, Stage.MARK),
        (MARKED, Stage.TRANSFER),
        (replace(COVERED, decided=Decided(3, ())), Stage.VERIFY),
        (COVERED, Stage.BREAK),
        (replace(BROKEN, accepts_writes=False), Stage.PROMOTE),
        (BROKEN, Stage.SWITCH),
        (replace(BROKEN, accepts_writes=None), Stage.SWITCH),
    ],
)
def test_one_thing_comes_after_another(facts: MoveFacts, expected: Stage) -> None:
    assert next_of(plan_move(HUB, INTENT, facts)) is expected


def test_writes_are_not_held_while_the_target_is_far_behind() -> None:
    behind = Decided(INTENT.behind_at_most + 1, ())
    plan = plan_move(HUB, INTENT, replace(CALM, decided=behind))
    assert next_of(plan) is Stage.CATCH_UP
    assert plan.ready == []
    assert next_of(plan_move(HUB, INTENT, replace(CALM, decided=Decided(INTENT.behind_at_most, ())))) is Stage.HOLD
    assert next_of(plan_move(HUB, INTENT, replace(HELD, decided=behind))) is Stage.MARK  # held already: go on


def test_the_command_that_promotes_runs_once_and_then_the_registry_is_waited_for() -> None:
    intent, unready = replace(INTENT, has_promotion=True), replace(BROKEN, accepts_writes=False)
    (act,) = plan_move(HUB, intent, unready).ready
    assert act.act is Act.PROMOTE
    assert [step.stage for step in plan_move(HUB, intent, replace(unready, promoted=True)).awaited] == [Stage.PROMOTE]
    silent = replace(BROKEN, accepts_writes=None)
    assert next_of(plan_move(HUB, intent, silent)) is Stage.PROMOTE
    assert next_of(plan_move(HUB, intent, replace(silent, promoted=True))) is Stage.SWITCH


def test_an_event_behind_the_mark_needs_a_new_one() -> None:
    later = replace(COVERED, log=log(mark("m", 10), last_event=11))
    assert next_of(plan_move(HUB, INTENT, later)) is Stage.MARK


def test_a_mark_of_another_move_says_nothing() -> None:
    for other in (mark("other", 10), mark("m", 10, epoch=3)):
        assert next_of(plan_move(HUB, INTENT, replace(COVERED, log=log(other)))) is Stage.MARK


def test_a_hold_that_was_lost_makes_its_mark_worthless() -> None:
    """An edge whose host restarted may have let writes through."""
    site = next(iter(MARKED.holds))
    lost = replace(COVERED, holds={**COVERED.holds, site: None})
    plan = plan_move(HUB, INTENT, lost)
    assert {step.move for step in plan.ready} == {"fresh"}
    assert {step.site for step in plan.ready} == set(COVERED.holds)


def test_a_hold_that_was_begun_is_gone_on_with() -> None:
    site = next(iter(HELD.holds))
    plan = plan_move(HUB, INTENT, replace(CALM, holds={**CALM.holds, site: Hold("begun", TARGET, NOW)}))
    assert {step.move for step in plan.ready} == {"begun"}
    assert site not in {step.site for step in plan.ready}


def test_a_snapshot_of_the_right_name_and_another_version_proves_nothing() -> None:
    site = OTHERS[0]
    copy = COVERED.copies[site]
    assert isinstance(copy, Copy)
    other = replace(copy, exported=(SNAPSHOT.format(cover=11), "another"))
    plan = plan_move(HUB, INTENT, replace(COVERED, copies={**COVERED.copies, site: other}))
    assert [(step.stage, step.site) for step in plan.awaited] == [(Stage.TRANSFER, site)]


def obstacles() -> Iterator[tuple[str, MoveFacts]]:
    site = OTHERS[0]
    copy = CALM.copies[site]
    assert isinstance(copy, Copy)

    def instead(other: Copy | Unseen) -> MoveFacts:
        return replace(CALM, copies={**CALM.copies, site: other})

    yield "a cluster that isn't seen", instead(Unseen("dead"))
    yield "an edge that isn't seen", replace(CALM, edges={**CALM.edges, site: Unseen("dead")})
    yield "an edge with another epoch", replace(CALM, edges={**CALM.edges, site: EdgeSeen(OLD, 2, False, True)})
    yield "no edge at all", replace(CALM, edges={}, holds={})
    yield "a fence", replace(CALM, log=replace(log(), fences=("f",)))
    yield "images that are not ready", replace(CALM, decided=Decided(0, ("team/app:v1 (corrupt)",)))
    yield "clusters that aren't peered", instead(replace(copy, peers=frozenset()))
    yield "no relationship", instead(replace(copy, relationship=None))
    link = relationship(OLD, RelationshipState.PAUSED)
    yield "a paused relationship", instead(replace(copy, relationship=link))
    yield "a hold of another move", replace(CALM, holds={**CALM.holds, site: Hold("x", "elsewhere", NOW)})
    yield "somebody's hold", replace(CALM, holds={**CALM.holds, site: Hold("", "", NOW)})


@pytest.mark.parametrize(("what", "facts"), list(obstacles()), ids=lambda one: one if isinstance(one, str) else "")
def test_nothing_is_begun_while_something_stands_against_it(what: str, facts: MoveFacts) -> None:
    plan = plan_move(HUB, INTENT, facts)
    assert plan.differences, what
    assert [step for step in plan.ready if step.act is not Act.RELEASE] == []


def test_what_comes_up_while_writes_are_held_leads_back() -> None:
    plan = plan_move(HUB, INTENT, replace(MARKED, decided=Decided(0, ("team/app:v1 (corrupt)",))))
    assert {step.act for step in plan.ready} == {Act.RELEASE}
    assert plan.given_up
    despite = replace(INTENT, despite_unready=True)
    assert not plan_move(HUB, despite, replace(MARKED, decided=Decided(0, ("x",)))).given_up


def test_writes_are_not_held_for_ever() -> None:
    late = NOW + INTENT.longest_hold + timedelta(seconds=1)
    plan = plan_move(HUB, INTENT, replace(COVERED, now=late))
    assert {step.act for step in plan.ready} == {Act.RELEASE}
    assert next_of(plan_move(HUB, INTENT, replace(BROKEN, now=late))) is Stage.SWITCH  # too late for going back


def test_the_way_back_resynchronises_what_was_broken_off_before_writes_are_released() -> None:
    abort = replace(INTENT, abort=True)
    plan = plan_move(HUB, abort, BROKEN)
    assert plan.given_up == AS_ASKED
    assert stages(plan) == [Stage.GO_BACK, Stage.RELEASE]
    (call,) = plan.ready
    assert call.call is not None
    assert call.call.body == {"state": "snapmirrored"}
    assert stages(plan_move(HUB, abort, COVERED)) == [Stage.RELEASE]
    assert plan_move(HUB, abort, CALM).steps == ()


def test_a_way_back_that_was_begun_is_never_taken_for_a_break() -> None:
    copy = BROKEN.copies[TARGET]
    assert isinstance(copy, Copy)
    link = relationship(OLD, RelationshipState.BROKEN_OFF, transferring=True)
    for half in (replace(copy, relationship=link), replace(copy, volume=volume("dp"))):
        plan = plan_move(HUB, INTENT, replace(BROKEN, copies={**BROKEN.copies, TARGET: half}))
        assert plan.given_up
        assert Stage.SWITCH not in stages(plan)


def test_a_target_that_somebody_else_broke_off_is_left_alone() -> None:
    plan = plan_move(HUB, INTENT, broken(CALM))
    assert plan.has(Consequence.BLOCKED)
    assert plan.ready == []


# --- after the switch


def after(facts: MoveFacts, **changed: Copy | Unseen) -> MovePlan:
    return plan_move(AFTER, INTENT, replace(facts, copies={**facts.copies, **changed}))


def following(facts: MoveFacts) -> MoveFacts:
    return replace(facts, edges=edges(TARGET, 2, held=True))


def reversed_copies(facts: MoveFacts) -> Mapping[str, Copy | Unseen]:
    wanted = copies(AFTER, 11)
    return {**facts.copies, TARGET: wanted[TARGET], OLD: wanted[OLD]}


REVERSED = replace(following(SWITCHED), copies=reversed_copies(SWITCHED))
RELEASED = replace(REVERSED, holds=holds(None), edges=edges(TARGET, 2))
DONE = replace(RELEASED, copies=copies(AFTER, 11), positions={f"{NAME}.{OLD}": 11})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (SWITCHED, Stage.REVERSE),
        (replace(REVERSED, edges=edges(OLD, 1, held=True)), Stage.FOLLOW),
        (REVERSED, Stage.RELEASE),
        (RELEASED, Stage.REPOINT if OTHERS else None),
        (replace(DONE, positions={}), Stage.TAKE_UP),
        (DONE, None),
    ],
)
def test_after_the_switch_too_one_thing_comes_after_another(facts: MoveFacts, expected: Stage | None) -> None:
    assert next_of(plan_move(AFTER, INTENT, facts)) is expected


def test_the_old_primary_is_overwritten_only_where_the_log_says_that_it_was_left() -> None:
    assert any(step.site == OLD and step.call and step.call.body for step in after(SWITCHED).steps)
    plan = plan_move(AFTER, INTENT, replace(SWITCHED, log=log()))
    assert [one.site for one in plan.differences] == [OLD]
    assert [step for step in plan.steps if step.site == OLD and step.call] == []


def test_a_site_that_died_meanwhile_holds_up_its_own_copy_only() -> None:
    site = OTHERS[0]
    plan = after(REVERSED, **{site: Unseen("dead")})
    assert next_of(plan) is Stage.RELEASE
    assert plan.has(Consequence.UNKNOWN)
    assert site in {step.site for step in plan.steps if step.stage is Stage.RESYNC}


def test_a_resync_under_way_is_waited_for_and_not_begun_again() -> None:
    copy = RELEASED.copies[OLD]
    assert isinstance(copy, Copy)
    link = relationship(TARGET, RelationshipState.BROKEN_OFF, transferring=True)
    plan = after(RELEASED, **{OLD: replace(copy, relationship=link)})
    assert [step for step in plan.steps if step.site == OLD and step.act] == []
    begun = relationship(TARGET, RelationshipState.BROKEN_OFF)
    assert next_of(after(RELEASED, **{OLD: replace(copy, relationship=begun)})) is Stage.REVERSE


def test_once_switched_there_is_no_way_back_but_another_move() -> None:
    plan = plan_move(AFTER, replace(INTENT, abort=True), SWITCHED)
    assert plan.steps == ()
    assert f"--to {OLD}" in plan.differences[0].hint


# --- without the old primary


FORCE = replace(INTENT, force=True)
LOST_IMAGE = LostImage(Repository("r"), Tag("v1"), "r:v1", 1, EventKind.MANIFEST_PUSHED, Digest.of(b"x"), None, False)
LOSS = Loss(7, 12, 1, (LOST_IMAGE,))
GONE = replace(CALM, copies={**CALM.copies, OLD: Unseen("dead")}, edges={**CALM.edges, OLD: Unseen("dead")}, loss=LOSS)
SEEN = [site for site in CALM.edges if site != OLD]


def held_without(facts: MoveFacts) -> MoveFacts:
    return replace(
        facts,
        holds={**holds("m"), OLD: None},
        edges={**edges(OLD, 1, held=True, idle=False), OLD: Unseen("dead")},
    )


def forced_mark(cover: int = 7) -> Marked:
    planned = mark("m", 10)
    return replace(planned, record=planned.record.model_copy(update={"forced": True, "cover": cover}))


FORCED = replace(held_without(GONE), log=log(forced_mark()))
FORCED_BROKEN = replace(broken(FORCED), accepts_writes=True)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (GONE, Stage.HOLD),
        (replace(held_without(GONE), edges=GONE.edges), Stage.DRAIN),
        (held_without(GONE), Stage.MARK),
        (replace(held_without(GONE), log=log(mark("m", 10))), Stage.MARK),
        (FORCED, Stage.BREAK),
        (FORCED_BROKEN, Stage.ANNOUNCE),
        (replace(FORCED_BROKEN, loss=replace(LOSS, images=())), Stage.SWITCH),
    ],
)
def test_a_forced_move_goes_its_way_without_the_old_primary(facts: MoveFacts, expected: Stage) -> None:
    plan = plan_move(HUB, FORCE, facts)
    assert next_of(plan) is expected
    assert {one.consequence for one in plan.differences} == {Consequence.LEFT}
    assert OLD not in {step.site for step in plan.ready}


def test_a_primary_that_is_there_is_not_given_up() -> None:
    plan = plan_move(HUB, FORCE, CALM)
    assert plan.ready == []
    assert "planned move" in plan.differences[0].hint


def test_a_forced_move_that_was_begun_is_not_taken_for_a_planned_one() -> None:
    assert next_of(plan_move(HUB, INTENT, FORCED_BROKEN)) is Stage.ANNOUNCE


def test_a_target_that_is_not_seen_can_not_be_forced() -> None:
    plan = plan_move(HUB, FORCE, replace(GONE, copies={**GONE.copies, TARGET: Unseen("dead")}))
    assert plan.ready == []
    assert plan.has(Consequence.UNKNOWN)


def test_a_forced_move_can_go_back_until_the_break() -> None:
    abort = replace(FORCE, abort=True)
    assert {step.act for step in plan_move(HUB, abort, FORCED).ready} == {Act.RELEASE}
    late = plan_move(HUB, abort, FORCED_BROKEN)
    assert late.ready == []
    assert late.has(Consequence.BLOCKED)


def forced_after(old: Copy | Unseen) -> MoveFacts:
    """Switched and done, but for the old primary."""
    seen = edges(TARGET, 2)
    wanted = copies(AFTER, 11)
    return replace(
        FORCED_BROKEN, copies={**wanted, OLD: old}, edges={**seen, OLD: Unseen("dead")}, holds=holds(None), loss=None
    )


def test_what_is_lost_may_stay_away() -> None:
    plan = plan_move(AFTER, INTENT, forced_after(Unseen("dead")))
    assert plan.steps == ()
    (cluster, edge) = plan.differences
    assert (cluster.consequence, edge.consequence) == (Consequence.LEFT, Consequence.LEFT)
    assert f"--discard {OLD}" in cluster.hint


def test_relationships_with_the_lost_primary_are_deleted_at_this_end_only() -> None:
    facts = replace(FORCED_BROKEN, edges={**edges(TARGET, 2, held=True), OLD: Unseen("dead")}, loss=None)
    deletions = [
        step.call.path for step in plan_move(AFTER, INTENT, facts).steps if step.call and step.call.method == "DELETE"
    ]
    assert len(deletions) == 1 + len(OTHERS)
    assert all(one.endswith("?destination_only=true") for one in deletions)


def test_an_old_primary_that_is_back_is_overwritten_only_by_name() -> None:
    back = CALM.copies[OLD]
    assert isinstance(back, Copy)
    plan = plan_move(AFTER, INTENT, forced_after(back))
    assert [step for step in plan.steps if step.site == OLD] == []
    assert f"--discard {OLD}" in plan.differences[0].hint
    named = plan_move(AFTER, replace(INTENT, discard=OLD), forced_after(back))
    assert next_of(named) is Stage.REVERSE
    assert OLD in {step.site for step in named.ready}
    assert Stage.TAKE_UP in stages(named)
