"""The record of a run whose kernel died: its process has ended in a safe state, and nobody was left to close it.

The notebook is built from the journal alone: which cells ran, the plan, what was done.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from balbook.engine import process
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.jupyter.forms import panels, sealed
from balbook.jupyter.forms.durations import Expected
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.kept_notebook import Recorder
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.plan_page import plan_page
from balbook.jupyter.forms.watch import Ran
from balbook.notebook.runbook import Runbook, cell_digest, read_runbook
from balbook.record.history import History
from balbook.record.journal import JOURNAL, Journal, history_of
from balbook.record.verdict import Returned
from balbook.run.closing import close_executed
from balbook.run.opening import cells_of

MOST_RECORDS = 20
"""Records that are looked at for one that nobody closed, newest first."""


def is_abandoned(run_dir: Path) -> bool:
    """Whether it has ended after its controller had died, and nobody has closed it."""
    with suppress(BadInput):  # a journal that cannot be read is named where its record is asked for
        return history_of(run_dir).is_abandoned and process.find(run_dir) is None
    return False


def abandoned(records: Path) -> list[Path]:
    """Such runs among the newest records."""
    newest = sorted((p for p in records.glob("2*") if p.is_dir()), reverse=True)[:MOST_RECORDS]
    return [folder for folder in newest if is_abandoned(folder)]


def rescue(follower: Follower, inventory: Inventory) -> list[Html]:
    """States the verdict, writes the notebook, seals; what there is to say. Nothing where it is not abandoned."""
    run_dir = follower.run_dir
    history = history_of(run_dir)
    opened = history.opened
    if opened is None or not is_abandoned(run_dir) or history.is_lost:
        return []
    journal = Journal(run_dir / JOURNAL, clean=inventory.secrets.scrubber.data)
    executed = read_runbook(Path(opened.notebook))
    stated = close_executed(journal, cells_of(executed), Returned("kernel_death", "the notebook's kernel died"))
    verdict = panels.verdict(stated.verdict, stated.why, opened.runbook, opened.run_id)
    ran = _ran(executed, history)
    shown = {"plan": [plan_page(follower.live.plan, Expected(), inventory.environment)], "apply": [follower.twin(), verdict]}
    recorder = Recorder()
    for role, pages in shown.items():
        for page in pages:
            recorder.hear("display_data", {"data": page.bundle(), "metadata": {}}, {"msg_id": role})
    kept = sealed.keep_notebook(executed, ran, recorder, opened.parameters, run_dir)
    return [verdict, sealed.seal(inventory, run_dir, kept, stated)]


def _ran(executed: Runbook, history: History) -> list[Ran]:
    """The cells that ran, as far as the runbook has their source."""
    sources = {cell_digest(cell.source): cell.source for cell in executed.cells if cell.type == "code"}
    found = [(cell, sources.get(cell.source_sha256)) for cell in history.cells_that_ran]
    return [Ran(cell.number, source, cell.role, message_id=cell.role) for cell, source in found if source is not None]
