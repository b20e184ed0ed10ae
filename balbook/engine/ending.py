"""How a run ends: the request to stop, and what applying its plan came to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

ON_REQUEST = "on request"


class StopRequest:
    """A request to end in a safe state; the first reason stands."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.why = ""

    def ask(self, why: str) -> bool:
        """Ask to stop; False where somebody asked before."""
        if self._event.is_set():
            return False
        self.why = why
        self._event.set()
        return True

    @property
    def is_asked(self) -> bool:
        return self._event.is_set()

    @property
    def told(self) -> str:
        """`stopped on request (Stop safely)`, or `stopped: ` with another reason."""
        return f"stopped {self.why}" if self.why.startswith(ON_REQUEST) else f"stopped: {self.why}"


@dataclass
class Applied:
    """The result of applying a plan.

    `changes`: steps that changed something and stand. `outcomes` by step. `units`: what became of each unit, and of
    each instance that is in none: `changed`, `already`, `taken back`, `NOT taken back` or `not reached`.
    """

    verdict: str = "succeeded"
    changes: int = 0
    why: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def fail(self, why: str) -> None:
        """It has failed for this reason too."""
        self.verdict = "failed"
        if why not in self.why:
            self.why = f"{self.why}\n{why}".strip()


def defect(exc: Exception) -> str:
    """An error that is none of ours, for the verdict."""
    return f"defect in balbook: {type(exc).__name__}: {exc}"
