"""In which order the steps of a plan are done, to which instances, and what an earlier process of the run has done of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from balbook.plan.model import Plan, Step
from balbook.record.journal import Journal

PROVE = "prove"
"""The group of the steps that mark a release as proven; what is behind them tidies up."""


def units_in_order(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Neighbours of one unit together; steps without a unit by group, or alone."""
    for _, group in groupby(steps, key=lambda s: ("unit", s.unit) if s.unit else ("group", s.group) if s.group else ("step", s.id)):
        yield list(group)


def batches(unit: Sequence[Step]) -> Iterator[list[Step]]:
    """Neighbours of one group together; the others alone."""
    for _, group in groupby(unit, key=lambda s: ("group", s.group) if s.group else ("step", s.id)):
        yield list(group)


def units_before(plan: Plan) -> dict[str, str]:
    """What is so of every instance before the first step: `not reached` by the steps of its unit, or `already` as it should be."""
    units = {step.unit_name: "not reached" for step in plan.steps if step.unit}
    waiting = {name for step in plan.steps for name in step.unit}
    probe = plan.settings.probe
    known = [*(probe.instances.values() if probe else ()), *plan.settings.downtime]
    return units | {name: "already" for name in known if name not in waiting}


def earlier(journal: Journal, digest: str) -> tuple[dict[str, str], set[str]]:
    """Steps of this very plan by an earlier process: finished ones whose effect stands, and those it died in."""
    outcomes: dict[str, str] = {}
    is_this_plan = False
    for event in journal.events():
        match event["event"]:
            case "apply_started":
                is_this_plan = event.get("digest") == digest
            case "step_started" | "undo_started" if is_this_plan:
                outcomes[event["step"]] = "interrupted"
            case "step_finished" if is_this_plan:
                outcomes[event["step"]] = event["outcome"]
    finished = {step: outcome for step, outcome in outcomes.items() if outcome in ("changed", "already")}
    return finished, {step for step, outcome in outcomes.items() if outcome == "interrupted"}
