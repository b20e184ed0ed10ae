"""Executes runbooks headless: papermill runs the notebook, the journal has the events. Only this module imports papermill.

Papermill runs in a thread of its own, so that a signal here becomes a request to the run's process (finish the current
step, reach a safe state) and not the end of the kernel in the middle of a step.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from balbook.engine import process
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.local.atomic_files import write_bytes, write_text
from balbook.local.signals import answered
from balbook.notebook.notebook_file import quick_import, read_notebook, text_of_notebook
from balbook.notebook.runbook import Runbook, find_runbooks, read_runbook, runbook_path
from balbook.record import progress, verdict
from balbook.record.history import History
from balbook.record.journal import JOURNAL, Journal, history_of
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Returned, Stated
from balbook.run.closing import close_executed
from balbook.run.folder import make_run_dir
from balbook.run.opening import cells_of, checked_values
from balbook.run.request import RunRequest, handing
from balbook.run.run import require_no_secrets
from balbook.secrets.references import MIN_LENGTH

Say = Callable[[str], None]
CELL_TIMEOUT_S = 4 * 3600


@dataclass(frozen=True)
class Outcome:
    """The outcome of a runbook, or of a pipeline with the outcomes of its runbooks in `parts`."""

    name: str
    run_id: str
    verdict: str
    why: str
    exit_status: int
    seconds: float
    record: Path
    notebook: Path | None = None
    changes: int = 0
    measurements: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Outcome, ...] | None = None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes of the single runbooks, in order."""
        return (self,) if self.parts is None else self.parts

    def data(self) -> dict[str, Any]:
        """The runbook's object of `--json`."""
        return {
            "runbook": self.name,
            "verdict": self.verdict,
            "why": self.why,
            "seconds": round(self.seconds, 1),
            "notebook": str(self.notebook or ""),
            "changes": self.changes,
            "measurements": dict(self.measurements),
        }


def execute(
    name: str,
    inventory: Inventory,
    parameters: Mapping[str, Any],
    *,
    on_begun: Callable[[Path], None] = lambda run_dir: None,
    on_stop: Callable[[], None] = lambda: None,
    say: Say = lambda line: None,
    cell_timeout_s: int = CELL_TIMEOUT_S,
    **agreed: str,
) -> Outcome:
    """Runs one runbook to its end and states the verdict. BadInput before anything is touched; then an Outcome, also of a failure.

    `on_begun` gets the run's folder before anything happens; `on_stop` is called when a signal asks the run to stop. `agreed`:
    `expected_digest` of the plan that was agreed on and `shown_in`, the run that showed it (another plan is refused); `key`.
    """
    runbook = read_runbook(runbook_path(name))
    checked = checked_parameters(runbook, inventory, parameters)
    run_dir = make_run_dir(inventory, runbook.name)
    RunRequest.of(runbook, runbook.procedure, inventory, checked, **agreed).keep(run_dir)
    on_begun(run_dir)
    journal = Journal(run_dir / JOURNAL, clean=inventory.secrets.scrubber.data)
    started = time.monotonic()
    with inventory.secrets.handed_over() as fd, _signals(run_dir, say, on_stop):
        returned = _followed(journal, partial(_papermill, runbook, checked, run_dir, fd, cell_timeout_s), say)
    stated = close_executed(journal, cells_of(runbook), returned)
    seal_run(inventory, run_dir, say)
    return ended(runbook.name, run_dir, journal.history(), stated, time.monotonic() - started)


