"""What `bal` said in a run: counts of tests as a table, everything else folded."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.facts.ballerina import Tests, parse_tests
from balbook.record.events import StepFinished
from balbook.record.journal import Journal
from balbook.show.table import Folded, Shown, Table


def bal_outputs(journal: Journal) -> list[Shown]:
    """The tests' table, then the output of each step that changed something or failed."""
    steps = [step for step in journal.history().finished if step.outcome != "already"]
    folded = [Folded(f"{s.host}: {s.title} ({s.outcome}, {s.seconds:.1f} s)", s.tail.strip()) for s in steps if s.tail]
    return [test_table(steps), *folded]


def test_table(steps: Sequence[StepFinished]) -> Table:
    """A row for each `bal test` of the run; counts say how many, the outcome (by exit status) whether it went well."""
    rows = []
    for step in steps:
        verb, _, subject = step.step.partition(" ")
        if verb == "test":
            counts = parse_tests(step.tail) if step.tests is None else Tests(**step.tests)
            outcome = "passed" if step.outcome == "changed" else step.outcome
            rows.append((subject, counts.passing, counts.failing, counts.skipped, outcome))
    return Table(("tested", "passing", "failing", "skipped", "outcome"), rows, title="Tests of this run")
