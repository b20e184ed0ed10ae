"""How long each instance was not there while it was replaced, where no balancer stands in front that would have sent requests elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from balbook.plan.model import Plan
from balbook.record.events import Measured
from balbook.record.history import History
from balbook.record.journal import Journal


def note_downtime(plan: Plan, journal: Journal) -> None:
    """Journals it as `measured` for the plan's `settings["downtime"]` (instances); nothing where none of them was stopped."""
    instances = plan.settings.get("downtime", ())
    if found := downtimes(journal.history(), instances):
        journal.append(Measured(downtime_s=found, more={"longest_downtime_s": max(found.values())}))


def downtimes(history: History, instances: Sequence[str]) -> dict[str, float]:
    """Seconds by instance, from right before it was asked to stop until one was seen healthy, the new one or the old one again.

    Seen from this machine, with the way to the host and what lies between two looks in it: an upper bound. An instance that did
    not come back is left out.
    """
    stopped: dict[str, datetime] = {}
    found: dict[str, float] = {}
    for move in history.moves:
        verb, _, name = move.step.partition(" ")
        if name not in instances:
            continue
        if (verb, move.state) == ("stop", "started"):
            stopped[name] = move.event.time
            found.pop(name, None)
        if (verb, move.state) in (("start", "changed"), ("stop", "undone")) and name in stopped:
            found[name] = round((move.event.time - stopped[name]).total_seconds(), 3)
    return found
