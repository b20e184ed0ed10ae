"""What `bal` said in a run: counts of tests as a table, everything else folded."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.facts.ballerina import Tests, parse_tests
from balbook.record.journal import Event
from balbook.show.table import Folded, Shown, Table


def bal_outputs(events: Sequence[Event]) -> list[Shown]:
    """The tests' table, then the output of each step that changed something or failed."""
    steps = [e for e in events if e["event"] == "step_finished" and e["outcome"] != "already" and e.get("tail")]
    folded = [Folded(f"{e['host']}: {e['title']} ({e['outcome']}, {e['seconds']:.1f} s)", str(e["tail"]).strip()) for e in steps]
    return [test_table(events), *folded]


def test_table(events: Sequence[Event]) -> Table:
    """A row for each `bal test` of the run; counts say how many, the outcome (by exit status) whether it went well."""
    rows = []
    for event in events:
        if event["event"] == "step_finished" and str(event["step"]).startswith("test ") and event["outcome"] != "already":
            counts = Tests(**event["tests"]) if "tests" in event else parse_tests(str(event["tail"]))
            outcome = "passed" if event["outcome"] == "changed" else str(event["outcome"])
            rows.append((str(event["step"]).removeprefix("test "), counts.passing, counts.failing, counts.skipped, outcome))
    return Table(("tested", "passing", "failing", "skipped", "outcome"), rows, title="Tests of this run")
