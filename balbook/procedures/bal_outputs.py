"""What `bal` said in a run, as tables: counts of tests by package."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.facts.ballerina import parse_tests
from balbook.journal import Event
from balbook.table import Table


def test_table(events: Sequence[Event]) -> Table:
    """A row for each `bal test` of the run; counts say how many, the outcome (by exit status) whether it went well."""
    rows = []
    for event in events:
        if event["event"] == "step_finished" and str(event["step"]).startswith("test "):
            counts = parse_tests(str(event["tail"]))
            outcome = "passed" if event["outcome"] == "changed" else str(event["outcome"])
            rows.append((str(event["step"]).removeprefix("test "), counts.passing, counts.failing, counts.skipped, outcome))
    return Table(("tested", "passing", "failing", "skipped", "outcome"), rows, title="Tests")
