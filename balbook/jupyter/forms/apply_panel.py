"""The panel in which a person applies a plan: a summary, a deliberate act, and then the live view.

In production the act is the application's name typed in and the button; elsewhere the button. Running all cells never
presses it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import ipywidgets as w

from balbook.inventory import Inventory
from balbook.jupyter.forms.panels import Html, inline
from balbook.jupyter.forms.screen import Slot
from balbook.jupyter.forms.style import CSS
from balbook.jupyter.forms.view import LiveView
from balbook.plan.model import Plan
from balbook.plan.tables import subject
from balbook.show.markup import Markup, markup

WAITS, APPLYING, DECLINED, RETIRED, OVER = "waits", "applying", "declined", "retired", "over"


class ApplyPanel:
    """Waits for the click, which calls `on_apply` once. `state`: `waits`, `applying`, `declined`, `retired`, `over`."""

    def __init__(self, plan: Plan, inventory: Inventory, on_apply: Callable[[], None]) -> None:
        self.plan, self.state = plan, WAITS
        self._on_apply, self._once = on_apply, threading.Lock()
        self.word = (plan.application or inventory.environment) if inventory.is_production else ""
        label, changes = "Confirm: nothing to change", len(plan.pending)
        if changes:
            label = "Apply this 1 change" if changes == 1 else f"Apply these {changes} changes"
        self.button = w.Button(description=label, disabled=bool(self.word), layout=w.Layout(width="240px")).add_class("bb-apply-button")
        self.button.button_style = "danger" if self.word else "primary"
        self.decline = w.Button(description="Do not apply", layout=w.Layout(width="160px")).add_class("bb-decline")
        self.confirmation = w.Text(description=f"Type {self.word} to confirm", style={"description_width": "initial"})
        self.confirmation.add_class("bb-confirm").layout = w.Layout(width="420px", display="" if self.word else "none")
        self.told = w.HTML()
        self.button.on_click(lambda button: self.press())
        self.decline.on_click(lambda button: self.refuse())
        self.confirmation.observe(lambda change: self._check(), names="value")
        self.view = LiveView()
        self._question = w.VBox([w.HTML(CSS + _intro(plan, inventory)), self.confirmation, self.told, w.HBox([self.button, self.decline])])
        self.root = w.VBox([self._question, self.view.root], layout=w.Layout(overflow="visible"))
        self.slot = Slot(self.root.add_class("bb-apply").add_class("bb-box").add_class("bb-note"))

    def show(self) -> None:
        """Draws the panel in the apply cell."""
        html = markup("<div class='bb-box bb-note bb-apply-twin'>{}<p>Nothing was applied yet.</p></div>", _intro(self.plan, None))
        self.slot.show(Html(html, "Nothing was applied yet."))

    def press(self) -> None:
        """Applies, once, if the confirmation is right: a foreign front end can press a disabled button."""
        with self._once:
            if self.state != WAITS or not self._is_confirmed:
                return
            self.state = APPLYING
        self._question.layout.display = "none"
        self.root.remove_class("bb-box").remove_class("bb-note")  # the view has a frame of its own
        self._on_apply()

    def refuse(self) -> None:
        """Declines the plan; `conclude` will state that."""
        self.retire("You have chosen not to apply this plan. Nothing was changed. Run the cell `conclude` to close the run.", DECLINED)

    def retire(self, why: str, state: str = RETIRED) -> bool:
        """Ends the wait for the click, on the screen and in the notebook, for good; False where the panel is applying."""
        with self._once:
            if self.state != WAITS:
                return self.state != APPLYING
            self.state = state
        self._question.layout.display = "none"
        self.view.page.value = markup("{}<div class='bb-{}' role='status'><p>{}</p></div>", CSS, state, inline(why))
        self.slot.change_twin(Html(markup("<div class='bb-box bb-note'><p>{}</p></div>", inline(why)), f"The plan was not applied. {why}"))
        return True

    @property
    def _is_confirmed(self) -> bool:
        return not self.word or self.confirmation.value.strip() == self.word

    def _check(self) -> None:
        self.button.disabled = not self._is_confirmed
        is_wrong = bool(self.confirmation.value) and not self._is_confirmed
        self.told.value = markup("<span class='bb-confirm-state' role='alert'>That is not {}.</span>", self.word) if is_wrong else ""


def _intro(plan: Plan, inventory: Inventory | None) -> Markup:
    hosts = list(dict.fromkeys(step.host for step in plan.pending))
    named = ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")
    return markup(
        "<h3>Apply: {}</h3><p>{} steps on {}{}; plan <code>{}</code>. "
        "After a failure the run takes the current unit back; after a stop it ends in a safe state.</p>",
        inline(subject(plan)), len(plan.pending), named or "no host",
        markup(" in <b>{}</b>", inventory.environment) if inventory else "", plan.digest[:12],
    )  # fmt: skip
