"""A front end for tests: a kernel, the cells of a notebook, and widgets that are used by the messages a browser would send."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

from balbook.notebook.runbook import Cell, read_runbook, runbook_path

PATIENCE_S = 60.0


class ThisKernel(KernelManager):
    """The interpreter of the tests."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        import sys

        return [sys.executable, *super().format_kernel_cmd(extra_arguments)[1:]]


@dataclass
class Desk:
    """One notebook at one kernel. `widgets`: the state of every model, by its id; `outputs` of the cell that ran last."""

    client: Any
    manager: Any
    widgets: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    status: str = ""

    def run(self, source: str, cell_id: str = "", *, is_silent: bool = False) -> str:
        """Executes a cell as JupyterLab does; how it ended, `ok` or `error`. Its HTML is in `shown`."""
        content = {"code": source, "silent": is_silent, "store_history": not is_silent, "user_expressions": {}}
        content |= {"allow_stdin": True, "stop_on_error": True}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell_id})
        self.client.shell_channel.send(message)
        self.outputs = []
        is_idle = False
        deadline = time.monotonic() + PATIENCE_S
        while not is_idle:
            heard = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            is_mine = heard["parent_header"].get("msg_id") == message["header"]["msg_id"]
            self._hear(heard, is_mine)
            is_idle = is_mine and heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle"
        reply = self.client.get_shell_msg(timeout=PATIENCE_S)
        while reply["parent_header"]["msg_id"] != message["header"]["msg_id"]:
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
        self.status = str(reply["content"]["status"])
        return self.status

    def cell(self, runbook: str, role: str, **filled: Any) -> str:
        """Executes the cell of this role; `filled` changes lines of the parameters cell, as a person might."""
        cell = cell_of(runbook, role)
        lines = cell.source.splitlines()
        for name, value in filled.items():
            lines = [f"{line.partition('=')[0]}= {value!r}" if line.startswith(f"{name}:") else line for line in lines]
        return self.run("\n".join(lines), cell.id)

    @property
    def shown(self) -> str:
        """What the last cell showed, as HTML where there is any, else as text."""
        data = [o["content"].get("data", {}) for o in self.outputs]
        texts = [d.get("text/html") or d.get("text/plain", "") for d in data]
        return "\n".join([*texts, *(str(o["content"].get("text", o["content"].get("ename", ""))) for o in self.outputs)])

    def listen(self, until: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        """Hears what the kernel sends on its own, until something is so."""
        deadline = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < deadline, f"{what} did not succeed within {within_s:g} s"
            try:
                self._hear(self.client.get_iopub_msg(timeout=0.2), is_mine=False)
            except Empty:
                continue

    def find(self, css: str) -> str:
        """The model that has this class."""
        found = [model for model, state in self.widgets.items() if css in state.get("_dom_classes", ())]
        assert found, f"no widget has the class {css}"
        return found[-1]

    def below(self, css: str) -> str:
        """The first child of the box with this class: a field."""
        return str(self.widgets[self.find(css)]["children"][0]).removeprefix("IPY_MODEL_")

    def click(self, css: str) -> None:
        """Presses a button."""
        self._send(self.find(css), {"method": "custom", "content": {"event": "click"}})

    def write(self, model: str, **state: Any) -> None:
        """Changes a widget as its view does; waits until the kernel has echoed it, so that what follows from it is known."""
        self._send(model, {"method": "update", "state": state, "buffer_paths": []})
        self.run("pass", is_silent=True)

    def choose(self, css: str, label: str) -> None:
        """Chooses by the beginning of what is shown."""
        model = self.below(css)
        labels = self.widgets[model]["_options_labels"]
        self.write(model, index=next(i for i, shown in enumerate(labels) if shown.startswith(label)))

    def html(self) -> str:
        """The text of all HTML widgets."""
        return "\n".join(str(s.get("value", "")) for s in self.widgets.values() if s.get("_model_name") == "HTMLModel")

    def _send(self, model: str, data: Mapping[str, Any]) -> None:
        message = self.client.session.msg("comm_msg", {"comm_id": model, "data": dict(data)})
        self.client.shell_channel.send(message)

    def _hear(self, message: Mapping[str, Any], is_mine: bool) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open" and content.get("target_name") == "jupyter.widget":
            self.widgets[content["comm_id"]] = dict(content["data"]["state"])
        elif kind == "comm_msg" and content["data"].get("method") in ("update", "echo_update"):
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif is_mine and kind in ("display_data", "execute_result", "stream", "error"):
            self.outputs.append({"kind": kind, "content": content})


@contextmanager
def desk(environ: Mapping[str, str], cwd: Path) -> Iterator[Desk]:
    """A kernel of this interpreter, and whoever sits in front of it."""
    manager = ThisKernel(transport="ipc", connection_file=str(cwd / "kernel.json"))
    manager.session = Session()
    manager.start_kernel(env=dict(environ), cwd=str(cwd))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_S)
        yield Desk(client, manager)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def cell_of(runbook: str, role: str) -> Cell:
    """The code cell of a role."""
    return next(cell for cell in read_runbook(runbook_path(runbook)).cells if cell.role == role and cell.type == "code")


def outputs_of(notebook: Path) -> dict[str, str]:
    """The outputs of a notebook's cells by their ids, as JSON."""
    cells = json.loads(notebook.read_text())["cells"]
    return {cell["id"]: json.dumps(cell.get("outputs", [])) for cell in cells}
