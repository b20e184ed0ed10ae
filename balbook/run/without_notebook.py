"""Plans without a notebook: applied by the same engine, kept in the same kind of record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook import procedures
from balbook import transport as transports
from balbook.engine import process
from balbook.errors import BadInput, Refused
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan
from balbook.procedures.parts.site import Site
from balbook.record import approvals as approval
from balbook.record import events as ev
from balbook.record import progress
from balbook.record.history import History
from balbook.record.journal import Journal, utc_now
from balbook.record.keeping import seal_run
from balbook.record.statement import STATEMENT, run_id_of
from balbook.record.verdict import Stated, stated
from balbook.run.closing import close
from balbook.run.folder import make_run_dir, new_run_id, open_journal
from balbook.run.programs import note_versions
from balbook.run.run import planned, require_plan_without_secret, verified, write_plan
from balbook.secrets.references import Scrubber

Say = Callable[[str], None]


def apply_directly(inventory: Inventory, plan: Plan, parameters: Mapping[str, Any], say: Say) -> tuple[Stated, Path]:
    """Applies a plan in a process and a record of its own; the verdict and the record.

    An emergency act: it asks for no approval. Where the inventory wants some, Refused without a reason, and the journal says so.
    """
    if plan.unmet:
        raise Refused(f"{len(plan.unmet)} preconditions are not met: " + "; ".join(p.what for p in plan.unmet))
    needed = approval.needed(inventory, plan)
    if needed and not str(parameters.get("reason", "")).strip():
        raise Refused(
            f"{plan.application} needs {needed} approvals; {plan.runbook} goes without them, but not without a reason",
            advice="Give --reason TEXT; the record shows it.",
        )
    scrubber = inventory.secrets.everything()
    require_plan_without_secret(plan, scrubber)
    run_dir = make_run_dir(inventory, plan.runbook, new_run_id(), utc_now())
    journal = open_journal(run_dir, inventory, plan.runbook, {**parameters, "mode": "apply"})
    _show(run_dir, journal, plan, scrubber)
    if needed:
        journal.append(ev.NotApproved(needed=needed, reason=str(parameters["reason"]), digest=plan.digest))
    ended = _to_its_end(inventory, run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return ended, run_dir


def resume(run_dir: Path, say: Say, read: Inventory | None = None) -> Stated:
    """Goes on with a run whose process died: the same plan, less the steps that the journal has as finished.

    Of a plan that says what is left to do `on_resume` only that, and the run is inconclusive. `read`: an inventory that was read
    already, with its secrets; it serves where it is the run's.
    """
    journal = Journal(run_dir / "journal.jsonl")
    run_id = run_id_of(run_dir)
    if process.is_alive(run_dir):
        where = f"as process {pid}" if (pid := process.find(run_dir)) else "on another machine"
        raise BadInput(f"run {run_id} is running, {where}", advice=f"Watch it: balbook records show {run_id}")
    history = journal.history()
    if history.opened is None or not history.has_applied:
        raise BadInput(f"run {run_id} has applied nothing", advice=f"Apply its plan: balbook apply --plan {run_id}")
    if history.applied and not history.is_cut_off:
        raise BadInput(f"run {run_id} has ended: {history.applied.verdict}", advice="There is nothing to go on with; make a new plan.")
    (run_dir / process.STOP_FILE).unlink(missing_ok=True)
    if (run_dir / STATEMENT).exists():
        raise BadInput(f"run {run_id} is sealed", advice="Nothing can be added to it; make a new plan.")
    journal.append(ev.Resumed(by=os.getpid()))
    path = Path(history.opened.inventory["path"])
    inventory = read if read and read.path == path else read_inventory(path)
    _leave_out(run_dir, journal, inventory.secrets.everything())
    ended = _to_its_end(inventory, run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return ended


def _leave_out(run_dir: Path, journal: Journal, scrubber: Scrubber) -> None:
    """The plan becomes what it says is left to do when it is resumed, with nothing measured beside it."""
    plan = read_plan(run_dir)
    if left := plan.settings.on_resume:
        _show(run_dir, journal, plan.restricted_to(left), scrubber)


def _show(run_dir: Path, journal: Journal, plan: Plan, scrubber: Scrubber) -> None:
    write_plan(run_dir, plan, scrubber)
    journal.append(planned(plan))


def _to_its_end(inventory: Inventory, run_dir: Path, journal: Journal, say: Say) -> Stated:
    position = journal.path.stat().st_size
    running = process.start(run_dir, inventory.secrets)
    process.follow(running, journal, position, lambda event: say(line) if (line := progress.line_of(event)) else None)
    return close(journal, _state(inventory, run_dir, journal, position))


def _state(inventory: Inventory, run_dir: Path, journal: Journal, position: int) -> Stated:
    applied = History.of(journal.follow(position)[0]).applied
    if applied is None:
        return stated("failed", f"the run's process was lost; see {run_dir / process.LOG_FILE}")
    if applied.verdict != "succeeded":
        return Stated(applied.verdict, applied.why, applied.exit_status)
    history = journal.history()
    if wrong := _not_so(inventory, run_dir, history.opened, journal):
        return stated("failed", "not so: " + "; ".join(wrong))
    plan = read_plan(run_dir)
    if plan.settings.on_resume and history.resumes:
        return stated("inconclusive", f"it was cut off: what the {plan.runbook} left was put right, and nothing measured")
    return stated("succeeded")


def _not_so(inventory: Inventory, run_dir: Path, opened: ev.RunOpened | None, journal: Journal) -> Sequence[str]:
    """What the procedure's own checks find wrong now; plans without a procedure have their steps' checks alone."""
    plan = read_plan(run_dir)
    notebook = Path(opened.notebook) if opened and opened.notebook else None
    if opened is None or (plan.runbook not in procedures.NAMES and (notebook is None or notebook.stem != plan.runbook)):
        return []
    site = Site(inventory, transports.connect(inventory), opened.parameters)
    try:
        checks = procedures.procedure(plan.runbook, notebook).verify(site, plan)
        note_versions(site, plan, journal)
    finally:
        site.transport.close()
    journal.append(verified(checks))
    return [c.what for c in checks if not c.is_so]
