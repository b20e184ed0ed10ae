"""The record of a run whose kernel died: its process has ended in a safe state, and nobody was left to close it.

The notebook is built from the journal alone: which cells ran, the plan, what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balbook.engine import process
from balbook.inventory import Inventory
from balbook.jupyter.forms import closing, panels
from balbook.jupyter.forms.durations import Expected
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.kept_notebook import Recorder
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.plan_page import plan_page
from balbook.jupyter.forms.watch import Ran
from balbook.notebook.runbook import Runbook, read_runbook
from balbook.record.journal import Event, Journal
from balbook.record.keeping import is_lost
from balbook.record.verdict import Returned, cells_that_ran
from balbook.run.cells import sha256_of

MOST_RECORDS = 20
"""Records that are looked at for one that nobody closed, newest first."""


def is_abandoned(run_dir: Path) -> bool:
    """Whether it has ended after its controller had died, and nobody has closed it."""
    names = {event["event"] for event in Journal(run_dir / "journal.jsonl").events()}
    return {"controller_gone", "apply_finished"} <= names and "run_closed" not in names and process.find(run_dir) is None


def abandoned(records: Path) -> list[Path]:
    """Such runs among the newest records."""
    newest = sorted((p for p in records.glob("2*") if p.is_dir()), reverse=True)[:MOST_RECORDS]
    return [folder for folder in newest if is_abandoned(folder)]


def rescue(follower: Follower, inventory: Inventory) -> list[Html]:
    """States the verdict, writes the notebook, seals; what there is to say. Nothing where it is not abandoned."""
    run_dir = follower.run_dir
    if not is_abandoned(run_dir) or is_lost(run_dir):
        return []
    journal = Journal(run_dir / "journal.jsonl", clean=inventory.secrets.scrubber.data)
    events = journal.events()
    opened = events[0]
    executed = read_runbook(Path(opened["notebook"]))
    stated = closing.state(executed, journal, Returned("kernel_death", "the notebook's kernel died"))
    verdict = panels.verdict(stated.verdict, stated.why, str(opened["runbook"]), str(opened["run_id"]))
    ran = _ran(executed, events)
    shown = {"plan": [plan_page(follower.live.plan, Expected(), inventory.environment)], "apply": [follower.twin(), verdict]}
    recorder = Recorder()
    for role, pages in shown.items():
        for page in pages:
            recorder.hear("display_data", {"data": page.bundle(), "metadata": {}}, {"msg_id": role})
    kept = closing.keep_notebook(executed, ran, recorder, opened["parameters"], run_dir)
    return [verdict, closing.seal(inventory, run_dir, kept, stated)]


def _ran(executed: Runbook, events: Sequence[Event]) -> list[Ran]:
    """The cells that ran, as far as the runbook has their source."""
    sources = {sha256_of(cell.source): cell.source for cell in executed.cells if cell.type == "code"}
    found: list[Any] = [(event, sources.get(str(event["source_sha256"]))) for event in cells_that_ran(events)]
    return [Ran(int(e["number"]), source, str(e["role"]), message_id=str(e["role"])) for e, source in found if source is not None]
