"""A run's events as lines for people; the same in a terminal and in a notebook."""

from __future__ import annotations

from balbook.record import events as ev

MARKS = {"changed": "done", "already": "already so", "failed": "FAILED", "undone": "undone", "undo_failed": "UNDO FAILED"}
WATCHED_CELLS = ("preflight", "plan", "verify", "evidence")
"""Cells of a runbook that may take seconds without any other event."""


def line_of(event: ev.Event) -> str:
    """One line for an event that people watch; empty for the others."""
    text = _measuring(event) or _applying(event)
    return f"{event.at[11:19]} {text}" if text else ""


def _applying(event: ev.Event) -> str:
    match event:
        case ev.CellStarted(role=role) if role in WATCHED_CELLS:
            return f"notebook: {role}"
        case ev.ApplyStarted(steps=steps, digest=digest):
            return f"applying {steps} steps, plan {digest[:12]}"
        case ev.UploadProgress(host=host, bytes=sent, total=total):
            return f"{host}: {sent / 1e6:.1f} of {total / 1e6:.1f} MB"
        case ev.StepStarted(host=host, title=title):
            return f"{host}: {title} …"
        case ev.StepFinished():
            return _finished(event)
        case ev.UndoStarted(host=host, step=step):
            return f"{host}: taking back {step} …"
        case ev.StopRequested(by=by):
            return f"stop requested ({by}): finishing the step in hand, then a safe state"
        case ev.ControllerGone():
            return "the controller is gone"
        case ev.LeaseTakenOver(who=who, run_id=run_id, age_s=age_s, why=why):
            return f"took the lock over from {who} (run {run_id}), silent for {age_s} s: {why}".removesuffix(": ")
        case ev.Paused(done=done):
            return f"the rollout stops here; done: {', '.join(done) or 'nothing'}"
        case ev.Notified(channel=channel, what=what, problem=problem) if problem:
            return f"{channel} was not told of {what}: {problem}"
        case ev.ApplyFinished(verdict=verdict, changes=changes):
            return f"applied: {verdict}, {changes} steps changed something"
    return ""


def _measuring(event: ev.Event) -> str:
    match event:
        case ev.ProbeStarted(rate=rate, target=target):
            return f"probe: {rate} requests/s to {target}; measuring before anything changes"
        case ev.ProbeFailed(why=why):
            return f"nothing is measured: {why}"
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
