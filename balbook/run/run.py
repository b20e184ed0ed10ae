"""One execution of a runbook, from `open_run` to `conclude`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook import procedures
from balbook import transport as transports
from balbook.engine import process
from balbook.errors import BadInput, BalbookError, ExitStatus, Failed, Inconclusive, ParameterError, Refused
from balbook.inventory import Inventory
from balbook.local.atomic_files import write_text
from balbook.plan import tables as plan_view
from balbook.plan.model import Plan
from balbook.procedures import Check
from balbook.procedures.parts.site import Site
from balbook.record import approvals as approval
from balbook.record import events as ev
from balbook.record import keeping as sealing
from balbook.record import progress
from balbook.record.events import Event
from balbook.record.journal import Journal, utc_now
from balbook.record.statement import run_id_of
from balbook.run.display import Verdict, show
from balbook.run.programs import note_versions
from balbook.run.request import RunRequest
from balbook.secrets.references import Scrubber
from balbook.show.table import Table


class Run:
    """A runbook's run. Its methods are the cells of the notebook, in their order."""

    def __init__(self, inventory: Inventory, run_dir: Path, journal: Journal, asked: RunRequest) -> None:
        self.inventory, self.dir, self.journal, self._asked = inventory, run_dir, journal, asked
        self.name, self.parameters = asked.procedure, asked.parameters
        self.id = run_id_of(run_dir)
        self.mode = str(self.parameters["mode"])
        self._procedure = procedures.procedure(self.name, asked.notebook if asked.notebook.stem == self.name else None)
        # A host may show any secret, not only those that it is given.
        self._site = Site(inventory, transports.connect(inventory, inventory.secrets.everything), self.parameters)
        self._plan: Plan | None = None
        self._checks: Sequence[Check] | None = None

    def summary(self) -> Table:
        """The facts of this run: mode, inventory, parameters, record."""
        given = {k: v for k, v in self.parameters.items() if k not in ("inventory", "mode") and v not in ("", [])}
        rows = [
            ("run", self.id),
            ("mode", f"{self.mode}: {'changes nothing' if self.mode == 'plan' else 'changes hosts'}"),
            ("inventory", f"{self.inventory.path} (environment {self.inventory.environment})"),
            ("parameters", ", ".join(f"{k}={v}" for k, v in given.items()) or "-"),
            ("record", self.dir),
        ]
        if self.inventory.lab:
            rows.append(("lab", "a rehearsal: hosts of a lab, Ballerina by the lab's stand-in"))
        return Table((self.name, ""), rows)

    def preflight(self) -> None:
        """Shows read-only facts."""
        with self._recorded():
            show(self._procedure.preflight(self._site))

    def plan(self) -> Plan:
        """Makes and shows the plan, and keeps it in the record. Raises Refused where another plan was agreed on."""
        with self._recorded():
            plan = self._procedure.plan(self._site)
            has_diffs = any(step.diff for step in plan.steps)  # a file may show one too
            write_plan(self.dir, plan, self.inventory.secrets.everything() if has_diffs else self.inventory.secrets.scrubber)
            self.journal.append(planned(plan))
            self._plan = plan
            note_versions(self._site, plan, self.journal)
            self.show_plan(plan)
            _require_same(self._asked.expected_digest or plan.digest, plan.digest, f"Look at the new plan: balbook plan {self.name}.")
            return plan

    def apply(self, plan: Plan) -> None:
        """Applies the plan in a process of its own and follows that process; in plan mode prints that nothing was changed."""
        with self._recorded():
            if self.mode == "plan":
                show("Plan mode: nothing was changed.")
                return
            self.require_may_apply(plan)
            self._finished(self._follow(lambda event: print(line, flush=True) if (line := progress.line_of(event)) else None))

    def carry_out(self, plan: Plan, on_event: Callable[[Event], None]) -> None:
        """Applies the plan that a person agreed to, perhaps long ago, in a process of its own; raises as `apply` does.

        Refused where the facts have changed since. Refused where the run is closed: nothing is added to a journal that is sealed.
        """
        if self.journal.history().is_closed:
            raise Refused(f"run {self.id} is closed; nothing was changed", advice="To open a new run, run the cells from `preflight`.")
        with self._recorded():
            self.require_may_apply(plan)
            advice = "Nothing was started. Run the cells again from `preflight`: a new run plans by the current facts."
            _require_same(plan.digest, self._procedure.plan(self._site).digest, advice)
        with self._recorded():  # a stop may have been requested meanwhile
            self._finished(self._follow(on_event))

    def require_may_apply(self, plan: Plan) -> None:
        """Refused unless this is the plan that was shown, its preconditions are met, and it has its approvals."""
        self._require_applicable(plan)
        self._require_approved(plan)

    def _require_applicable(self, plan: Plan) -> None:
        if self._plan is None or plan.digest != self._plan.digest:
            raise Refused("changed_plan: this is not the plan that was shown", advice="Run the plan cell again and apply that plan.")
        if self.journal.history().has_applied:
            raise Refused("this run has applied its plan already", advice="To open a new run, run the notebook from its top.")
        if plan.unmet:
            runbooks = sorted({p.met_by for p in plan.unmet if p.met_by})
            first = f"Run first: {', '.join(f'balbook apply {name}' for name in runbooks)}"
            rows = "\n".join(f"  {p}" for p in plan.unmet)
            raise Refused(
                f"{len(plan.unmet)} preconditions are not met; nothing was changed:\n{rows}",
                advice=first if runbooks else "Meet these preconditions, then apply again.",
            )

    def verify(self) -> None:
        """Asks the hosts again about the result of the plan; shows and records the answers."""
        with self._recorded():
            if self.mode == "plan":
                show("Plan mode: nothing was changed, so there is nothing to verify.")
                return
            self._checks = self._procedure.verify(self._site, self._required_plan())
            note_versions(self._site, self._required_plan(), self.journal)  # the plan may have changed these
            rows = [(c.what, "yes" if c.is_so else "no", c.found) for c in self._checks]
            self.journal.append(verified(self._checks))
            show(Table(("check", "met", "found"), rows, title="Verified with fresh facts"))

    def evidence(self) -> None:
        """Shows the steps with their times, the measurements, and the procedure's own tables."""
        with self._recorded():
            for table in [*self._evidence_tables(), *self._procedure.evidence(self._site, self._required_plan(), self.dir)]:
                show(table)

    def conclude(self) -> None:
        """States the verdict; raises Failed or Inconclusive for a bad verdict, so that every executor sees it."""
        verdict, why = self._verdict()
        self.journal.append(ev.Concluded(verdict=verdict, why=why, digest=self._plan.digest if self._plan else ""))
        self._site.transport.close()
        self.show_verdict(verdict, why)
        if kind := {"failed": Failed, "inconclusive": Inconclusive}.get(verdict):
            raise kind(f"{self.name}: {verdict}: {why}", advice=f"The record is {self.dir}")

    def show_plan(self, plan: Plan) -> None:
        """Shows preconditions, steps and diffs."""
        show(plan_view.precondition_table(plan), plan_view.plan_table(plan))
        if text := plan_view.diffs(plan):
            show(text)

    def show_verdict(self, verdict: str, why: str) -> None:
        """Shows the verdict in large letters."""
        show(Verdict(verdict, why, self.name, self.id))

    @property
    def approved_in(self) -> str:
        """The run that showed the approved plan; empty where no run was named."""
        return self._asked.shown_in

    @property
    def shown_plan(self) -> Plan | None:
        """The plan that was shown last; None before a plan was made."""
        return self._plan

    @property
    def subject(self) -> Mapping[str, Any]:
        """The subject of the plan, such as its release; empty before a plan was made."""
        return self._plan.subject if self._plan else {}

    def measurements(self) -> dict[str, Any]:
        """The last measurements of this run; empty where nothing was measured."""
        measured = self.journal.history().measured
        return measured.payload() if measured else {}

    def _required_plan(self) -> Plan:
        if self._plan is None:
            raise BadInput("this run has no plan yet", advice="Run the cells in their order: the plan cell comes before this cell.")
        return self._plan

    def _require_approved(self, plan: Plan) -> None:
        """Refused where the inventory asks for approvals, unless the plan was shown and other people have signed it."""
        needed = approval.needed(self.inventory, plan)
        if not needed:
            return
        shown = self.approved_in
        if not shown:
            raise Refused(
                f"{plan.application} needs {needed} approvals: only a plan that was shown and approved is applied",
                advice=f"Run balbook plan {self.name}; another person runs balbook approve RUN_ID; then run balbook apply --plan RUN_ID.",
            )
        approval.require_unused(self.dir, shown)
        trust = sealing.trust_of(self.inventory)
        applier = approval.identity(sealing.signing_key(self.inventory), trust, at=utc_now())
        found = approval.read_approvals(self.dir.parent, shown)
        counting = approval.require_approvals(plan, found, needed, applier=applier, trust=trust)
        approval.keep_approvals(self.dir, [kept for kept, _ in counting])
        self.journal.append(ev.Approved(run=shown, digest=plan.digest, by=tuple(signer.principal for _, signer in counting)))

    def _follow(self, on_event: Callable[[Event], None]) -> ev.ApplyFinished | None:
        """Starts the run's process and hands on its events; returns the end of the application, None where the process was lost."""
        position = self.journal.path.stat().st_size
        process.follow(process.start(self.dir, self.inventory.secrets), self.journal, position, on_event)
        return self.journal.history().applied

    def _finished(self, applied: ev.ApplyFinished | None) -> None:
        if applied is None:
            self.journal.append(ev.RunLost(why="the run's process ended without a last event"))
            raise Failed(
                "lost_run: the run's process was lost before it could finish",
                advice=f"Read {self.dir / process.LOG_FILE}; check the application (balbook status), then: balbook resume {self.id}",
            )
        if applied.verdict == "failed":
            raise Refused(applied.why) if applied.exit_status == ExitStatus.BAD_INPUT else Failed(applied.why)

    def _evidence_tables(self) -> list[Table]:
        history = self.journal.history()
        rows = [(step.host, step.title, step.outcome, f"{step.seconds:.2f} s") for step in history.finished]
        tables = [Table(("host", "step", "outcome", "time"), rows, title="Steps")] if rows else []
        if history.applied and history.applied.units:
            tables.append(Table(("instance", "outcome"), list(history.applied.instances.items()), title="Outcome of each instance"))
        if (measured := self.measurements()) and "sent" in measured:
            flat = [(key.replace("_", " "), value) for key, value in measured.items() if isinstance(value, int | float | str)]
            tables.append(Table(("measured", "value"), flat, title="Requests sent from outside during the run"))
        return tables

    def _verdict(self) -> tuple[str, str]:
        if self.mode == "plan":
            unmet = self._plan.unmet if self._plan else ()
            told = "".join(f"\n{p}" for p in unmet)
            return "planned", f"{len(unmet)} preconditions are not met:{told}" if unmet else ""
        applied = self.journal.history().applied
        if applied is None:
            return "inconclusive", "the plan was never applied"
        if applied.verdict != "succeeded":
            return applied.verdict, applied.why
        if self._checks is None:
            return "inconclusive", "nothing was verified"
        wrong = faults(self._checks)
        return "failed" if wrong else "succeeded", wrong

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """Writes errors into the journal before the notebook shows them; Failed where a stop was requested before the apply."""
        try:
            if process.is_stop_requested(self.dir) and not self.journal.history().has_applied:
                raise Failed("stopped on request before anything was applied", advice="Nothing was changed. To go on, open a new run.")
            yield
        except BalbookError as exc:
            self.journal.append(raised(exc))
            raise


