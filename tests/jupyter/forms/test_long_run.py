"""A deployment of three minutes, from the click to the sealed notebook: any viewer shows all of it, and it stays small."""

from __future__ import annotations

import csv
import gzip
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from balbook import transport
from balbook.engine import process
from balbook.engine.loop import Loop, StopRequest
from balbook.jupyter.forms import follower, interactive, screen, view
from balbook.jupyter.forms.apply_panel import OVER
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.samples import FILE, Sample, row
from balbook.record.journal import Journal, utc_now
from balbook.record.seal import read_record
from balbook.report.picture import latency_plot
from balbook.run import run as headless
from balbook.testing import FakeFleet
from tests.journals import made
from tests.jupyter.forms.room import PATIENCE_S, Room
from tests.small_fleet import fleet_with, publish

SECONDS, SAMPLES, EVENTS, PORTIONS, HOSTS = 180, 36_000, 2_000, 180, 10
MOST_BYTES = 2_000_000


class Clock:
    """A journal's clock that is three minutes on once all events are written."""

    def __init__(self) -> None:
        self._began, self.events = utc_now(), 0

    def __call__(self) -> datetime:
        self.events += 1
        return self._began + timedelta(seconds=self.events * SECONDS / EVENTS)


class LongEngine:
    """Stands in for the run's process: the fleet is changed at once, the telling of it goes on for `PORTIONS` looks and more."""

    def __init__(self, fleet: FakeFleet, frames: list[str]) -> None:
        self._fleet, self._frames, self.clock = fleet, frames, Clock()

    def start(self, run_dir: Path, secrets: object) -> Any:
        worker = threading.Thread(target=self._apply, args=(run_dir,), daemon=True)
        worker.start()
        return SimpleNamespace(poll=lambda: None if worker.is_alive() else 0)

    def _apply(self, run_dir: Path) -> None:
        journal = Journal(run_dir / "journal.jsonl", now=self.clock)
        plan = read_plan(run_dir)
        journal.append(made("apply_started", digest=plan.digest, pid=1, steps=len(plan.steps)))
        journal.append(made("probe_started", rate=SAMPLES / SECONDS, target="lb1"))
        applied = Loop(plan, self._fleet, journal, StopRequest()).apply()
        self._tell(run_dir, journal, plan)
        journal.append(made("measured", sent=SAMPLES, failed=0, closed_by_reload=0))
        about = {"verdict": applied.verdict, "changes": applied.changes, "why": applied.why, "units": applied.units}
        journal.append(made("apply_finished", exit_status=0, **about))

    def _tell(self, run_dir: Path, journal: Journal, plan: Plan) -> None:
        """Uploads and samples, a portion a frame or more."""
        step, portions = plan.steps[0], _portions(run_dir / "probe")
        for number, _ in enumerate(portions):
            seen = len(self._frames)
            while self.clock.events < EVENTS * (number + 1) // PORTIONS:
                journal.append(made("progress", step=step.id, host=step.host, bytes=self.clock.events, total=EVENTS))
            for _ in range(PATIENCE_S * 100):
                if len(self._frames) > seen:
                    break
                threading.Event().wait(0.01)


