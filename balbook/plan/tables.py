"""A plan as something a person can judge."""

from __future__ import annotations

from balbook.plan.model import Plan, Step
from balbook.show.table import Table


def plan_table(plan: Plan) -> Table:
    """A row a step: where, what, whether it is done already, whether it can be taken back."""
    rows = [(number, step.host, step.title, _state(step), _undo(step)) for number, step in enumerate(plan.steps, 1)]
    changes = len(plan.pending)
    summary = f"{changes} of {len(plan.steps)} steps to do" if changes else "Nothing to do: every step is done already"
    return Table(("#", "host", "step", "state", "undo"), rows, title=f"Plan: {subject(plan)}", note=f"{summary}. Digest {plan.digest}")


def precondition_table(plan: Plan) -> Table:
    """The preconditions of the plan."""
    rows = [(p.what, p.said, p.found) for p in plan.preconditions]
    return Table(("precondition", "state", "found"), rows, title="Preconditions")


def diffs(plan: Plan) -> str:
    """The diffs of all steps that change files; equal ones once."""
    return "\n".join(f"# on {', '.join(hosts)}\n{diff}" for diff, hosts in diffs_by_text(plan).items())


def diffs_by_text(plan: Plan) -> dict[str, list[str]]:
    """The hosts of each diff that is still to be made, in the order of the steps."""
    seen: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.diff and not step.is_done:
            seen.setdefault(step.diff, []).append(step.host)
    return seen


def subject(plan: Plan) -> str:
    """The subject of the plan, in a few words."""
    words = [plan.runbook, *([plan.application] if plan.application else [])]
    return " ".join([*words, *([f"to release {plan.subject['release']}"] if "release" in plan.subject else [])])


def _state(step: Step) -> str:
    return "already done" if step.is_done else "to do"


def _undo(step: Step) -> str:
    return "yes" if step.undo else "-"
