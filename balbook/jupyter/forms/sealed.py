"""The end of a run in JupyterLab: its verdict is stated and shown, its notebook written by balbook itself, its record sealed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook.inventory import Inventory
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.kept_notebook import Recorder, notebook_of
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.trouble import standing
from balbook.jupyter.forms.watch import Ran
from balbook.local.atomic_files import write_text
from balbook.notebook.runbook import Runbook
from balbook.record.journal import history_of
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Stated
from balbook.show.markup import Markup, joined, markup

NEXT = {
    "succeeded": "Nothing more is to be done.",
    "planned": "To apply it, choose the mode `apply` in the form and run the cells again from `preflight`.",
    "failed": "Mend what the verdict names, then run the cells again from `preflight`: the form opens a new run.",
    "inconclusive": "Look at the application; run the cells again from `preflight` for a run that shows what it must.",
}
NEXT_STANDING = (
    "What was applied stands. Look at the application; mend what the verdict names and run the cells again from `preflight`, "
    "or bring back a release that was proven."
)


def keep_notebook(executed: Runbook, ran: Sequence[Ran], recorder: Recorder, parameters: Mapping[str, Any], run_dir: Path) -> Path:
    """The executed notebook, in the run's folder."""
    path = run_dir / f"{executed.name}.ipynb"
    write_text(path, notebook_of(executed, ran, recorder, parameters))
    return path


def seal(inventory: Inventory, run_dir: Path, notebook: Path, stated: Stated) -> Html:
    """Seals the record; what a person should know of it."""
    notes: list[str] = []
    record = seal_run(inventory, run_dir, notes.append)
    run_id = run_id_of(run_dir)
    sealed = "not sealed"
    if record is not None and record.entry is not None:
        sealed = f"sealed as entry {record.entry.number} of the ledger, {'signed' if record.is_signed else 'not signed'}"
    rows = [("record", markup("<code>{}</code>", run_dir)), ("seal", sealed), ("notebook", markup("<code>{}</code>", notebook))]
    html = markup(
        "<div class='bb-box {} bb-record'>{}{}{}</div>",
        panels.BOX[stated.verdict], panels.table(("", ""), [[markup("<b>{}</b>", what), value] for what, value in rows]),
        panels.listed(notes), _what_next(run_dir, run_id, stated),
    )  # fmt: skip
    return Html(html, f"record: {run_dir}\n{sealed}")


def _what_next(run_dir: Path, run_id: str, stated: Stated) -> Markup:
    """What to do now; where the plan was applied well and yet the run has failed, what stands and how to go back as well."""
    records = [f"balbook records show {run_id}", f"balbook records verify {shlex.quote(str(run_dir))}"]
    history = history_of(run_dir)
    advice, lines, state = NEXT[stated.verdict], [f"balbook resume {run_id}"] if history.is_lost else records, Markup()
    if stated.verdict == "failed" and history.applied and history.applied.verdict == "succeeded":
        stands, commands = standing(run_dir)
        advice, lines, state = NEXT_STANDING, [*commands, *records], markup("<h4>State now</h4>{}", panels.listed(stands))
    told = markup("{}<h4>What to do next</h4><p>{}</p>", state, panels.inline(advice))
    return told + joined(panels.command(line) for line in lines)
