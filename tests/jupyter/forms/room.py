"""A person, a kernel that is a few fields, and the small fleet: what the tests of the interactive half share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from balbook.engine.loop import Loop, StopRequest
from balbook.engine.worker import asked
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.plan.reading import read_plan
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import made

PATIENCE_S = 20


class Events:
    """IPython's events."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Callable[..., None]]] = {"pre_run_cell": [], "post_run_cell": []}

    def register(self, name: str, act: Callable[..., None]) -> None:
        self.heard[name].append(act)

    def unregister(self, name: str, act: Callable[..., None]) -> None:
        self.heard[name].remove(act)

    def tell(self, name: str, about: Any) -> None:
        for act in list(self.heard[name]):
            act(about)


class Room:
    """A notebook without Jupyter: cells by their roles, run one after the other."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"In": [""]}
        self.events = Events()
        self.execution_count = 0
        self.kernel = None
        self.run: Any = None
        self.plan: Any = None
        self.tracebacks: list[BaseException] = []

    def set_custom_exc(self, kinds: Any, draw: Callable[..., Any]) -> None:
        self.draw = draw

    def showtraceback(self, about: Any, tb_offset: Any = None) -> None:
        self.tracebacks.append(about[1])

    def cell(self, role: str, act: Callable[[], Any], runbook: str = "hot_deploy", source: str = "") -> BaseException | None:
        """Runs what a cell does, as IPython tells of it; the error, drawn as in the cell."""
        found = next(c for c in read_runbook(runbook_path(runbook)).cells if c.role == role and c.type == "code")
        text, error = source or found.source, None
        self.execution_count += 1
        self.user_ns["In"].append(text)
        info = SimpleNamespace(raw_cell=text, cell_id=found.id)
        self.events.tell("pre_run_cell", info)
        try:
            act()
        except Exception as exc:
            error = exc
            self.draw(self, type(exc), exc, None)
        result = SimpleNamespace(info=info, error_before_exec=None, error_in_exec=error, execution_count=self.execution_count)
        self.events.tell("post_run_cell", result)
        return error

    def cells(self, *roles: str) -> BaseException | None:
        """Runs these cells until one ends in an error."""
        for role in roles:
            if (error := self.cell(role, lambda role=role: self.do(role))) is not None:  # type: ignore[misc]
                return error
        return None

    def do(self, role: str) -> None:
        """What the cell of this role does in the runbooks."""
        if role == "plan":
            self.plan = self.run.plan()
        elif role == "apply":
            self.run.apply(self.plan)
        elif role != "parameters":
            getattr(self.run, role)()

    def wait(self, is_so: Callable[[], Any], what: str) -> None:
        """Waits for it."""
        pause = threading.Event()
        for _ in range(PATIENCE_S * 50):
            if is_so():
                return
            pause.wait(0.02)
        raise AssertionError(f"{what} did not succeed within {PATIENCE_S} s")


class Engine:
    """Stands in for the run's process: a thread, which begins its steps once it is let go."""

    def __init__(self, fleet: FakeFleet) -> None:
        self.fleet, self.stop, self.may_go = fleet, StopRequest(), threading.Event()
        self.may_go.set()
        self.is_lost = False

    def start(self, run_dir: Path, secrets: object) -> Any:
        journal = Journal(run_dir / "journal.jsonl")
        plan = read_plan(run_dir)
        if self.is_lost:
            journal.append(made("apply_started", digest=plan.digest, pid=1, steps=len(plan.steps)))
            return SimpleNamespace(poll=lambda: -9)
        worker = threading.Thread(target=self._apply, args=(plan, journal), daemon=True)
        worker.start()
        return SimpleNamespace(poll=lambda: None if worker.is_alive() else 0)

    def ask_to_stop(self, run_dir: Path, by: str = "") -> bool:
        journal = Journal(run_dir / "journal.jsonl")
        journal.append(made("stop_asked", by=by))
        if self.stop.ask(why := asked(journal, signal.SIGTERM)):
            journal.append(made("stop_requested", by=why))
        return True

    def _apply(self, plan: Any, journal: Journal) -> None:
        journal.append(made("apply_started", digest=plan.digest, pid=1, steps=len(plan.steps)))
        self.may_go.wait(PATIENCE_S)
        applied = Loop(plan, self.fleet, journal, self.stop).apply()
        about = {"verdict": applied.verdict, "changes": applied.changes, "why": applied.why, "units": applied.units}
        journal.append(made("apply_finished", exit_status=0 if applied.verdict == "succeeded" else 1, **about))
