"""Steps that several runbooks make in the same way."""

from __future__ import annotations

from typing import Any

from balbook.commands.command import Command
from balbook.plan.model import Action, Run, Step


def checked(host: str, verb: str, title: str, check: Command, *actions: Command | Action, **fields: Any) -> Step:
    """A step with one check: it is done where the check exits 0, and it worked where the check does so afterwards."""
    made = tuple(Run(action) if isinstance(action, Command) else action for action in actions)
    return Step(verb=verb, host=host, title=title, actions=made, done=check, verify=(Run(check),), **fields)
