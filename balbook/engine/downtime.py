"""How long each instance was not there while it was replaced, where no balancer stands in front that would have sent requests elsewhere."""

from __future__ import annotations

from datetime import datetime

from balbook.plan.model import Plan
from balbook.record.events import Measured
from balbook.record.history import History
from balbook.record.journal import Journal


def note_downtime(plan: Plan, journal: Journal) -> None:
    """Journals it as `measured` for the instances of which the plan wants it; nothing where none of them was stopped."""
    if found := downtimes(journal.history(), plan):
        journal.append(Measured(downtime_s=found, more={"longest_downtime_s": max(found.values())}))


def downtimes(history: History, plan: Plan) -> dict[str, float]:
    """Seconds by instance, from right before it was asked to stop until one was seen healthy, the new one or the old one again.

    Seen from this machine, with the way to the host and what lies between two looks in it: an upper bound. An instance that did
    not come back is left out.
    """
    steps = {step.id: (step.verb, name) for step in plan.steps for name in step.instances if name in plan.settings.downtime}
    stopped: dict[str, datetime] = {}
    found: dict[str, float] = {}
    for move in history.moves:
        verb, name = steps.get(move.step, ("", ""))
        if (verb, move.state) == ("stop", "started"):
            stopped[name] = move.event.time
            found.pop(name, None)
        if (verb, move.state) in (("start", "changed"), ("stop", "undone")) and name in stopped:
            found[name] = round((move.event.time - stopped[name]).total_seconds(), 3)
    return found
