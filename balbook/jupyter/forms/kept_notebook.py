"""The executed notebook as balbook itself keeps it: the runbook's cells, the used values, and the kernel's outputs.

A browser can miss outputs, or save none; the kernel sent all of them. Widgets are left out, since each has a static twin
beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from balbook.jupyter.forms.screen import WIDGET
from balbook.jupyter.forms.watch import Ran
from balbook.notebook.notebook_file import read_notebook, text_of_notebook
from balbook.notebook.runbook import Runbook, cell_digest

INJECTED, STRANGE = "injected-parameters", "not-of-the-runbook"
OUTPUTS = ("display_data", "execute_result", "stream", "error")
Output = dict[str, Any]


class Recorder:
    """Keeps the outputs of each request, as a front end would show them."""

    def __init__(self) -> None:
        self._outputs: dict[str, list[Output]] = {}
        self._displays: dict[str, list[Output]] = {}

    def hear(self, kind: str, content: Any, header: Mapping[str, Any]) -> None:
        """Takes a message that left the kernel, in answer to the request of this header."""
        if kind == "update_display_data":
            for output in self._displays.get(content.get("transient", {}).get("display_id", ""), []):
                output["data"], output["metadata"] = dict(content["data"]), dict(content.get("metadata", {}))
        elif kind == "clear_output":
            self._outputs.pop(header.get("msg_id", ""), None)
        elif kind in OUTPUTS:
            self._take({"output_type": kind, **copy.deepcopy(content)}, self._outputs.setdefault(header.get("msg_id", ""), []))

    def outputs(self, message_id: str) -> list[Output]:
        """The outputs of a cell's request, without the widgets, which no viewer could show later."""
        outputs = copy.deepcopy(self._outputs.get(message_id, [])) if message_id else []
        for output in outputs:
            output.get("data", {}).pop(WIDGET, None)
        return outputs

    def _take(self, output: Output, outputs: list[Output]) -> None:
        if output["output_type"] == "stream" and outputs and outputs[-1].get("name") == output["name"]:
            outputs[-1]["text"] += output["text"]
            return
        if display_id := output.pop("transient", {}).get("display_id"):
            self._displays.setdefault(display_id, []).append(output)
        outputs.append(output)


def notebook_of(executed: Runbook, ran: Sequence[Ran], recorder: Recorder, parameters: Mapping[str, Any]) -> str:
    """The notebook as JSON. A cell that the runbook does not have stands where it ran."""
    data = read_notebook(executed.path)
    latest = {"parameters" if r.role == "parameters" else r.sha256: r for r in ran}
    known = {cell_digest(cell.source) for cell in executed.cells}
    cells: list[dict[str, Any]] = []
    for cell, written in zip(executed.cells, data["cells"], strict=True):
        if cell.type != "code":
            cells.append(written)
            continue
        here = latest.get("parameters" if cell.role == "parameters" else cell_digest(cell.source))
        cells.append(_cell(written, here, recorder))
        if cell.role == "parameters":
            # As papermill writes the used values.
            lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in parameters.items())]
            cells.append({**_new(INJECTED, INJECTED), "execution_count": None, "outputs": [], "source": _lines("\n".join(lines))})
        if here:
            behind = takewhile(lambda r: r.role != "parameters" and r.sha256 not in known, ran[list(ran).index(here) + 1 :])
            cells += [_cell(_new(f"{STRANGE}-{r.number}", STRANGE), r, recorder) for r in behind]
    return text_of_notebook({**data, "cells": cells})


def _new(cell_id: str, tag: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": cell_id, "metadata": {"tags": [tag]}}


def _cell(written: Mapping[str, Any], ran: Ran | None, recorder: Recorder) -> dict[str, Any]:
    if ran is None:
        return {**written, "execution_count": None, "outputs": []}
    return {**written, "source": _lines(ran.source.rstrip()), "execution_count": ran.number, "outputs": recorder.outputs(ran.message_id)}


def _lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)