def planned(plan: Plan) -> ev.Planned:
    """The event of a plan that was made."""
    return ev.Planned(digest=plan.digest, changes=len(plan.pending), steps=len(plan.steps), unmet=len(plan.unmet))


def faults(checks: Sequence[Check]) -> str:
    """A sentence with the failed checks; empty where all checks are met."""
    wrong = [check.failure for check in checks if not check.is_so]
    return f"verification failed: {'; '.join(wrong)}" if wrong else ""


def verified(checks: Sequence[Check]) -> ev.Verified:
    """The event of a procedure's checks."""
    return ev.Verified(checks=tuple({"what": c.what, "so": c.is_so, "found": c.found} for c in checks))


def raised(error: BalbookError) -> ev.ErrorRaised:
    """The event of an error."""
    return ev.ErrorRaised(kind=type(error).__name__, message=error.message, advice=error.advice, exit_status=error.exit_status)


def require_no_secrets(parameters: Mapping[str, Any], scrubber: Scrubber) -> None:
    """ParameterError where a parameter's value holds a secret of the inventory: parameters stay in every record."""
    for name, value in parameters.items():
        if scrubber.data(value) != value:
            held = ", ".join(scrubber.references)
            raise ParameterError(
                f"parameter {name} holds a secret of the inventory (one of {held})",
                advice="Every record keeps parameters in clear. Remove the secret; if a notebook has kept the secret, change the secret.",
            )


