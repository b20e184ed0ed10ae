"""The turns of the cells: the reason why a cell can only wait now, and the person's next act."""

from __future__ import annotations

from collections.abc import Collection

from balbook.errors import NotYet
from balbook.jupyter.forms.apply_panel import DECLINED, OVER, WAITS
from balbook.jupyter.forms.applying import Applying
from balbook.run.run import Run

AFTER = ("preflight", "plan", "apply", "verify", "evidence", "conclude")
NOT_OPEN = "No run is open yet."
FIRST = "Fill in the form above, then run the cells in their order from `preflight`."
THEN = "Then run the next cells: `verify`, `evidence`, `conclude`."
GO_ON = "Run the cells `verify`, `evidence`, `conclude`. To drop the run instead, press **New run with these values** in the form."
DECIDE = "Press the button in the apply cell, or **Do not apply**; then run this cell again."
PLAN_MODE = (
    "To apply the plan, press **New run with these values** in the form, choose the mode `apply`, and run the cells again from `preflight`."
)
WAITING = "Waiting for your Apply above."


def obstacle(role: str, run: Run | None, applying: Applying | None, *, is_closed: bool, waited: Collection[str] = ()) -> NotYet | None:
    """The reason why the cell of this role can only wait, None for a cell that can work. `waited`: roles that only waited so far."""
    if role not in AFTER:
        return None
    if applying and applying.is_going_on:
        doing = applying.live.doing if applying.live else ""
        return NotYet("The run is applying its plan.", advice=f"{doing} Run this cell again once the view shows the end.".lstrip())
    if role in ("preflight", "plan"):
        return None
    if run is None or is_closed:
        return NotYet(f"Run {run.id} has ended." if run else NOT_OPEN, advice=FIRST)
    if run.shown_plan is None:
        return NotYet("The run has no plan yet.", advice="Run the cell `plan` first.")
    state = applying.panel.state if applying else ""
    if role == "apply":  # one plan has one panel; a new plan puts the panel of the plan before away
        return NotYet(WAITING if state == WAITS else "This run has applied its plan already.", advice=THEN) if state else None
    if run.mode == "plan" or not run.shown_plan.steps:
        return None
    return _behind_apply(role, state, waited)


def _behind_apply(role: str, state: str, waited: Collection[str]) -> NotYet | None:
    """The same for a cell behind `apply`, by the state of its panel; empty: no panel was drawn yet."""
    if state == WAITS:
        return NotYet(WAITING, advice=DECIDE)
    if state == OVER:  # without the cell that came too early the verdict would be `inconclusive`
        early = next((other for other in AFTER[AFTER.index("apply") + 1 : AFTER.index(role)] if other in waited), "")
        told = f"The cell `{early}` came too early and did nothing."
        return NotYet(told, advice=f"Run the cell `{early}` now, then this cell.") if early else None
    if role == "conclude":
        return None
    if state == DECLINED:
        return NotYet("You have chosen not to apply the plan.", advice="Run the cell `conclude` to close the run.")
    return None if state else NotYet("Nothing was applied yet.", advice="Run the cell `apply` first.")
