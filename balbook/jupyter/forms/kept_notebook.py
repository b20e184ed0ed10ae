"""The executed notebook as balbook itself keeps it: the runbook's cells, the values used, and what the kernel sent.

A browser may have missed outputs, or saved none; the kernel sent all of them. Widgets are left out, since beside each stands
its static twin.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from balbook.jupyter.forms.screen import WIDGET
from balbook.jupyter.forms.watch import Ran
from balbook.notebook.notebook_file import read_notebook, text_of_notebook
from balbook.notebook.runbook import Runbook, cell_digest

INJECTED = "injected-parameters"
OUTPUTS = ("display_data", "execute_result", "stream", "error")
Output = dict[str, Any]


class Recorder:
    """Keeps the outputs of each request, as a front end would show them."""

    def __init__(self) -> None:
        self._outputs: dict[str, list[Output]] = {}
        self._displays: dict[str, list[Output]] = {}

    def hear(self, kind: str, content: Any, header: Mapping[str, Any]) -> None:
        """A message that left the kernel, in answer to the request of this header."""
        if kind == "update_display_data":
            for output in self._displays.get(content.get("transient", {}).get("display_id", ""), []):
                output["data"], output["metadata"] = dict(content["data"]), dict(content.get("metadata", {}))
        elif kind == "clear_output":
            self._outputs.pop(header.get("msg_id", ""), None)
        elif kind in OUTPUTS:
            self._take(kind, copy.deepcopy(content), self._outputs.setdefault(header.get("msg_id", ""), []))

    def outputs(self, message_id: str) -> list[Output]:
        """What a cell's request led to, without widgets."""
        return [_still(output) for output in self._outputs.get(message_id, [])]

    def _take(self, kind: str, content: dict[str, Any], outputs: list[Output]) -> None:
        if kind == "stream" and outputs and outputs[-1].get("name") == content["name"]:
            outputs[-1]["text"] += content["text"]
            return
        display_id = content.pop("transient", {}).get("display_id")
        output = {"output_type": kind, **content}
        if display_id:
            self._displays.setdefault(display_id, []).append(output)
        outputs.append(output)


def notebook_of(executed: Runbook, ran: Sequence[Ran], recorder: Recorder, parameters: Mapping[str, Any]) -> str:
    """The notebook as JSON. A cell that the runbook does not have stands where it ran."""
    data = read_notebook(executed.path)
    latest = {r.sha256: r for r in ran}
    filled = next((r for r in reversed(ran) if r.role == "parameters"), None)
    known = {cell_digest(cell.source) for cell in executed.cells}
    cells: list[dict[str, Any]] = []
    for cell, written in zip(executed.cells, data["cells"], strict=True):
        if cell.type != "code":
            cells.append(written)
            continue
        is_parameters = cell.role == "parameters"
        here = filled if is_parameters else latest.get(cell_digest(cell.source))
        cells.append(_cell(written, here, recorder))
        if is_parameters:
            cells.append(_injected(parameters))
        if here:
            cells += [_strange(r, recorder) for r in _behind(here, ran, known)]
    return text_of_notebook({**data, "cells": cells})


def _cell(written: Mapping[str, Any], ran: Ran | None, recorder: Recorder) -> dict[str, Any]:
    if ran is None:
        return {**written, "execution_count": None, "outputs": []}
    source = ran.source.rstrip().splitlines(keepends=True)
    outputs = recorder.outputs(ran.message_id) if ran.message_id else []
    return {**written, "source": source, "execution_count": ran.number, "outputs": outputs}


def _injected(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """As papermill writes it: the values that were used."""
    lines = ["# Parameters\n", *(f"{name} = {value!r}\n" for name, value in parameters.items())]
    lines[-1] = lines[-1].rstrip("\n")
    about = {"tags": [INJECTED]}
    return {"cell_type": "code", "id": INJECTED, "metadata": about, "execution_count": None, "outputs": [], "source": lines}


def _behind(here: Ran, ran: Sequence[Ran], known: set[str]) -> list[Ran]:
    """The strange cells that ran right after this one."""
    found: list[Ran] = []
    for later in ran[list(ran).index(here) + 1 :]:
        if later.role == "parameters" or later.sha256 in known:
            break
        found.append(later)
    return found


def _strange(ran: Ran, recorder: Recorder) -> dict[str, Any]:
    written = {"cell_type": "code", "id": f"not-of-the-runbook-{ran.number}", "metadata": {"tags": ["not-of-the-runbook"]}}
    return _cell(written, ran, recorder)


def _still(output: Output) -> Output:
    """Without the widget, which no viewer could show later."""
    data = output.get("data")
    return output if data is None else {**output, "data": {kind: value for kind, value in data.items() if kind != WIDGET}}
