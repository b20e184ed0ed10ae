"""The form: a field for each parameter, prefilled from the parameters cell, checked while one types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from balbook.errors import BadInput, NotYet
from balbook.jupyter.forms import fields
from balbook.jupyter.forms.panels import Html, command, inline, table
from balbook.jupyter.forms.screen import Slot
from balbook.jupyter.forms.style import CSS
from balbook.notebook.parameters import Parameter
from balbook.notebook.runbook import Runbook
from balbook.procedures import with_defaults
from balbook.run.opening import Request, checked_request
from balbook.show.markup import markup

LABEL_WIDTH, FIELD_WIDTH = "110px", "440px"
NEXT = "Ready. Run the next cells: preflight, plan."


class Field:
    """One parameter on the screen: the field, its help, and what is wrong with it."""

    def __init__(self, parameter: Parameter, control: Any) -> None:
        self.parameter, self.control = parameter, control
        self.error = w.HTML()
        help_ = w.HTML(markup("<span class='bb-help'>{}</span>", inline(parameter.help)))
        told = w.VBox([help_, self.error], layout=w.Layout(flex="1 1 0%", overflow="visible"))
        self.row = w.HBox([control, told], layout=w.Layout(overflow="visible"))
        self.row.add_class(f"bb-field-{parameter.name}")

    def complain(self, problem: str) -> None:
        """Says what is wrong; empty: nothing is."""
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
        self._again = w.Button(description="New run with these values", layout=w.Layout(display="none", width="240px"))
        self._again.add_class("bb-new-run")
        self._again.on_click(lambda button: on_new_run())
        head = w.HTML(markup("{}<h3>{}</h3>", CSS, runbook.title))
        rows = [field.row for field in self.fields.values()]
        self.root = w.VBox([head, self.notice, *rows, self._state, self._command, self._again], layout=w.Layout(overflow="visible"))
        for css in ("bb-form", "bb-box", "bb-busy"):
            self.root.add_class(css)
        self.slot = Slot(self.root)
        self._check()
        for field in self.fields.values():
            field.control.observe(self._changed, names="value")

    def show(self) -> None:
        """Draws it in the setup cell."""
        self.slot.show(self.twin())

    def values(self) -> dict[str, Any]:
        """What stands in the fields."""
        return {name: field.control.value for name, field in self.fields.items()}

    def request(self) -> Request:
        """The run that the form asks for; NotYet where something is wrong with it. The form says what."""
        problems = self._check()
        if problems:
            said = "\n".join(f"`{name}`: {problem}" for name, problem in problems.items())
            raise NotYet(f"The form above is not ready: {', '.join(problems)}.", advice=said)
        try:
            return self._asked()
        except BadInput as exc:
            raise NotYet(f"The form above is not ready: {exc.message}", advice=exc.advice) from exc

    @contextmanager
    def held(self) -> Iterator[None]:
        """The values stay what they are, also where a change is on its way already; after an error they can be changed again."""
        self._held = self.values()
        self._enable(False)
        try:
            yield
        except BaseException:
            self._held = None
            self._enable(True)
            raise

    def freeze(self, request: Request, run_id: str) -> None:
        """The values, which were held, are this run's now."""
        self._say(f"Run {run_id} was opened with these values.", request)
        self._again.layout.display = ""
        self.slot.change_twin(self.twin(request, run_id))

    def thaw(self, told: str = "") -> None:
        """The values can be changed again, for another run."""
        self._held = None
        self._enable(True)
        self._again.layout.display = "none"
        self._check()
        if told:
            self.note(told)

    def note(self, told: str) -> None:
        """Says it below the fields."""
        self._state.value = markup("<p class='bb-form-state' role='status'>{}</p>", told)

    def twin(self, request: Request | None = None, run_id: str = "") -> Html:
        """The form as a table."""
        values = request.parameters if request else self.values()
        rows = [[markup("<b>{}</b>", p.name), values[p.name], inline(p.help)] for p in self.runbook.parameters]
        told = f"Run {run_id} was opened with these values." if request else "This form is filled in in JupyterLab."
        html = markup(
            "<div class='bb-box bb-busy bb-form-twin'><h3>{}</h3>{}<p>{}</p>{}</div>",
            self.runbook.title, table(("parameter", "value", "meaning"), rows), told,
            markup("<p>The same from a command line:</p>{}", command(fields.command_line(request))) if request else "",
        )  # fmt: skip
        return Html(html, f"{self.runbook.title}: {told} {dict(values)}")

    def _asked(self) -> Request:
        """With the inventory's path as it was found, so that the same values mean the same elsewhere."""
        values = {name: fields.value_of(field.parameter, field.control.value) for name, field in self.fields.items()}
        assert self.world.inventory
        return checked_request(self.name, {**values, "inventory": str(self.world.inventory.path)})

    def _changed(self, change: Mapping[str, Any]) -> None:
        name = next(name for name, field in self.fields.items() if field.control is change["owner"])
        if self._held is not None:
            change["owner"].value = self._held[name]
            return
        if name == "inventory":
            self.world = fields.World.read(str(change["new"]))
        if name in ("inventory", "application"):
            self._offer()
        self._check()

    def _enable(self, is_enabled: bool) -> None:
        for field in self.fields.values():
            field.control.disabled = not is_enabled

    def _offer(self) -> None:
        """Other choices, for another inventory or application; what was chosen stays, if only to be complained of."""
        for field in self.fields.values():
            found = fields.choices(self.runbook, field.parameter, self.world, self.values())
            if not found or not isinstance(field.control, w.Dropdown | w.SelectMultiple):
                continue
            chosen = field.control.value
            options = _with(found, chosen if isinstance(chosen, tuple) else [chosen] if chosen else [])
            if list(field.control.options) == options:
                continue
            field.control.options = options  # it forgets what was chosen
            is_there = isinstance(chosen, tuple) or chosen in [value for _, value in options]
            field.control.value = chosen if is_there else options[0][1]

    def _check(self) -> dict[str, str]:
        values, problems = self.values(), {}
        for name, field in self.fields.items():
            problem = fields.problem_with(self.runbook, field.parameter, field.control.value, self.world, values)
            field.complain(problem)
            if problem:
                problems[name] = problem
        count = f"{len(problems)} field needs attention" if len(problems) == 1 else f"{len(problems)} fields need attention"
        self._say(NEXT if not problems else f"Not ready: {count}.", None if problems else self._preview())
        return problems

    def _preview(self) -> Request | None:
        """What would be asked for."""
        assert self.world.inventory
        values = {name: fields.value_of(field.parameter, field.control.value) for name, field in self.fields.items()}
        filled = with_defaults(self.world.inventory, self.name, values)
        return Request(self.name, self.runbook, self.world.inventory, filled)

    def _say(self, state: str, request: Request | None) -> None:
        self.note(state)
        same = markup("<p class='bb-quiet'>The same from a command line:</p>{}", command(fields.command_line(request))) if request else ""
        self._command.value = same

    def _control(self, parameter: Parameter, start: Mapping[str, Any]) -> Any:
        """A typed field; a choice where the inventory knows what there is."""
        value, found = start[parameter.name], fields.choices(self.runbook, parameter, self.world, start)
        style = {"description_width": LABEL_WIDTH}
        common: dict[str, Any] = {
            "description": parameter.name,
            "style": style,
            "layout": w.Layout(width=FIELD_WIDTH),
            "tooltip": parameter.help,
        }
        if parameter.type == "list[str]" and found:
            options = _with(found, value)
            return w.SelectMultiple(options=options, value=list(value), rows=min(6, max(2, len(options))), **common)
        if found:
            return w.Dropdown(options=_with(found, [value]), value=value, **common)
        match parameter.type:
            case "bool":
                return w.Checkbox(value=value, indent=True, **common)
            case "int":
                return w.IntText(value=value, continuous_update=True, **common)
            case "float":
                return w.FloatText(value=value, continuous_update=True, **common)
            case "list[str]":
                return w.Text(value=",".join(value), placeholder="separated by commas", **common)
        return w.Text(value=value, **common)


def _with(found: Sequence[tuple[str, str]], chosen: Sequence[str]) -> list[tuple[str, str]]:
    """The choices, and what was chosen although there is no such thing: dropped in silence, none of a list would mean all."""
    known = [value for _, value in found]
    return [*found, *((str(value), value) for value in chosen if value not in known)]
