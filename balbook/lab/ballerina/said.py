"""What the stand-in says: to which stream, and how it ends."""

from __future__ import annotations

import sys

STAND_IN = "lab stand-in"
"""What tells the stand-in from the real command, in the last line of `bal version` and elsewhere."""
RAN_NOTHING = f"{STAND_IN}: reads the signatures in packages; compiles nothing, runs nothing; not Ballerina"


class Refusal(Exception):
    """`bal` ends with this text on standard error, and this status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def out(text: str = "") -> None:
    """A line on standard output, right away."""
    print(text, flush=True)


def err(text: str = "") -> None:
    """A line on standard error, right away."""
    print(text, file=sys.stderr, flush=True)


def command_error(message: str) -> Refusal:
    """An error of the command line: `ballerina: message`."""
    return Refusal(f"ballerina: {message}")


def task_error(message: str) -> Refusal:
    """An error of a task: `error: message`."""
    return Refusal(f"error: {message}")