def checked_parameters(runbook: Runbook, inventory: Inventory, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each of the runbook's parameters, the inventory's defaults filled in. BadInput where one is wrong; touches nothing.

    Secrets are read where words of the caller, or cells that are not ours, may show one before a host has answered.
    """
    checked = checked_values(runbook, runbook.procedure, inventory, {**parameters, "inventory": str(inventory.path)})
    is_ours = runbook.path in find_runbooks().values()
    may_show = checked["mode"] == "apply" or not is_ours or _has_free_words(runbook, inventory, checked)
    require_no_secrets(checked, inventory.secrets.everything() if may_show else inventory.secrets.scrubber)
    return checked


def _has_free_words(runbook: Runbook, inventory: Inventory, parameters: Mapping[str, Any]) -> bool:
    """True where a value is long enough for a secret, and neither the runbook nor the inventory has that value."""
    own = {str(inventory.path), *inventory.hosts, *inventory.applications, *(str(p.default) for p in runbook.parameters)}
    words = [word for value in parameters.values() for word in (value if isinstance(value, list) else [value])]
    return any(len(str(word)) >= MIN_LENGTH and str(word) not in own for word in words)


def _followed(journal: Journal, papermill: Callable[[], Returned], say: Say) -> Returned:
    """Runs papermill in a thread, and meanwhile says the journal's events."""
    run_dir, position = journal.path.parent, 0
    results: list[Returned] = []
    thread = threading.Thread(target=lambda: results.append(papermill()), daemon=True)
    thread.start()
    is_over = False
    while not is_over:
        # A kernel that dies leaves the run's process behind, which takes its unit back before it ends.
        is_over = not thread.is_alive() and process.find(run_dir) is None
        events, position = journal.follow(position)
        for line in filter(None, map(progress.line_of, events)):
            say(line)
        if not is_over:
            time.sleep(0.05)
    if process.is_stop_requested(run_dir) and not journal.history().has_applied:
        return Returned("interrupted", "stopped on request before anything was applied; nothing was changed")
    return results[0] if results else Returned("error", "papermill ended and returned no result")


def _papermill(runbook: Runbook, parameters: Mapping[str, Any], run_dir: Path, secrets_fd: int, cell_timeout_s: int) -> Returned:
    with quick_import():
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from balbook.notebook.kernel import given

    draft = _draft(runbook, run_dir)
    try:
        papermill.execute_notebook(
            str(runbook.path),
            str(draft),
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            kernel_manager_class=given(handing(run_dir, secrets_fd), secrets_fd),
            progress_bar=False,
            execution_timeout=cell_timeout_s,
            autosave_cell_every=5,
            request_save_on_cell_execute=True,
        )
        return Returned("ok")
    except papermill.PapermillExecutionError as exc:
        return Returned("error", f"{exc.ename}: {exc.evalue}")
    except DeadKernelError:
        return Returned("kernel_death", "the notebook's kernel died")
    except CellTimeoutError as exc:
        return Returned("cell_timeout", str(exc).splitlines()[0])
    except Exception as exc:
        return Returned("error", f"{type(exc).__name__}: {exc}")
    finally:
        keep_notebook(runbook, run_dir)


def keep_notebook(runbook: Runbook, run_dir: Path) -> None:
    """Puts the notebook, as far as it was executed, into its place in the record, unless the record has one."""
    final, draft = run_dir / f"{runbook.name}.ipynb", _draft(runbook, run_dir)
    if draft.exists():
        write_text(final, _corrected(draft))
        draft.unlink()
    elif not final.exists():
        write_bytes(final, runbook.path.read_bytes())


def outcome_of(runbook: Runbook, run_dir: Path) -> Outcome:
    """The outcome of a run that has ended before."""
    history = history_of(run_dir)
    stated = verdict.stated(*history.verdict)
    if stated.verdict == "failed" and history.exit_status:
        stated = replace(stated, exit_status=history.exit_status)
    return ended(runbook.name, run_dir, history, stated, history.seconds)


def _draft(runbook: Runbook, run_dir: Path) -> Path:
    return run_dir / f".{runbook.name}.running.ipynb"


def _corrected(notebook: Path) -> str:
    """The notebook without papermill's `completed` at cells that never ran or were cut short by the kernel's death or a timeout."""
    data = read_notebook(notebook)
    cells = [cell for cell in data["cells"] if cell["cell_type"] == "code"]
    about = [cell["metadata"].get("papermill", {}) for cell in cells]
    is_cut_short = not any(a.get("status") == "failed" for a in about)
    ran = [n for n, cell in enumerate(cells) if cell.get("execution_count")]
    for number, told in enumerate(about):
        if number not in ran:
            told["status"] = "not run"
        elif number == ran[-1] and number < len(cells) - 1 and is_cut_short:
            told["status"] = "interrupted"
    return text_of_notebook(data)


def ended(name: str, run_dir: Path, history: History, stated: Stated, seconds: float) -> Outcome:
    """The outcome of a run that has ended, with the changes and measurements of its journal."""
    changing = history.applied or (history.planned if stated.verdict == "planned" else None)
    return Outcome(
        name,
        run_id_of(run_dir),
        stated.verdict,
        stated.why,
        stated.exit_status,
        seconds,
        run_dir,
        notebook=notebook if (notebook := run_dir / f"{name}.ipynb").exists() else None,
        changes=changing.changes if changing else 0,
        measurements=history.last_figures.payload() if history.last_figures else {},
    )


def _signals(run_dir: Path, say: Say, on_stop: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Makes SIGINT and SIGTERM ask the run to stop; before the run applies its plan, they also interrupt the current cell."""
    from balbook.notebook.kernel import LocalKernel

    def on_signal(number: int, frame: object) -> None:
        on_stop()
        with contextlib.suppress(BadInput):  # the run is over already, and its verdict is being written
            is_applying = process.ask_to_stop(run_dir)
            if not is_applying:
                LocalKernel.interrupt_started()
            then = "the run finishes its current step and reaches a safe state" if is_applying else "nothing was applied yet"
            say(f"{signal.Signals(number).name}: asked the run to stop; {then}")

    return answered((signal.SIGINT, signal.SIGTERM), on_signal)
