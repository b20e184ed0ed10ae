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
from balbook.record import progress
from balbook.record.journal import Journal, utc_now
from balbook.record.keeping import is_lost, seal_run
from balbook.record.statement import STATEMENT
from balbook.record.verdict import EXIT_STATUS, Stated
from balbook.run.folder import make_run_dir, new_run_id, opening, run_id_of
from balbook.run.programs import note_versions
from balbook.run.run import require_plan_without_secret, write_plan
from balbook.secrets.references import Scrubber
from balbook.secrets.scrubbing import known_secrets

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
    scrubber = known_secrets(inventory, os.environ)
    require_plan_without_secret(plan, scrubber)
    run_id = new_run_id()
    run_dir = make_run_dir(inventory, plan.runbook, run_id, utc_now())
    journal = Journal(run_dir / "journal.jsonl", clean=scrubber.data)
    journal.append("run_opened", run_id=run_id, **opening(inventory, plan.runbook, "", {**parameters, "mode": "apply"}))
    _show(run_dir, journal, plan, scrubber)
    if needed:
        journal.append("not_approved", needed=needed, reason=parameters["reason"], digest=plan.digest)
    stated = _to_its_end(run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return stated, run_dir


def resume(run_dir: Path, say: Say) -> Stated:
    """Goes on with a run whose process died: the same plan, less the steps that the journal has as finished.

    Of a plan that says what is left to do `on_resume` only that, and the run is inconclusive.
    """
    journal = Journal(run_dir / "journal.jsonl")
    run_id = run_id_of(run_dir)
    if process.is_alive(run_dir):
        where = f"as process {pid}" if (pid := process.find(run_dir)) else "on another machine"
        raise BadInput(f"run {run_id} is running, {where}", advice=f"Watch it: balbook records show {run_id}")
    started, finished = journal.last("apply_started"), journal.last("apply_finished")
    if started is None:
        raise BadInput(f"run {run_id} has applied nothing", advice=f"Apply its plan: balbook apply --plan {run_id}")
    if finished and finished["seq"] > started["seq"] and not is_cut_off(run_dir):
        raise BadInput(f"run {run_id} has ended: {finished['verdict']}", advice="There is nothing to go on with; make a new plan.")
    (run_dir / process.STOP_FILE).unlink(missing_ok=True)
    if (run_dir / STATEMENT).exists():
        raise BadInput(f"run {run_id} is sealed", advice="Nothing can be added to it; make a new plan.")
    journal.append("resumed", by=os.getpid())
    inventory = read_inventory(Path((journal.last("run_opened") or {})["inventory"]["path"]))
    _leave_out(run_dir, journal, known_secrets(inventory, os.environ))
    stated = _to_its_end(run_dir, journal, say)
    seal_run(inventory, run_dir, say)
    return stated


def _leave_out(run_dir: Path, journal: Journal, scrubber: Scrubber) -> None:
    """The plan becomes what it says is left to do when it is resumed, with nothing measured beside it."""
    plan = read_plan(run_dir)
    if left := plan.settings.on_resume:
        _show(run_dir, journal, plan.restricted_to(left), scrubber)


def is_cut_off(run_dir: Path) -> bool:
    """Whether something was applied and then nobody was left to end it: the run's process died, or who followed it did.

    In the latter case the process has reached a safe state, and what it says it came to is not what anybody decided.
    """
    if is_lost(run_dir):
        return True
    names = [event["event"] for event in Journal(run_dir / "journal.jsonl").events()]
    begun = names[len(names) - names[::-1].index("apply_started") - 1 :] if "apply_started" in names else []
    return "controller_gone" in begun and not {"concluded", "run_closed"} & set(begun)


def _show(run_dir: Path, journal: Journal, plan: Plan, scrubber: Scrubber) -> None:
    write_plan(run_dir, plan, scrubber)
    journal.append("planned", digest=plan.digest, changes=len(plan.pending), steps=len(plan.steps), unmet=0)


def _to_its_end(run_dir: Path, journal: Journal, say: Say) -> Stated:
    position = journal.path.stat().st_size
    running = process.start(run_dir)
    process.follow(running, journal, position, lambda event: say(line) if (line := progress.line_of(event)) else None)
    stated = _state(run_dir, journal, position)
    journal.append("run_closed", verdict=stated.verdict, why=stated.why)
    return stated


def _state(run_dir: Path, journal: Journal, position: int) -> Stated:
    events, _ = journal.follow(position)
    finished = next((e for e in reversed(events) if e["event"] == "apply_finished"), None)
    if finished is None:
        return Stated("failed", f"the run's process was lost; see {run_dir / process.LOG_FILE}", 1)
    status = int(finished.get("exit_status", EXIT_STATUS[str(finished["verdict"])]))
    if finished["verdict"] != "succeeded":
        return Stated(str(finished["verdict"]), str(finished["why"]), status)
    if wrong := _not_so(run_dir, journal):
        return Stated("failed", "not so: " + "; ".join(wrong), 1)
    plan = read_plan(run_dir)
    if plan.settings.on_resume and journal.last("resumed"):
        return Stated("inconclusive", f"it was cut off: what the {plan.runbook} left was put right, and nothing measured", 3)
    return Stated("succeeded", "", 0)


def _not_so(run_dir: Path, journal: Journal) -> Sequence[str]:
    """What the procedure's own checks find wrong now; plans without a procedure have their steps' checks alone."""
    plan = read_plan(run_dir)
    opened = journal.last("run_opened") or {}
    notebook = Path(str(opened["notebook"])) if opened.get("notebook") else None
    if plan.runbook not in procedures.NAMES and (notebook is None or notebook.stem != plan.runbook):
        return []
    inventory = read_inventory(Path(opened["inventory"]["path"]))
    site = Site(inventory, transports.connect(inventory), opened["parameters"])
    try:
        checks = procedures.procedure(plan.runbook, notebook).verify(site, plan)
        note_versions(site, plan, journal)
    finally:
        site.transport.close()
    journal.append("verified", checks=[{"what": c.what, "so": c.is_so, "found": c.found} for c in checks])
    return [c.what for c in checks if not c.is_so]
