"""The account of an error for a person: from the error itself, the journal of the run, and the outcome of its parts."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

from balbook.errors import BalbookError, HostError
from balbook.jupyter.forms.live import Live
from balbook.jupyter.forms.panels import FAILURE, Trouble
from balbook.record.journal import history_of
from balbook.run.run import Run

AGAIN = "run the cells again from `preflight`: the form opens a new run."
IDLE = "No process changes the hosts now."
UNITS = {
    "changed": "serves the planned release",
    "already": "served the planned release before the run",
    "taken back": "was taken back to its earlier release and serves",
    "NOT taken back": "could NOT be taken back: look at it now",
    "not reached": "was not changed",
}


def trouble_of(error: BaseException, run: Run | None = None) -> Trouble:
    """An error in a cell that applied nothing; an earlier apply of the run stands."""
    message, advice = f"defect in balbook, or in this cell: {type(error).__name__}: {error}", ""
    if isinstance(error, BalbookError):
        message, advice = error.message, error.advice
    advice = advice or "Read the last lines and the traceback, and repair the cause."
    state, commands = ["This cell changed nothing on any host."], list[str]()
    if run is not None:
        stands, commands = standing(run.dir)
        state += [*stands, f"The run {run.id} ends here as failed; its record is `{run.dir}`."]
        advice = f"{advice}\nThen {AGAIN}".lstrip()
    where = error.host if isinstance(error, HostError) else ""
    return Trouble(message, where, str(getattr(error, "output", "")), state, advice, commands, _traceback(error))


def standing(run_dir: Path) -> tuple[list[str], list[str]]:
    """The state of each instance after an apply, and the commands that show it and take it back; empty before an apply."""
    history = history_of(run_dir)
    if history.applied is None:
        return [], []
    application, units = str(history.parameters.get("application", "")), history.applied.instances
    state = [f"The plan was applied: {history.applied.verdict}.", *_units(units), IDLE]
    commands = [f"balbook status {application}".rstrip()]
    return state, [*commands, f"balbook rollback {application}"] if application and units else commands


def trouble_applying(error: BalbookError, live: Live, run_id: str) -> Trouble:
    """An error while hosts were changed: the step, its host, and the present state of every instance."""
    first = live.failures[0] if live.failures else None
    what = f"{first.title}\n{error.message.splitlines()[0]}" if first else error.message
    where = f"{first.host} (step `{first.step}`)" if first else ""
    log = "\n".join(end.tail for end in live.failures)
    state, advice, commands = _after_apply(error, live, run_id)
    heading = "Stop" if live.is_stopped_on_request and not first else FAILURE
    return Trouble(what, where, log, state, advice, commands, _traceback(error), heading)


def _after_apply(error: BalbookError, live: Live, run_id: str) -> tuple[list[str], str, list[str]]:
    """The state, the advice and the commands after an apply that did not succeed."""
    done = sum(live.state_of(step) == "changed" for step in live.steps.values())
    stands, name = f"{done} of {len(live.steps)} steps changed something and stand. {IDLE}", live.plan.application
    commands = ["status", "logs"]
    if live.verdict == "lost":
        stands = f"The run's process died in the middle of its work. {IDLE}"
        advice, commands = "Look at the application, then resume this plan:", ["status"]
    elif "NOT taken back" in live.outcomes.values():
        advice = "Look at that instance first; the others go on serving. Then bring back a release that was proven:"
        commands.append("rollback")
    elif live.is_stopped_on_request:
        advice = f"Somebody stopped the run. Look at the application. To deploy again, {AGAIN}"
    else:
        advice = error.advice or f"Read the instance's log, repair the cause, then {AGAIN}"
    if not name:
        return [*_units(live.outcomes), stands], advice, [f"balbook records show {run_id}"]
    resume = [f"balbook resume {run_id}"] if live.verdict == "lost" else []
    return [*_units(live.outcomes), stands], advice, [*(f"balbook {command} {name}" for command in commands), *resume]


def _units(units: Mapping[str, str]) -> list[str]:
    return [f"`{name}` {UNITS.get(outcome, outcome)}." for name, outcome in units.items()]


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
