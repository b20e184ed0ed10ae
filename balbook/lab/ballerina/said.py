"""The messages of the stand-in: streams, errors and exit statuses."""

from __future__ import annotations

import sys

STAND_IN = "lab stand-in"
"""The mark of the stand-in, in the last line of `bal version` and elsewhere."""
RAN_NOTHING = f"{STAND_IN}: reads the signatures in packages; compiles nothing, runs nothing; not Ballerina"


class Refusal(Exception):
    """The end of `bal` with this text on standard error, and this status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def out(text: str = "") -> None:
    """Prints a line on standard output at once."""
    print(text, flush=True)


def err(text: str = "") -> None:
    """Prints a line on standard error at once."""
    print(text, file=sys.stderr, flush=True)


def command_error(message: str) -> Refusal:
    """An error of the command line: `ballerina: message`."""
    return Refusal(f"ballerina: {message}")


def task_error(message: str) -> Refusal:
    """An error of a task: `error: message`."""
    return Refusal(f"error: {message}")
