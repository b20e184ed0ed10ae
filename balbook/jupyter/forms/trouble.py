"""What to tell a person of an error: from the error itself, from the journal of the run, and from what became of its parts."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from balbook.errors import BadInput, BalbookError, HostError
from balbook.jupyter.forms.live import Live
from balbook.jupyter.forms.panels import Trouble
from balbook.record.journal import history_of

STOPPED = "What happened"
"""The heading where nothing failed: somebody asked for the end."""


def trouble_of(error: BaseException, *, runbook: str = "", run_id: str = "", run_dir: Path | None = None) -> Trouble:
    """An error in a cell that applied nothing; what was applied before it stands."""
    message, advice = (error.message, error.advice) if isinstance(error, BalbookError) else (str(error), "")
    kind = "" if isinstance(error, BalbookError) else f"defect in balbook, or in this cell: {type(error).__name__}: "
    stands, commands = standing(run_dir) if run_dir else ([], [])
    state = ["This cell changed nothing on any host.", *stands]
    state += [f"The run {run_id} ends here as failed; its record is `{run_dir}`."] if run_id else []
    log = str(getattr(error, "output", ""))
    where = error.host if isinstance(error, HostError) else ""
    again = "Then run the cells again from `preflight`: the form opens a new run." if runbook else ""
    usual = "" if isinstance(error, BadInput) or advice else "See the last lines and the traceback, and mend what they name."
    advice = "\n".join(part for part in (advice or usual, again) if part)
    return Trouble(kind + message, where, log, state, advice, commands, folded(error))


def standing(run_dir: Path) -> tuple[list[str], list[str]]:
    """What an apply has left: the state of each instance, and the commands that show it and take it back; empty before one."""
    history = history_of(run_dir)
    if history.applied is None:
        return [], []
    application, units = str(history.parameters.get("application", "")), history.applied.instances
    state = [f"The plan was applied: {history.applied.verdict}.", *_units(units), "Nobody is working on the hosts now."]
    commands = [f"balbook status {application}".rstrip()]
    return state, [*commands, f"balbook rollback {application}"] if application and units else commands


def trouble_applying(error: BalbookError, live: Live, run_id: str, run_dir: Path) -> Trouble:
    """An error while hosts were changed: which step on which host, and what every instance is in now."""
    first = live.failures[0] if live.failures else None
    what = f"{first.step.title}\n{error.message.splitlines()[0]}" if first else error.message
    where = f"{first.step.host} (step `{first.step.id}`)" if first else ""
    log = "\n".join(v.tail for v in live.failures)
    told = Trouble(what, where, log, _state(live), _advice(error, live), _commands(error, live, run_id), folded(error))
    return replace(told, heading=STOPPED) if live.is_stopped_on_request and not first else told


def folded(error: BaseException) -> str:
    """The traceback, for whoever looks for the defect."""
    return "".join(traceback.format_exception(error)).rstrip()


def _units(units: Mapping[str, str]) -> list[str]:
    told = {
        "changed": "serves what the plan says",
        "already": "was so already",
        "taken back": "was taken back to what it was, and serves",
        "NOT taken back": "could NOT be taken back; look at it now",
        "not reached": "was not touched",
    }
    return [f"`{name}` {told.get(outcome, outcome)}." for name, outcome in units.items()]


def _state(live: Live) -> list[str]:
    states = _units(live.outcomes)
    if live.verdict == "lost":
        return [*states, "The run's process is gone in the middle of its work; nobody is working on the hosts now."]
    done = sum(v.state == "changed" for v in live.steps.values())
    return [*states, f"{done} of {len(live.steps)} steps changed something and stand. Nobody is working on the hosts now."]


def _advice(error: BalbookError, live: Live) -> str:
    if live.verdict == "lost":
        return "Look at the application, then go on with this very plan:"
    if "NOT taken back" in live.outcomes.values():
        return "Look at that instance first; the others go on serving. Then bring back a release that was proven:"
    if live.is_stopped_on_request:
        return "It was stopped on request. Look at the application; run the cells again from `preflight` to go on."
    return error.advice or "Look at what the instance said, mend that, and run the cells again from `preflight`: the form opens a new run."


def _commands(error: BalbookError, live: Live, run_id: str) -> list[str]:
    application = live.plan.application
    if not application:
        return [f"balbook records show {run_id}"]
    if live.verdict == "lost":
        return [f"balbook status {application}", f"balbook resume {run_id}"]
    if "NOT taken back" in live.outcomes.values():
        return [f"balbook status {application}", f"balbook logs {application}", f"balbook rollback {application}"]
    return [f"balbook status {application}", f"balbook logs {application}"]
