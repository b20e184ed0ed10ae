"""Applies plans without a notebook: by the same engine, with the same kind of record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from balbook import procedures
from balbook import transport as transports
from balbook.engine import process
from balbook.errors import BadInput, Refused
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan
from balbook.procedures import Check
from balbook.procedures.parts.site import Site
from balbook.record import approvals as approval
from balbook.record import events as ev
from balbook.record import progress
from balbook.record.history import History
from balbook.record.journal import JOURNAL, Journal
from balbook.record.keeping import seal_run
from balbook.record.statement import STATEMENT, run_id_of
from balbook.record.verdict import Stated, stated
from balbook.run.closing import close
from balbook.run.folder import make_run_dir, open_journal
from balbook.run.programs import note_versions
from balbook.run.run import faults, planned, require_plan_without_secret, verified, write_plan
from balbook.secrets.references import Scrubber

Say = Callable[[str], None]


@contextmanager
def connected(inventory: Inventory, parameters: Mapping[str, Any]) -> Iterator[Site]:
    """A site with a transport of its own, closed at the end of the block."""
    with closing(transports.connect(inventory)) as transport:
        yield Site(inventory, transport, parameters)


def apply_directly(inventory: Inventory, plan: Plan, parameters: Mapping[str, Any], say: Say) -> tuple[Stated, Path]:
    """Applies a plan in a process and a record of its own; returns the verdict and the record.

    An emergency needs no approval: where the inventory wants approvals, Refused without a reason, and the journal has the reason.
    """
    if plan.unmet:
        unmet = "; ".join(p.what for p in plan.unmet)
        raise Refused(f"{len(plan.unmet)} preconditions are not met: {unmet}", advice="Nothing was changed.")
    needed = approval.needed(inventory, plan)
    if needed and not str(parameters.get("reason", "")).strip():
        problem = f"{plan.application} needs {needed} approvals; without approvals {plan.runbook} needs a reason"
        raise Refused(problem, advice="Give --reason TEXT; the record shows the reason.")
    scrubber = inventory.secrets.everything()
    require_plan_without_secret(plan, scrubber)
    run_dir = make_run_dir(inventory, plan.runbook)
    journal = open_journal(run_dir, inventory, plan.runbook, {**parameters, "mode": "apply"})
    _keep_plan(run_dir, journal, plan, scrubber)
    if needed:
        journal.append(ev.NotApproved(needed=needed, reason=str(parameters["reason"]), digest=plan.digest))
    ended = _to_its_end(inventory, run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return ended, run_dir


def resume(run_dir: Path, say: Say, read: Inventory | None = None) -> Stated:
    """Continues a run after its process died: the same plan, without the steps that the journal has as finished.

    Of a plan with steps for `on_resume` only those, with nothing measured, and the run is inconclusive. `read`: an inventory that was
    read already, with its secrets; used if it is the run's.
    """
    journal = Journal(run_dir / JOURNAL)
    run_id = run_id_of(run_dir)
    if process.is_alive(run_dir):
        where = f"as process {pid}" if (pid := process.find(run_dir)) else "on another machine"
        raise BadInput(f"run {run_id} is running, {where}", advice=f"Watch the run: balbook records show {run_id}")
    history = journal.history()
    if history.opened is None or not history.has_applied:
        raise BadInput(f"run {run_id} has applied nothing", advice=f"Apply its plan: balbook apply --plan {run_id}")
    if history.applied and not history.is_cut_off:
        raise BadInput(f"run {run_id} has ended: {history.applied.verdict}", advice="An ended run cannot be resumed; make a new plan.")
    (run_dir / process.STOP_FILE).unlink(missing_ok=True)
    if (run_dir / STATEMENT).exists():
        raise BadInput(f"run {run_id} is sealed", advice="Nothing can be added to a sealed run; make a new plan.")
    journal.append(ev.Resumed(by=os.getpid()))
    path = Path(history.opened.inventory["path"])
    inventory = read if read and read.path == path else read_inventory(path)
    plan = read_plan(run_dir)
    if left := plan.settings.on_resume:
        _keep_plan(run_dir, journal, plan.restricted_to(left), inventory.secrets.everything())
    ended = _to_its_end(inventory, run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return ended


def _keep_plan(run_dir: Path, journal: Journal, plan: Plan, scrubber: Scrubber) -> None:
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
    plan, history = read_plan(run_dir), journal.history()
    if wrong := faults(_checks(inventory, plan, history.opened, journal)):
        return stated("failed", wrong)
    if plan.settings.on_resume and history.resumes:
        return stated("inconclusive", f"the {plan.runbook} was cut off; its changes were undone, and nothing was measured")
    return stated("succeeded")


def _checks(inventory: Inventory, plan: Plan, opened: ev.RunOpened | None, journal: Journal) -> Sequence[Check]:
    """The procedure's own checks, asked now; none for a plan without a procedure, which has only the checks of its steps."""
    notebook = Path(opened.notebook) if opened and opened.notebook else None
    if opened is None or (plan.runbook not in procedures.NAMES and (notebook is None or notebook.stem != plan.runbook)):
        return []
    with connected(inventory, opened.parameters) as site:
        checks = procedures.procedure(plan.runbook, notebook).verify(site, plan)
        note_versions(site, plan, journal)
    journal.append(verified(checks))
    return checks
