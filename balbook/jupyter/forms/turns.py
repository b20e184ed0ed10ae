"""Whose turn it is: why a cell can only wait now, and what its person does first."""

from __future__ import annotations

from collections.abc import Collection

from balbook.errors import NotYet
from balbook.jupyter.forms.apply_panel import DECLINED, OVER, WAITS
from balbook.jupyter.forms.applying import Applying
from balbook.run.run import Run

AFTER = ("preflight", "plan", "apply", "verify", "evidence", "conclude")
FIRST = "Fill in the form above, then run the cells in their order from `preflight`."
THEN = "Then run the next cells: `verify`, `evidence`, `conclude`."
GO_ON = "Run the cells `verify`, `evidence`, `conclude`. To drop it instead, press **New run with these values** in its form."
DECIDE = "Press the button there, or **Do not apply**; then run this cell again."
PLAN_MODE = (
    "To apply it: press **New run with these values** in the form, choose the mode `apply`, and run the cells again from `preflight`."
)


def obstacle(role: str, run: Run | None, applying: Applying | None, *, is_closed: bool, waited: Collection[str] = ()) -> NotYet | None:
    """Why the cell of this role can only wait; None where it can do its work. `waited`: the roles of cells that only waited so far."""
    if role not in AFTER:
        return None
    if applying and applying.is_going_on:
        doing = applying.live.doing if applying.live else ""
        return NotYet("The run is applying its plan.", advice=f"{doing} Run this cell again once the view says that it is over.")
    if role in ("preflight", "plan"):
        return None
    if run is None or is_closed:
        return NotYet(f"Run {run.id} has ended." if run else "No run is open yet.", advice=FIRST)
    if run.shown_plan is None:
        return NotYet("There is no plan yet.", advice="Run the cell `plan` first.")
    if role == "apply":
        return _before_apply(applying)
    if run.mode == "plan" or not run.shown_plan.steps:
        return None
    return _behind_apply(role, applying) or _behind_waiting(role, applying, waited)


def _before_apply(applying: Applying | None) -> NotYet | None:
    """One plan has one panel; a plan that is made anew puts that of the one before away."""
    if applying is None:
        return None
    waits = applying.panel.state == WAITS
    return NotYet("Waiting for your Apply above." if waits else "This run has applied its plan already.", advice=THEN)


def _behind_apply(role: str, applying: Applying | None) -> NotYet | None:
    if applying is None:
        return None if role == "conclude" else NotYet("Nothing was applied yet.", advice="Run the cell `apply` first.")
    if applying.panel.state == WAITS:
        return NotYet("Waiting for your Apply above.", advice=DECIDE)
    if applying.panel.state == DECLINED and role != "conclude":
        return NotYet("You have chosen not to apply the plan.", advice="Run the cell `conclude` to close the run.")
    return None


def _behind_waiting(role: str, applying: Applying | None, waited: Collection[str]) -> NotYet | None:
    """Once a plan was applied: a cell whose turn came too early is run first, for without it the verdict would be `inconclusive`."""
    if applying is None or applying.panel.state != OVER:
        return None
    earlier = [other for other in AFTER[AFTER.index("apply") + 1 : AFTER.index(role)] if other in waited]
    if not earlier:
        return None
    return NotYet(f"The cell `{earlier[0]}` came too early and did nothing.", advice=f"Run the cell `{earlier[0]}` now, then this one.")
