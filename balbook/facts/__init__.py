"""Facts: a command that changes nothing, paired with a parser of its output; both pure.

Nothing here runs a command, and no other room parses a host's output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from balbook.commands.command import Command

Value = TypeVar("Value")


@dataclass(frozen=True)
class Fact(Generic[Value]):
    """A question to a host, and the way to read the answer."""

    command: Command
    parse: Callable[[str], Value]


@dataclass(frozen=True)
class Said:
    """The words of a step's commands, read: how many `tests` were passing, failing, skipped; `advice` on the next step after a failure."""

    tests: dict[str, int] | None = None
    advice: str = ""
