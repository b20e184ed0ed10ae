"""The end of a run: its verdict becomes the last event of its journal. The one place that closes runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.record import verdict
from balbook.record.events import ExecutorReturned, RunClosed
from balbook.record.journal import JOURNAL, Journal
from balbook.record.verdict import Returned, Stated


def close(journal: Journal, stated: Stated, *, by: str = "") -> Stated:
    """Writes the verdict into the journal. `by` names the closer where it is not the run's own process."""
    journal.append(RunClosed(verdict=stated.verdict, why=stated.why, by=by))
    return stated


def close_executed(journal: Journal, cells: Sequence[str], returned: Returned) -> Stated:
    """Closes a run whose executor has returned. `cells`: sha256 of the runbook's code cells, in order."""
    journal.append(ExecutorReturned(status=returned.status, message=returned.message))
    return close(journal, verdict.state(journal.history(), cells, returned))


def close_left(run_dir: Path) -> None:
    """Closes a run that JupyterLab or plain papermill executed without a runner; leaves a closed run alone.

    The person who seals the run says thereby that the executor has returned.
    """
    journal = Journal(run_dir / JOURNAL)
    history = journal.history()
    if history.opened is None or history.closed:
        return
    stated = verdict.state(history, history.opened.cells or (), Returned("ok"))
    if history.is_lost:
        stated = verdict.stated("inconclusive", "lost_run: the run's process began to apply the plan, and the journal has no end")
    close(journal, stated, by="seal")