def write_plan(run_dir: Path, plan: Plan, scrubber: Scrubber) -> None:
    """Writes the plan into the run's folder, unless `require_plan_without_secret` refuses the plan."""
    require_plan_without_secret(plan, scrubber)
    write_text(run_dir / "plan.json", json.dumps(plan.data(), indent=1, sort_keys=True) + "\n")


def require_plan_without_secret(plan: Plan, scrubber: Scrubber) -> None:
    """Refused where a plan would show a secret: records keep plans in clear."""
    advice = "Write a secret reference in place of the secret. If a file on a host has the secret in clear, change that file first."
    whole = plan.data()
    parts = [(f"step {step.id}", data, step.diff or step.title) for step, data in zip(plan.steps, whole["steps"], strict=True)]
    parts += [(name, value, str(value)) for name, value in whole.items() if name != "steps"]
    for place, value, text in parts:
        if scrubber.data(value) != value:
            raise Refused(f"the plan would show a secret in clear, in its {place}: {scrubber.text(text)[:400]}", advice=advice)


def _require_same(agreed: str, now: str, advice: str) -> None:
    """Refused unless the facts still lead to the plan with the digest that was agreed on."""
    if agreed != now:
        raise Refused(
            f"changed_plan: the facts have changed since the plan was made: the digest was {agreed[:12]}…, now it is {now[:12]}…",
            advice=advice,
        )
