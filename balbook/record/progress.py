"""A run's events as lines for people; the same in a terminal and in a notebook."""

from __future__ import annotations

from balbook.record import events as ev

MARKS = {"changed": "done", "already": "already so", "failed": "FAILED", "undone": "undone", "undo_failed": "UNDO FAILED"}
WATCHED_CELLS = ("preflight", "plan", "verify", "evidence")
"""Cells of a runbook that can take seconds without any other event."""


def line_of(event: ev.Event) -> str:
    """One line for an event that people watch; empty for the other kinds."""
    text = _text(event)
    return f"{event.at[11:19]} {text}" if text else ""


def _text(event: ev.Event) -> str:
    match event:
        case ev.CellStarted(role=role) if role in WATCHED_CELLS:
            return f"notebook: {role}"
        case ev.ApplyStarted():
            return f"applying {event.steps} steps, plan {event.digest[:12]}"
        case ev.UploadProgress():
            return f"{event.host}: {event.bytes / 1e6:.1f} of {event.total / 1e6:.1f} MB"
        case ev.StepStarted():
            return f"{event.host}: {event.title} …"
        case ev.StepFinished():
            return _finished(event)
        case ev.UndoStarted():
            return f"{event.host}: taking back {event.step} …"
        case ev.StopRequested():
            return f"stop requested ({event.by}): finishing the step in hand, then a safe state"
        case ev.ControllerGone():
            return "the controller is gone"
        case ev.LeaseTakenOver(age_s=age_s, why=why):
            return f"took the lock over from {event.who} (run {event.run_id}), silent for {age_s} s: {why}".removesuffix(": ")
        case ev.Paused():
            return f"the rollout stops here; done: {', '.join(event.done) or 'nothing'}"
        case ev.Notified(problem=problem) if problem:
            return f"{event.channel} was not told of {event.what}: {problem}"
        case ev.ApplyFinished():
            return f"applied: {event.verdict}, {event.changes} steps changed something"
        case ev.ProbeStarted():
            return f"probe: {event.rate} requests/s to {event.target}; measuring before anything changes"
        case ev.ProbeFailed():
            return f"nothing is measured: {event.why}"
        case ev.Measured(downtime_s=away) if away is not None:
            return "not there: " + ", ".join(f"{name} for {seconds:.2f} s" for name, seconds in away.items())
        case ev.Measured(sent=sent) if sent is not None:
            return f"probe: {sent:,} requests, {event.failed} failed, {event.closed_by_reload} closed by reload"
    return ""


def _finished(event: ev.StepFinished) -> str:
    text = f"{event.host}: {event.title}: {MARKS.get(event.outcome, event.outcome)} ({event.seconds:.1f} s)"
    if event.outcome in ("failed", "undo_failed") and event.tail:
        text += "\n" + "\n".join(f"    {line}" for line in event.tail.splitlines())
    return text
