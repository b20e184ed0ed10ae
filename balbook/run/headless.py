"""Runbooks headless: papermill executes the notebook, the journal says what happened. Only this module imports papermill.

Papermill runs in a thread of its own, so that a signal here becomes a request to the run's process (finish the step in
hand, reach a safe state) and not the end of the kernel in the middle of it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balbook.engine import process
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.local.atomic_files import write_bytes, write_text
from balbook.local.signals import answered
from balbook.notebook.notebook_file import quick_import, read_notebook, text_of_notebook
from balbook.notebook.runbook import Runbook, cell_digest, find_runbooks, read_runbook, runbook_path
from balbook.record import progress, verdict
from balbook.record.journal import Journal, utc_now
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Returned, Stated
from balbook.run.closing import close_executed
from balbook.run.folder import make_run_dir, new_run_id
from balbook.run.opening import checked_values
from balbook.run.request import RunRequest, handing
from balbook.run.run import require_no_secrets
from balbook.secrets.references import MIN_LENGTH

Say = Callable[[str], None]
CELL_TIMEOUT_S = 4 * 3600


@dataclass(frozen=True)
class Outcome:
    """What one runbook came to."""

    runbook: str
    run_id: str
    verdict: str
    why: str
    exit_status: int
    seconds: float
    record: Path
    notebook: Path
    changes: int = 0
    measurements: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """The runbook's object of `--json`."""
        return {
            "runbook": self.runbook,
            "verdict": self.verdict,
            "why": self.why,
            "seconds": round(self.seconds, 1),
            "notebook": str(self.notebook),
            "changes": self.changes,
            "measurements": dict(self.measurements),
        }


