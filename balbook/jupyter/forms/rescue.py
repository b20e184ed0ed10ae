"""The record of a run whose kernel died: its process has ended in a safe state, and nobody was left to close the run.

The notebook is built from the journal alone: the cells that ran, the plan, the steps.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from balbook.engine import process
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.kept_notebook import Recorder
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.plan_page import plan_page
from balbook.jupyter.forms.sealed import seal
from balbook.jupyter.forms.watch import Ran
from balbook.notebook.runbook import cell_digest, read_runbook
from balbook.record.journal import JOURNAL, Journal, history_of
from balbook.record.verdict import Returned
from balbook.run.closing import close_executed
from balbook.run.opening import cells_of

MOST_RECORDS = 20
"""The number of newest records that are searched for a run that nobody closed."""


def abandoned(records: Path) -> list[Path]:
    """The folders of newest runs that ended after their controller had died, and that nobody has closed."""
    found = []
    for folder in sorted((p for p in records.glob("2*") if p.is_dir()), reverse=True)[:MOST_RECORDS]:
        with suppress(BadInput):  # `records show` names the fault of a journal that cannot be read
            if history_of(folder).is_abandoned and process.find(folder) is None:
                found.append(folder)
    return found


def rescue(follower: Follower, inventory: Inventory) -> list[Html]:
    """States the verdict, writes the notebook, seals; returns panels about the end. Does nothing to a run that is not abandoned."""
    run_dir = follower.run_dir
    history = history_of(run_dir)
    opened = history.opened
    if opened is None or not history.is_abandoned or history.is_lost or process.find(run_dir) is not None:
        return []
    journal = Journal(run_dir / JOURNAL, clean=inventory.secrets.scrubber.data)
    executed = read_runbook(Path(opened.notebook))
    stated = close_executed(journal, cells_of(executed), Returned("kernel_death", "the notebook's kernel died"))
    verdict = panels.verdict(stated.verdict, stated.why, opened.runbook, opened.run_id)
    recorder, plan = Recorder(), plan_page(follower.live.plan, "", inventory.environment)
    for role, page in (("plan", plan), ("apply", follower.twin()), ("apply", verdict)):
        recorder.hear("display_data", {"data": page.bundle(), "metadata": {}}, {"msg_id": role})
    sources = {cell_digest(cell.source): cell.source for cell in executed.cells if cell.type == "code"}
    known = [(cell, sources[cell.source_sha256]) for cell in history.cells_that_ran if cell.source_sha256 in sources]
    ran = [Ran(cell.number, source, cell.role, message_id=cell.role) for cell, source in known]
    return [verdict, seal(inventory, run_dir, executed, ran, recorder, stated)]
