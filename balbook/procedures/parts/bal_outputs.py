"""What `bal` said in a run: counts of tests as a table, everything else folded."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.facts.ballerina import Tests
from balbook.plan.model import Plan
from balbook.record.journal import Event
from balbook.show.table import Folded, Shown, Table


def bal_outputs(plan: Plan, events: Sequence[Event]) -> list[Shown]:
    """The tests' table, then the output of each step that changed something or failed."""
    steps = [e for e in events if e["event"] == "step_finished" and e["outcome"] != "already"]
    told = [e for e in steps if e.get("tail")]
    folded = [Folded(f"{e['host']}: {e['title']} ({e['outcome']}, {e['seconds']:.1f} s)", str(e["tail"]).strip()) for e in told]
    tested, rows = {step.id: step.about for step in plan.steps if step.verb == "test"}, []
    for event in steps:
        if name := tested.get(event["step"]):  # counts say how many, the outcome (by exit status) whether it went well
            counts = Tests(**event.get("tests", {}))
            outcome = "passed" if event["outcome"] == "changed" else str(event["outcome"])
            rows.append((name, counts.passing, counts.failing, counts.skipped, outcome))
    return [Table(("tested", "passing", "failing", "skipped", "outcome"), rows, title="Tests of this run"), *folded]
