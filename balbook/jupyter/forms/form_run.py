"""A run as JupyterLab has it: the same as any, but for how its plan and its verdict are shown, and who waits for approvals."""

from __future__ import annotations

from balbook.errors import NotYet, Refused
from balbook.jupyter.forms.durations import expected
from balbook.jupyter.forms.plan_page import plan_page
from balbook.jupyter.forms.screen import show
from balbook.plan.model import Plan
from balbook.record.keeping import records_folder
from balbook.run.run import Run


class FormRun(Run):
    """A run whose plan is a page to judge, and whose verdict is shown once it is stated."""

    def show_plan(self, plan: Plan) -> None:
        """As a page, with what earlier runs took."""
        show(plan_page(plan, expected(plan, records_folder(self.inventory)), self.inventory.environment))

    def show_verdict(self, verdict: str, why: str) -> None:
        """Not here: the cells' order counts too, and only the end of this one tells it."""

    @property
    def approved_in(self) -> str:
        """This very run: others approve the plan that stands here, while it waits for them."""
        return self.id

    def offer(self, plan: Plan) -> None:
        """Whether it may be applied at all; an error stands in the journal as ever. NotYet where approvals are missing."""
        with self._recorded():
            self._require_applicable(plan)
        try:
            self._require_approved(plan)
        except Refused as exc:
            asked = f"Ask somebody else to run `balbook approve {self.id}`, then run this cell again."
            raise NotYet(exc.message, advice=asked) from exc
