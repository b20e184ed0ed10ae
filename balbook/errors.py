"""Every error that balbook raises on purpose, in one tree.

    BalbookError                 base; carries `advice`: the user's next step
    ├── BadInput                 the request is wrong; nothing was touched          exit 2
    │   ├── InventoryError       the inventory cannot be used
    │   ├── ParameterError       a runbook's parameter is unknown or of the wrong type
    │   └── Refused              well-formed, but must not be done now (lock, capacity, changed facts)
    │       └── NotYet           a person must do something first, such as press a button; nothing has failed
    ├── Failed                   something was tried and did not work              exit 1
    │   ├── HostError            a host cannot be reached or trusted
    │   │   ├── HostUnreachable
    │   │   ├── HostKeyError
    │   │   └── LoginRefused
    │   ├── CommandFailed        a command ended with another status than expected
    │   ├── DeadlineExceeded     a command or a wait did not end in time
    │   ├── StepFailed           a step of a plan failed; says what was undone
    │   ├── StoreError           an artifact is missing, differs, or cannot be stored
    │   └── RecordError          a record cannot be sealed or read, or is not what was sealed
    │       └── SignatureError   something cannot be signed, or a signature does not count
    └── Inconclusive             it ran, but its result cannot be trusted           exit 3

`exit_status` is one of `ExitStatus`, as the interface has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitStatus(IntEnum):
    """The statuses with which a command ends."""

    SUCCEEDED = 0
    """Or planned."""
    FAILED = 1
    BAD_INPUT = 2
    """Nothing was touched."""
    INCONCLUSIVE = 3
    DRIFT = 4
    """A plan that was expected to change nothing has changes."""

    @classmethod
    def of(cls, verdict: str) -> ExitStatus:
        """The status of a command whose run came to this verdict."""
        return {"succeeded": cls.SUCCEEDED, "planned": cls.SUCCEEDED, "inconclusive": cls.INCONCLUSIVE}.get(verdict, cls.FAILED)


class BalbookError(Exception):
    """An error that a user can act on: a message, and `advice` on the next step."""

    exit_status = ExitStatus.FAILED

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n  {self.advice}" if self.advice else self.message

    def _render_traceback_(self) -> list[str]:
        """The message and the advice, which IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class BadInput(BalbookError):
    """The request is wrong; nothing was touched."""

    exit_status = ExitStatus.BAD_INPUT


class InventoryError(BadInput):
    """The inventory cannot be used as it stands."""


class ParameterError(BadInput):
    """A parameter is unknown, missing or of the wrong type."""


class Refused(BadInput):
    """The request is well-formed but must not be carried out now."""


class NotYet(Refused):
    """A person must do something first, such as fill in a form or press a button; nothing has failed."""


class Failed(BalbookError):
    """Something was tried and did not work."""


class HostError(Failed):
    """A host cannot be used. `host` is its name in the inventory."""

    def __init__(self, host: str, message: str, *, advice: str = "") -> None:
        super().__init__(f"{host}: {message}", advice=advice)
        self.host = host


class HostUnreachable(HostError):
    """No connection to the host."""


class HostKeyError(HostError):
    """The host's key is unknown or is not the one that `known_hosts` has."""


class LoginRefused(HostError):
    """The host does not accept this user's keys."""


class CommandFailed(Failed):
    """A command ended with a status that was not expected. `output`: the last lines that it printed; `whole`: all of them."""

    status: int | None = None
    output: str = ""
    whole: str = ""


class DeadlineExceeded(Failed):
    """A command or a wait did not end in time."""


class StepFailed(Failed):
    """A step of a plan failed."""


class StoreError(Failed):
    """An artifact is missing, differs from its digest, or cannot be stored."""


class RecordError(Failed):
    """A record cannot be sealed or read, or is not what was sealed."""


class SignatureError(RecordError):
    """Something cannot be signed, or its signature does not count.

    `fault`: `missing`, `encrypted`, `not_in_agent`, `unusable` (signing); `altered`, `not_allowed`, `not_valid_then`,
    `revoked` (checking).
    """

    def __init__(self, fault: str, message: str, *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.fault = fault


class Inconclusive(BalbookError):
    """The run ended, but its result cannot be trusted."""

    exit_status = ExitStatus.INCONCLUSIVE


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known name, or with all known names where no name is near.

    >>> nearest("hotle", ["hotel", "inn"])
    "Did you mean 'hotel'?"
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return "Known: " + ", ".join(names) + "." if names else "No names are known."