def execute(
    name: str,
    inventory: Inventory,
    parameters: Mapping[str, Any],
    *,
    expected_digest: str = "",
    shown_in: str = "",
    key: str = "",
    on_begun: Callable[[Path], None] = lambda run_dir: None,
    on_stop: Callable[[], None] = lambda: None,
    say: Say = lambda line: None,
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> Outcome:
    """Runs one runbook to its end and states the verdict. BadInput before anything is touched; else an Outcome, also of a failure.

    `expected_digest`: of the plan that was agreed on, and `shown_in` the run that showed it; another plan is refused. `key`: kept
    in the journal. `on_begun` is told the run's folder before anything happens, `on_stop` that a signal asked the run to stop.
    """
    runbook = read_runbook(runbook_path(name))
    checked = checked_parameters(runbook, inventory, parameters)
    run_dir = make_run_dir(inventory, runbook.name, new_run_id(), utc_now())
    request = RunRequest.of(runbook, runbook.procedure, inventory, checked, expected_digest=expected_digest, shown_in=shown_in, key=key)
    request.keep(run_dir)
    on_begun(run_dir)
    journal = Journal(run_dir / "journal.jsonl", clean=inventory.secrets.scrubber.data)
    started = time.monotonic()
    with inventory.secrets.handed_over() as fd:
        returned = _execute(runbook, checked, run_dir, fd, journal, say, cell_timeout_s, on_stop)
    stated = close_executed(journal, [cell_digest(cell.source) for cell in runbook.cells if cell.type == "code"], returned)
    seal_run(inventory, run_dir, say)
    return _outcome(runbook, run_dir, journal, stated, time.monotonic() - started)


def checked_parameters(runbook: Runbook, inventory: Inventory, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each of the runbook's parameters, the inventory's defaults filled in. BadInput where one is wrong; touches nothing.

    Secrets are read where something may show one before a host has answered: words of the caller's, cells that are not ours.
    """
    checked = checked_values(runbook, runbook.procedure, inventory, {**parameters, "inventory": str(inventory.path)})
    is_ours = runbook.path in find_runbooks().values()
    may_show = checked["mode"] == "apply" or not is_ours or _has_free_words(runbook, inventory, checked)
    require_no_secrets(checked, inventory.secrets.everything() if may_show else inventory.secrets.scrubber)
    return checked


def _has_free_words(runbook: Runbook, inventory: Inventory, parameters: Mapping[str, Any]) -> bool:
    """Whether a value is long enough for a secret and is none that the runbook or the inventory has itself."""
    own = {str(inventory.path), *inventory.hosts, *inventory.applications, *(str(p.default) for p in runbook.parameters)}
    words = [word for value in parameters.values() for word in (value if isinstance(value, list) else [value])]
    return any(len(str(word)) >= MIN_LENGTH and str(word) not in own for word in words)


def _execute(
    runbook: Runbook,
    parameters: Mapping[str, Any],
    run_dir: Path,
    secrets_fd: int,
    journal: Journal,
    say: Say,
    cell_timeout_s: int,
    on_stop: Callable[[], None],
) -> Returned:
    """Papermill in a thread; meanwhile events are said, and signals are passed on to the run's process."""
    results: list[Returned] = []

    def run() -> None:
        results.append(_papermill(runbook, parameters, run_dir, secrets_fd, cell_timeout_s))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    position = 0
    with _signals(run_dir, say, on_stop):
        while True:
            # A kernel that dies leaves the run's process behind, which takes its unit back before it ends.
            is_over = not thread.is_alive() and process.find(run_dir) is None
            events, position = journal.follow(position)
            for event in events:
                if line := progress.line_of(event):
                    say(line)
            if is_over:
                break
            time.sleep(0.05)
    if process.is_stop_requested(run_dir) and not journal.history().has_applied:
        return Returned("interrupted", "stopped on request before anything was applied; nothing was changed")
    return results[0] if results else Returned("error", "papermill ended without a result")


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
    """Puts the notebook, as far as it was executed, into its place in the record; nothing where it is there."""
    final, draft = run_dir / f"{runbook.name}.ipynb", _draft(runbook, run_dir)
    if draft.exists():
        write_text(final, _corrected(draft))
        draft.unlink()
    elif not final.exists():
        write_bytes(final, runbook.path.read_bytes())


def outcome_of(runbook: Runbook, run_dir: Path) -> Outcome:
    """What a run came to that has ended before."""
    journal = Journal(run_dir / "journal.jsonl")
    history = journal.history()
    stated = verdict.stated(*history.verdict)
    if stated.verdict == "failed" and history.exit_status:
        stated = replace(stated, exit_status=history.exit_status)
    return _outcome(runbook, run_dir, journal, stated, history.seconds)


def _draft(runbook: Runbook, run_dir: Path) -> Path:
    return run_dir / f".{runbook.name}.running.ipynb"


def _corrected(notebook: Path) -> str:
    """Without papermill's `completed` at cells that never ran, and at the one that ran when the kernel died or time was up."""
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


def _outcome(runbook: Runbook, run_dir: Path, journal: Journal, stated: Stated, seconds: float) -> Outcome:
    history = journal.history()
    planned = history.planned if stated.verdict == "planned" else None
    changes = history.applied.changes if history.applied else planned.changes if planned else 0
    return Outcome(
        runbook=runbook.name,
        run_id=run_id_of(run_dir),
        verdict=stated.verdict,
        why=stated.why,
        exit_status=stated.exit_status,
        seconds=seconds,
        record=run_dir,
        notebook=run_dir / f"{runbook.name}.ipynb",
        changes=changes,
        measurements=history.last_figures.payload() if history.last_figures else {},
    )


@contextlib.contextmanager
def _signals(run_dir: Path, say: Say, on_stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM ask the run to stop; where it has not begun to apply, the cell in hand is interrupted as well."""
    from balbook.notebook.kernel import LocalKernel

    def on_signal(number: int, frame: object) -> None:
        on_stop()
        with contextlib.suppress(BadInput):  # it is over already; its end is being written down
            is_applying = process.ask_to_stop(run_dir)
            if not is_applying:
                LocalKernel.interrupt_started()
            then = "it finishes the step in hand and reaches a safe state" if is_applying else "nothing was applied yet"
            say(f"{signal.Signals(number).name}: asked the run to stop; {then}")

    with answered((signal.SIGINT, signal.SIGTERM), on_signal):
        yield
