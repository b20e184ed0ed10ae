"""The output of `bal` in a run: counts of tests as a table, everything else folded."""

from __future__ import annotations

from balbook.facts.ballerina import Tests
from balbook.plan.model import Plan
from balbook.record.journal import Journal
from balbook.show.table import Folded, Shown, Table


def bal_outputs(plan: Plan, journal: Journal) -> list[Shown]:
    """The tests' table, then the output of each step that changed something or failed."""
    steps = [step for step in journal.history().finished if step.outcome != "already"]
    folded = [Folded(f"{s.host}: {s.title} ({s.outcome}, {s.seconds:.1f} s)", s.tail.strip()) for s in steps if s.tail]
    tested, rows = {step.id: step.about for step in plan.steps if step.verb == "test"}, []
    for step in steps:
        if name := tested.get(step.step):  # counts say how many, the outcome (by exit status) whether it went well
            counts = Tests(**step.tests or {})
            rows.append((name, counts.passing, counts.failing, counts.skipped, "passed" if step.outcome == "changed" else step.outcome))
    return [Table(("tested", "passing", "failing", "skipped", "outcome"), rows, title="Tests of this run"), *folded]
