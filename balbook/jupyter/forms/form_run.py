"""A run as JupyterLab has it: as any run, except for the views of its plan and its verdict, and for a wait for approvals."""

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
        """Shows the plan as a page, with the duration of earlier runs."""
        show(plan_page(plan, expected(plan, records_folder(self.inventory)), self.inventory.environment))

    def show_verdict(self, verdict: str, why: str) -> None:
        """Shows nothing yet: the cells' order counts too, and is known only at the end of this cell."""

    @property
    def approved_in(self) -> str:
        """This run itself: other people approve the plan of this run, while the run waits for them."""
        return self.id

    def offer(self, plan: Plan) -> None:
        """Raises, and journals, the reason why the plan cannot be applied; raises NotYet where approvals are missing."""
        with self._recorded():
            self._require_applicable(plan)
        try:
            self._require_approved(plan)
        except Refused as exc:
            asked = f"Ask somebody else to run `balbook approve {self.id}`, then run this cell again."
            raise NotYet(exc.message, advice=asked) from exc
