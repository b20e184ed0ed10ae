"""In which order the steps of a plan are done, to which instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from balbook.plan.model import Plan, Step

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
    """The state of every instance before the first step: `not reached` by the steps of its unit, or `already` as it should be."""
    units = {step.unit_name: "not reached" for step in plan.steps if step.unit}
    waiting = {name for step in plan.steps for name in step.unit}
    probe = plan.settings.probe
    known = [*(probe.instances.values() if probe else ()), *plan.settings.downtime]
    return units | {name: "already" for name in known if name not in waiting}
