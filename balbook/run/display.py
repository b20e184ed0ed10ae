"""Output: rich in a notebook, printed elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from balbook.show.markup import markup

COLOURS = {"succeeded": "#009e73", "planned": "#0072b2", "failed": "#d55e00", "inconclusive": "#e69f00"}
SIGNS = {"succeeded": "✔", "planned": "○", "failed": "✘", "inconclusive": "?"}


@dataclass(frozen=True)
class Verdict:
    """The verdict in large letters; sign and word carry the meaning, not the colour."""

    verdict: str
    why: str
    runbook: str
    run_id: str

    def __str__(self) -> str:
        return f"{SIGNS[self.verdict]} {self.verdict.upper()}: {self.runbook} (run {self.run_id})" + (f"\n{self.why}" if self.why else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return markup(
            "<div style='border-left:10px solid {};padding:8px 16px'><div style='font-size:200%;font-weight:700'>{} {}</div>"
            "<div>{}, run {}</div>{}</div>",
            COLOURS[self.verdict], SIGNS[self.verdict], self.verdict, self.runbook, self.run_id,
            markup("<pre style='white-space:pre-wrap;margin:4px 0 0'>{}</pre>", self.why) if self.why else "",
        )  # fmt: skip


def show(*things: object) -> None:
    """Shows things as rich output in a kernel, else as text on standard output."""
    ipython = sys.modules.get("IPython") if "ipykernel" in sys.modules else None
    for thing in things:
        ipython.display.display(thing) if ipython and not isinstance(thing, str) else print(thing)
