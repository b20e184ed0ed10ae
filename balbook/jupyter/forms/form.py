"""The form: a field for each parameter, prefilled from the parameters cell, checked at every keystroke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ipywidgets as w

from balbook.errors import BadInput, NotYet
from balbook.inventory import Inventory
from balbook.jupyter.forms import fields
from balbook.jupyter.forms.panels import Html, command, inline, table
from balbook.jupyter.forms.screen import Slot
from balbook.jupyter.forms.style import CSS
from balbook.notebook.parameters import Parameter
from balbook.notebook.runbook import Runbook
from balbook.procedures import with_defaults
from balbook.run.opening import Request, checked_request
from balbook.show.markup import Markup, markup

LABEL_WIDTH, FIELD_WIDTH = "110px", "440px"
NEXT = "Ready. Run the next cells: preflight, plan."


class Field:
    """One parameter on the screen: the field, its help, and a complaint about its value."""

    def __init__(self, parameter: Parameter, control: Any) -> None:
        self.parameter, self.control = parameter, control
        self.error = w.HTML()
        help_ = w.HTML(markup("<span class='bb-help'>{}</span>", inline(parameter.help)))
        told = w.VBox([help_, self.error], layout=w.Layout(flex="1 1 0%", overflow="visible"))
        self.row = w.HBox([control, told], layout=w.Layout(overflow="visible")).add_class(f"bb-field-{parameter.name}")

    def complain(self, problem: str) -> None:
        """Shows the problem; an empty one clears the place."""
        self.error.value = markup("<span class='bb-error' role='alert'>✘ {}</span>", inline(problem)) if problem else ""


class Form:
    """A runbook's form. `given` are the values of the parameters cell; `on_new_run` is called by its button."""

    def __init__(self, runbook: Runbook, name: str, given: Mapping[str, Any], on_new_run: Callable[[], None]) -> None:
        self.runbook, self.name = runbook, name
        self._held: dict[str, Any] | None = None
        self.world = fields.World.read(str(given.get("inventory", "")))
        start = {p.name: given.get(p.name, p.default) for p in runbook.parameters}
        if self.world.inventory:
            start = with_defaults(self.world.inventory, name, start)
        self.fields = {p.name: Field(p, self._control(p, start)) for p in runbook.parameters}
        self._state, self._command, self.notice = w.HTML(), w.HTML(), w.VBox()
        hidden = w.Layout(display="none", width="240px")
        self._again = w.Button(description="New run with these values", layout=hidden).add_class("bb-new-run")
        self._again.on_click(lambda button: on_new_run())
        head = w.HTML(markup("{}<h3>{}</h3>", CSS, runbook.title))
        parts = [head, self.notice, *(field.row for field in self.fields.values()), self._state, self._command, self._again]
        root = w.VBox(parts, layout=w.Layout(overflow="visible")).add_class("bb-form").add_class("bb-box").add_class("bb-busy")
        self.slot = Slot(root)
        self._check()
        for parameter, field in self.fields.items():
            field.control.observe(partial(self._changed, parameter), names="value")

    def show(self) -> None:
        """Draws the form in the setup cell."""
        self.slot.show(self.twin())

    def values(self) -> dict[str, Any]:
        """The contents of the fields."""
        return {name: field.control.value for name, field in self.fields.items()}

    def request(self) -> Request:
        """The run that the form asks for, checked; raises NotYet with the problem where a value is wrong.

        The request names the inventory by the path that was found, so that the same values mean the same elsewhere.
        """
        problems = self._check()
        if problems:
            said = "\n".join(f"`{name}`: {problem}" for name, problem in problems.items())
            raise NotYet(f"The form above is not ready: {', '.join(problems)}.", advice=said)
        inventory, values = self._typed()
        try:
            return checked_request(self.name, {**values, "inventory": str(inventory.path)})
        except BadInput as exc:
            raise NotYet(f"The form above is not ready: {exc.message}", advice=exc.advice) from exc

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the values meanwhile, also against a change that is on its way already; frees them after an error."""
        self._hold(self.values())
        try:
            yield
        except BaseException:
            self._hold(None)
            raise

    def freeze(self, request: Request, run_id: str) -> None:
        """Gives the held values to this run."""
        self._say(f"Run {run_id} was opened with these values.", request)
        self._again.layout.display = ""
        self.slot.change_twin(self.twin(request, run_id))

    def thaw(self, told: str) -> None:
        """Lets the values be changed again, for another run."""
        self._hold(None)
        self._again.layout.display = "none"
        self._check()
        self.note(told)

    def note(self, told: str) -> None:
        """Shows a sentence below the fields."""
        self._state.value = markup("<p class='bb-form-state' role='status'>{}</p>", told)

    def twin(self, request: Request | None = None, run_id: str = "") -> Html:
        """The form as a table."""
        values = request.parameters if request else self.values()
        rows = [[markup("<b>{}</b>", p.name), values[p.name], inline(p.help)] for p in self.runbook.parameters]
        told = f"Run {run_id} was opened with these values." if request else "Fill this form in in JupyterLab."
        shown = table(("parameter", "value", "meaning"), rows)
        html = markup(
            "<div class='bb-box bb-busy bb-form-twin'><h3>{}</h3>{}<p>{}</p>{}</div>",
            self.runbook.title,
            shown,
            told,
            _same_by_command(request),
        )
        return Html(html, f"{self.runbook.title}: {told} {dict(values)}")

    def _typed(self) -> tuple[Inventory, dict[str, Any]]:
        """The inventory and the fields' values, each of its declared type; only for fields without a problem."""
        assert self.world.inventory
        return self.world.inventory, {name: fields.value_of(f.parameter, f.control.value) for name, f in self.fields.items()}

    def _changed(self, name: str, change: Mapping[str, Any]) -> None:
        if self._held is not None:
            change["owner"].value = self._held[name]
            return
        if name == "inventory":
            self.world = fields.World.read(str(change["new"]))
        if name in ("inventory", "application"):
            self._offer()
        self._check()

    def _hold(self, values: dict[str, Any] | None) -> None:
        self._held = values
        for field in self.fields.values():
            field.control.disabled = values is not None

    def _offer(self) -> None:
        """Offers other choices, for another inventory or application; an earlier choice stays, if only for a complaint."""
        for field in self.fields.values():
            found = fields.choices(self.runbook, field.parameter, self.world, self.values())
            if not found or not isinstance(field.control, w.Dropdown | w.SelectMultiple):
                continue
            chosen = field.control.value
            options = _with(found, chosen if isinstance(chosen, tuple) else [chosen] if chosen else [])
            if list(field.control.options) != options:
                field.control.options = options  # the widget forgets its choice
                is_there = isinstance(chosen, tuple) or chosen in [value for _, value in options]
                field.control.value = chosen if is_there else options[0][1]

    def _check(self) -> dict[str, str]:
        values, problems = self.values(), {}
        for name, field in self.fields.items():
            problem = fields.problem_with(self.runbook, field.parameter, values[name], self.world, values)
            field.complain(problem)
            if problem:
                problems[name] = problem
        if problems:
            count = "1 field needs" if len(problems) == 1 else f"{len(problems)} fields need"
            self._say(f"Not ready: {count} attention.", None)
        else:
            inventory, typed = self._typed()
            self._say(NEXT, Request(self.name, self.runbook, inventory, with_defaults(inventory, self.name, typed)))
        return problems

    def _say(self, state: str, request: Request | None) -> None:
        self.note(state)
        self._command.value = _same_by_command(request)

    def _control(self, parameter: Parameter, start: Mapping[str, Any]) -> Any:
        """A typed field; a choice where the inventory knows the possible values."""
        value, found = start[parameter.name], fields.choices(self.runbook, parameter, self.world, start)
        common: dict[str, Any] = {"description": parameter.name, "style": {"description_width": LABEL_WIDTH}}
        common |= {"layout": w.Layout(width=FIELD_WIDTH), "tooltip": parameter.help}
        match parameter.type:
            case "list[str]" if found:
                options = _with(found, value)
                return w.SelectMultiple(options=options, value=list(value), rows=min(6, max(2, len(options))), **common)
            case _ if found:
                return w.Dropdown(options=_with(found, [value]), value=value, **common)
            case "bool":
                return w.Checkbox(value=value, indent=True, **common)
            case "int" | "float":
                return (w.IntText if parameter.type == "int" else w.FloatText)(value=value, continuous_update=True, **common)
            case "list[str]":
                return w.Text(value=",".join(value), placeholder="separated by commas", **common)
        return w.Text(value=value, **common)


def _same_by_command(request: Request | None) -> Markup:
    if request is None:
        return Markup()
    return markup("<p class='bb-quiet'>The same from a command line:</p>{}", command(fields.command_line(request)))


def _with(found: Sequence[tuple[str, str]], chosen: Sequence[str]) -> list[tuple[str, str]]:
    """The choices, and earlier choices that they lack: an emptied list would silently mean all."""
    known = [value for _, value in found]
    return [*found, *((str(value), value) for value in chosen if value not in known)]
