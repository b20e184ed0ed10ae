"""What a kernel ran, as its journal has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from balbook.notebook.runbook import cell_digest
from balbook.record.journal import Journal
from balbook.run.cells import CellWatch
from tests.journals import lines, made


@pytest.mark.parametrize(("source", "is_injected"), [('# Parameters\napplication = "hotel"\n', True), ("application = cheat()", False)])
def test_a_cell_with_parameters_alone_is_journaled_as_such(tmp_path: Path, source: str, is_injected: bool) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(made("run_opened", parameters={"application": "hotel"}))
    watch = CellWatch(SimpleNamespace(execution_count=2), journal, {cell_digest("setup"): "setup"})
    watch.before(SimpleNamespace(raw_cell="setup"))
    watch.before(SimpleNamespace(raw_cell=source))
    events = [e for e in lines(journal) if e["event"] == "cell_started"]
    assert [(e["role"], e.get("is_injected", False)) for e in events] == [("setup", False), ("unknown", is_injected)]
