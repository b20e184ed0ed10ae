"""The end of a run in JupyterLab: its verdict is stated and shown, its notebook written by balbook itself, its record sealed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from balbook.inventory import Inventory
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.kept_notebook import Recorder, notebook_of
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.trouble import AGAIN, standing
from balbook.jupyter.forms.watch import Ran
from balbook.local.atomic_files import write_text
from balbook.notebook.runbook import Runbook
from balbook.record.history import History
from balbook.record.journal import history_of
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Stated
from balbook.show.markup import Markup, joined, markup

NEXT = {
    "succeeded": "Everything is done.",
    "planned": "To apply the plan, choose the mode `apply` in the form and run the cells again from `preflight`.",
    "failed": f"Repair the cause that the verdict names, then {AGAIN}",
    "inconclusive": f"Look at the application. For a conclusive run, {AGAIN}",
}
NEXT_STANDING = (
    "The applied changes stand. Look at the application; repair the cause that the verdict names and run the cells again from "
    "`preflight`, or bring back a release that was proven."
)


def seal(inventory: Inventory, run_dir: Path, executed: Runbook, ran: Sequence[Ran], recorder: Recorder, stated: Stated) -> Html:
    """Writes the executed notebook into the run's folder and seals the record; returns a panel about both."""
    history, notebook, notes = history_of(run_dir), run_dir / f"{executed.name}.ipynb", list[str]()
    write_text(notebook, notebook_of(executed, ran, recorder, history.parameters))
    record = seal_run(inventory, run_dir, notes.append)
    sealed = "not sealed"
    if record is not None and record.entry is not None:
        sealed = f"sealed as entry {record.entry.number} of the ledger, {'signed' if record.is_signed else 'not signed'}"
    rows = [("record", markup("<code>{}</code>", run_dir)), ("seal", sealed), ("notebook", markup("<code>{}</code>", notebook))]
    html = markup(
        "<div class='bb-box {} bb-record'>{}{}{}</div>",
        panels.BOX[stated.verdict], panels.table(("", ""), [[markup("<b>{}</b>", name), value] for name, value in rows]),
        panels.listed(notes), _next_step(run_dir, history, stated),
    )  # fmt: skip
    return Html(html, f"record: {run_dir}\n{sealed}")


def _next_step(run_dir: Path, history: History, stated: Stated) -> Markup:
    """The next step; after a good apply in a failed run also the present state and the way back."""
    run_id = run_id_of(run_dir)
    records = [f"balbook records show {run_id}", f"balbook records verify {shlex.quote(str(run_dir))}"]
    advice, lines, state = NEXT[stated.verdict], [f"balbook resume {run_id}"] if history.is_lost else records, Markup()
    if stated.verdict == "failed" and history.applied and history.applied.verdict == "succeeded":
        stands, commands = standing(run_dir)
        advice, lines, state = NEXT_STANDING, [*commands, *records], markup("<h4>State now</h4>{}", panels.listed(stands))
    return markup("{}<h4>Next step</h4><p>{}</p>{}", state, panels.inline(advice), joined(map(panels.command, lines)))
