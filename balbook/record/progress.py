"""A run's events as lines for people; the same in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]
"""An event of a journal; its type stands above this layer."""

MARKS = {"changed": "done", "already": "already so", "failed": "FAILED", "undone": "undone", "undo_failed": "UNDO FAILED"}
WATCHED_CELLS = ("preflight", "plan", "verify", "evidence")
"""Cells of a runbook that may take seconds without any other event."""


def line_of(event: Event) -> str:
    """One line for an event that people watch; empty for the others."""
    at = str(event.get("at", ""))[11:19]
    match event["event"]:
        case "cell_started" if event.get("role") in WATCHED_CELLS:
            text = f"notebook: {event['role']}"
        case "apply_started":
            text = f"applying {event['steps']} steps, plan {event['digest'][:12]}"
        case "probe_started":
            text = f"probe: {event['rate']} requests/s to {event['target']}; measuring before anything changes"
        case "progress":
            text = f"{event['host']}: {event['bytes'] / 1e6:.1f} of {event['total'] / 1e6:.1f} MB"
        case "step_started":
            text = f"{event['host']}: {event['title']} …"
        case "step_finished":
            text = f"{event['host']}: {event['title']}: {MARKS.get(event['outcome'], event['outcome'])} ({event['seconds']:.1f} s)"
            if event["outcome"] in ("failed", "undo_failed") and event.get("tail"):
                text += "\n" + "\n".join(f"    {line}" for line in str(event["tail"]).splitlines())
        case "undo_started":
            text = f"{event['host']}: taking back {event['step']} …"
        case "stop_requested":
            text = f"stop requested ({event['by']}): finishing the step in hand, then a safe state"
        case "controller_gone":
            text = "the controller is gone"
        case "lease_taken_over":
            text = f"took the lock over from {event['who']} (run {event['run_id']}), silent for {event['age_s']} s" + (
                f": {event['why']}" if event.get("why") else ""
            )
        case "probe_failed":
            text = f"nothing is measured: {event['why']}"
        case "paused":
            text = f"the rollout stops here; done: {', '.join(event['done']) or 'nothing'}"
        case "notified" if event.get("problem"):
            text = f"{event['channel']} was not told of {event['what']}: {event['problem']}"
        case "measured" if "downtime_s" in event:
            text = "not there: " + ", ".join(f"{name} for {seconds:.2f} s" for name, seconds in event["downtime_s"].items())
        case "measured" if "sent" in event:
            text = f"probe: {event['sent']:,} requests, {event['failed']} failed, {event['closed_by_reload']} closed by reload"
        case "apply_finished":
            text = f"applied: {event['verdict']}, {event['changes']} steps changed something"
        case _:
            return ""
    return f"{at} {text}"
