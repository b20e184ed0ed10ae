"""How long each instance was not there while it was replaced, where no balancer stands in front that would have sent requests elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from balbook.plan.model import Plan
from balbook.record.journal import Event, Journal


def note_downtime(plan: Plan, journal: Journal) -> None:
    """Journals it as `measured` for the instances of which the plan wants it; nothing where none of them was stopped."""
    if found := downtimes(journal.events(), plan):
        journal.append("measured", downtime_s=found, longest_downtime_s=max(found.values()))


def downtimes(events: Sequence[Event], plan: Plan) -> dict[str, float]:
    """Seconds by instance, from right before it was asked to stop until one was seen healthy, the new one or the old one again.

    Seen from this machine, with the way to the host and what lies between two looks in it: an upper bound. An instance that did
    not come back is left out.
    """
    steps = {step.id: (step.verb, name) for step in plan.steps for name in step.instances if name in plan.settings.downtime}
    stopped: dict[str, datetime] = {}
    found: dict[str, float] = {}
    for event in events:
        verb, name = steps.get(str(event.get("step", "")), ("", ""))
        if event["event"] == "step_started" and verb == "stop":
            stopped[name] = datetime.fromisoformat(str(event["at"]))
            found.pop(name, None)
        is_back = (verb, event.get("outcome")) in (("start", "changed"), ("stop", "undone"))
        if event["event"] == "step_finished" and is_back and name in stopped:
            found[name] = round((datetime.fromisoformat(str(event["at"])) - stopped[name]).total_seconds(), 3)
    return found