def _portions(folder: Path) -> Iterator[None]:
    """Writes what a probe writes, as it does: a file that grows."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ProbeConfig("lb1", 80, str(folder), (Stream(path="/"),)).data()))
    with gzip.open(folder / FILE, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        for n in range(SAMPLES):
            at_s, instance = n * SECONDS / SAMPLES, f"app{n % HOSTS + 1}:9090"
            writer.writerow(row(Sample(n, "GET /", at_s, 0.1, 1 + n % 97 / 7, "ok", 200, instance, 1, "2.0.0", f"p-{n}")))
            if (n + 1) % (SAMPLES // PORTIONS) == 0:
                file.flush()
                yield


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A kernel whose messages the recorder of the kept notebook hears, as the gate of a real one has it."""
    fleet = fleet_with(tmp_path, "1.0.0", hosts=HOSTS)
    publish(fleet.inventory, "2.0.0")
    room, frames = Room(), []
    room.kernel = SimpleNamespace(get_parent=lambda channel: {"header": {"msg_id": f"m{room.execution_count}"}})

    def hear(kind: str, data: Any, display_id: str = "", metadata: Any = None) -> None:
        content = {"data": data, "metadata": metadata or {}, "transient": {"display_id": display_id} if display_id else {}}
        interactive._current._recorder.hear(kind, content, room.kernel.get_parent("shell")["header"])

    def frame(widget: Any, value: str) -> None:
        frames.append(value)
        hear("comm_msg", {"method": "update", "state": {"value": value}})

    def display(data: Any, raw: bool, display_id: str = "", metadata: Any = None) -> None:
        hear("display_data", data, display_id, metadata)

    monkeypatch.setattr(screen, "display", display)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(screen, "update_display", lambda data, display_id, raw: hear("update_display_data", data, display_id))
    monkeypatch.setattr(headless, "show", lambda *things: [hear("display_data", {"text/html": t._repr_html_()}) for t in things])
    monkeypatch.setattr(view, "_set", frame)
    monkeypatch.setattr(follower, "TICK_S", 0.01)
    monkeypatch.setattr("balbook.record.journal.os.fsync", lambda fd: None)
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    monkeypatch.setattr(interactive, "running_shell", lambda: room)
    monkeypatch.setattr(interactive, "_current", None)
    monkeypatch.setenv("BALBOOK_INVENTORY", str(fleet.inventory.path))
    room.engine, room.frames = LongEngine(fleet, frames), frames
    monkeypatch.setattr(process, "start", room.engine.start)
    return room


def run_it(room: Room) -> Path:
    """A person's whole run; the notebook that is kept."""
    setup = next(c.source for c in read_runbook(runbook_path("hot_deploy")).cells if c.role == "setup")
    room.cells("parameters")
    room.execution_count += 1
    room.user_ns["In"].append(setup)
    room.run = interactive.open_interactively("hot_deploy", {"mode": "apply"})
    room.events.tell("post_run_cell", SimpleNamespace(info=None, error_before_exec=None, error_in_exec=None, execution_count=2))
    assert room.cells("preflight", "plan", "apply") is None
    room.run._applying.panel.button.click()
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end of applying")
    assert room.cells("verify") is None

    def evidence() -> None:
        room.run.evidence()
        latency_plot(room.run)._ipython_display_()

    assert room.cell("evidence", evidence) is None
    assert room.cells("conclude") is None
    return Path(room.run.dir / "hot_deploy.ipynb")


@pytest.mark.integration  # three minutes of samples are too dear for `make check`
def test_the_notebook_of_a_three_minute_deployment_holds_it_all_and_stays_small(room: Room) -> None:
    kept = run_it(room)
    assert room.engine.clock.events >= EVENTS
    assert len(room.frames) > PORTIONS
    assert [f for f in room.frames if f"role='img' aria-label='Latency over time: {SAMPLES} requests so far, 0 failed" in f]
    assert sum(map(len, room.frames)) > MOST_BYTES, "what was drawn meanwhile would swell it"
    assert kept.stat().st_size < MOST_BYTES

    assert "widget-view" not in kept.read_text()
    notebook = nbformat.read(kept, as_version=4)
    nbformat.validate(notebook)
    outputs = {cell["id"]: json.dumps(cell.get("outputs", []), ensure_ascii=False) for cell in notebook["cells"]}
    assert room.plan.digest in outputs["plan"]
    for step in room.plan.steps:
        assert step.title in outputs["plan"]
        assert step.title in outputs["apply"]
    assert "Applied: succeeded" in outputs["apply"]
    assert f"data-samples='{SAMPLES}' data-events='" in outputs["apply"]
    assert "image/png" in outputs["evidence"]
    picture = next(o for c in notebook["cells"] for o in c.get("outputs", []) if "image/png" in o.get("data", {}))
    assert f"{SAMPLES} requests, 0 failed" in picture["metadata"]["image/png"]["alt"]
    assert "✔ succeeded" in outputs["conclude"]
    assert read_record(room.run.dir).verdict == "succeeded"

    page, _ = HTMLExporter(template_name="lab").from_filename(str(kept))  # a viewer without widgets
    for shown in ("bb-form-twin", room.plan.digest, "Applied: succeeded", f"{SAMPLES} requests", "✔ succeeded", "data:image/png"):
        assert shown in page
