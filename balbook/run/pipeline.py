"""A pipeline: runbooks in order, each a notebook with a record of its own; the first that does not succeed ends the pipeline.

A pipeline is a small YAML file, one of ours beside the runbooks or one of the user's:

    version: 1
    name: centralized
    runbooks:
      - runbook: build
        parameters: {application: hotel}     # beside those that the caller gives to all that declare them

A parameter that the caller gives, or that the inventory has under `defaults` for the pipeline, reaches every runbook that declares
it. The release that `build` made, or found made from the same input, is the release of the later runbooks unless the caller names
one: after a return to earlier sources `latest` would be another.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balbook.engine import process
from balbook.errors import BadInput, BalbookError, ExitStatus, ParameterError, Refused, nearest
from balbook.inventory import Inventory
from balbook.inventory.document import read_document
from balbook.local.digests import sha256_of_file
from balbook.local.names import require_word
from balbook.local.resources import resource
from balbook.local.signals import answered
from balbook.notebook.parameters import Parameter
from balbook.notebook.runbook import find_runbooks, read_runbook, runbook_path
from balbook.plan.reading import read_plan
from balbook.record.events import Resumed, RunbookFinished, RunbookStarted
from balbook.record.history import History
from balbook.record.journal import Journal, history_of
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Stated, stated
from balbook.run.closing import close
from balbook.run.folder import make_run_dir, open_journal
from balbook.run.headless import Outcome, checked_parameters, ended, execute
from balbook.run.run import raised

VERSION = 1
FOLDER = "pipelines"
ANEW = "Run the pipeline anew (balbook apply): steps that were done are not repeated."
Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """One runbook of a pipeline, with parameters of its own."""

    runbook: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """Runbooks in order; `sha256` (hex) is of its file."""

    name: str
    path: Path
    entries: tuple[Entry, ...]
    sha256: str = ""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter that one of the runbooks declares, each once; the first declaration counts."""
        declared = [parameter for entry in self.entries for parameter in read_runbook(runbook_path(entry.runbook)).parameters]
        return tuple({parameter.name: parameter for parameter in reversed(declared)}.values())


def find_pipelines(cwd: Path) -> dict[str, Path]:
    """Pipelines by name: ours, replaced by those in `pipelines/` of the working directory."""
    folders = [resource("runbooks"), cwd / FOLDER]
    return {path.stem: path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))}


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in this file; BadInput names each fault of the file."""
    document = read_document(path, BadInput, advice="A pipeline is YAML: version, name, runbooks.")
    if document.problems:
        raise BadInput(document.report(document.problems), advice="Correct these lines and try again.")
    data = document.data
    if not isinstance(data, dict) or set(data) - {"version", "name", "runbooks"} or not isinstance(data.get("runbooks"), list):
        advice = "A pipeline has `version: 1`, `name` and a list `runbooks`, and nothing else."
        raise BadInput(f"{path} is not a valid pipeline", advice=advice)
    if data.get("version") != VERSION:
        raise BadInput(f"{path} has the unknown version {data.get('version')!r}", advice=f"This balbook knows version {VERSION}.")
    entries = tuple(_entry(f"{path}:{document.line_of(('runbooks', index))}", item) for index, item in enumerate(data["runbooks"]))
    return Pipeline(require_word(str(data.get("name")), f"{path}: name"), path.resolve(), entries, sha256_of_file(path))


def pipeline_of(run_dir: Path) -> Pipeline:
    """The pipeline of a run to resume, from its file. BadInput where the run has succeeded, still runs, or the file has changed."""
    history, run_id = history_of(run_dir), run_id_of(run_dir)
    if history.closed and history.closed.verdict in ("succeeded", "planned"):
        raise BadInput(f"run {run_id} has ended: {history.closed.verdict}", advice="An ended run cannot be resumed.")
    if process.is_alive(run_dir):
        raise BadInput(f"run {run_id} is running", advice=f"Watch the run: balbook records show {run_id}")
    about = (history.opened.pipeline if history.opened else None) or {}
    path = Path(str(about.get("path", "?")))
    if not path.is_file() or sha256_of_file(path) != about.get("sha256"):
        change = "has been changed since" if path.is_file() else "does not exist any more"
        raise Refused(f"{path}, the pipeline of run {run_id}, {change}", advice=f"Restore the file, then resume. Or: {ANEW}")
    return read_pipeline(path)


def run_pipeline(
    pipeline: Pipeline, inventory: Inventory, parameters: Mapping[str, Any], *, resumed: Path | None = None, say: Say = lambda line: None
) -> Outcome:
    """Runs the runbooks in order until one does not succeed; `resumed`: the record of an earlier run whose successes count."""
    defaults = inventory.defaults.get(pipeline.name, {})
    parameters = {**parameters, **{k: v for k, v in defaults.items() if parameters.get(k) in (None, "", [])}}
    known = {p.name for p in pipeline.parameters}
    if unknown := next((name for name in parameters if name not in known), None):
        raise ParameterError(f"no runbook of the pipeline {pipeline.name} has a parameter {unknown!r}", advice=nearest(unknown, known))
    started = time.monotonic()
    for entry in pipeline.entries:
        checked_parameters(read_runbook(runbook_path(entry.runbook)), inventory, _for(entry, parameters))
    record = make_run_dir(inventory, pipeline.name)
    about = {"path": str(pipeline.path), "sha256": pipeline.sha256}
    journal = open_journal(record, inventory, pipeline.name, parameters, pipeline=about)
    done = _standing(history_of(resumed)) if resumed else {}
    if resumed:
        journal.append(Resumed(run=run_id_of(resumed), succeeded=tuple(done.values())))
    going = _Going(pipeline, inventory, parameters, record, journal, frozenset(done), say)
    with answered((signal.SIGINT, signal.SIGTERM), lambda *_: going.ask_to_stop()):  # also between its runbooks
        going.to_its_end()
        stated = close(journal, going.stated())
        seal_run(inventory, record, say)
    outcome = ended(pipeline.name, record, journal.history(), stated, time.monotonic() - started)
    return replace(outcome, parts=tuple(going.outcomes), changes=sum(part.changes for part in going.outcomes))


@dataclass
class _Going:
    """A running pipeline. A request to stop goes to the current runbook, and no other runbook begins."""

    pipeline: Pipeline
    inventory: Inventory
    parameters: Mapping[str, Any]
    record: Path
    journal: Journal
    done: frozenset[int]
    say: Say
    outcomes: list[Outcome] = field(default_factory=list)
    error: BalbookError | None = None
    in_hand: Path | None = None
    is_stopped: bool = False

    def to_its_end(self) -> None:
        """Runs the runbooks; meanwhile this process is found by the pipeline's id, where it can hear signals: in the main thread."""
        can_hear = threading.current_thread() is threading.main_thread()
        with process.present(self.record) if can_hear else contextlib.nullcontext():
            for number, entry in enumerate(self.pipeline.entries, 1):
                if number in self.done:
                    self.say(f"{self._place(number)}: succeeded in an earlier run")
                elif self._is_over():
                    break
                else:
                    self._run(number, entry)

    def note_stop(self) -> None:
        """Notes that the current runbook was asked to stop."""
        self.is_stopped = True

    def ask_to_stop(self) -> None:
        """Stops the current runbook, and begins no other."""
        self.is_stopped = True
        if self.in_hand:
            with contextlib.suppress(BadInput):  # the runbook is over
                process.ask_to_stop(self.in_hand)

    def stated(self) -> Stated:
        """The verdict; exit status 2 means that nothing was touched, so it becomes 1 where a runbook has changed something."""
        mode = str(self.parameters.get("mode", "plan"))
        has_changed = mode == "apply" and any(o.changes for o in self.outcomes)
        if self.error:
            return Stated("failed", str(self.error), ExitStatus.FAILED if has_changed else self.error.exit_status)
        if bad := next((o for o in self.outcomes if o.exit_status), None):
            status = ExitStatus.FAILED if bad.exit_status == ExitStatus.BAD_INPUT and has_changed else bad.exit_status
            return Stated("inconclusive" if status == ExitStatus.INCONCLUSIVE else "failed", f"{bad.name}: {bad.why}", status)
        if len(self.outcomes) + len(self.done) < len(self.pipeline.entries):
            place = f"after {self.outcomes[-1].name}" if self.outcomes else "before the first runbook"
            return stated("failed", f"stopped on request {place}")
        return stated("succeeded" if mode == "apply" else "planned")

    def _is_over(self) -> bool:
        records = [self.record, *(outcome.record for outcome in self.outcomes[-1:])]
        has_failed = self.error is not None or any(outcome.exit_status for outcome in self.outcomes)
        return self.is_stopped or has_failed or any(process.is_stop_requested(record) for record in records)

    def _run(self, number: int, entry: Entry) -> None:
        self.say(self._place(number))
        self.journal.append(RunbookStarted(entry=number, runbook=entry.runbook))
        given = _for(entry, {**self.parameters, **_built(self.journal.history(), self.parameters)})
        try:
            outcome = execute(entry.runbook, self.inventory, given, on_begun=self._take_in_hand, on_stop=self.note_stop, say=self.say)
        except BalbookError as exc:  # the runbook could not even begin; the pipeline's own record ends all the same
            self.error = exc
            self.journal.append(raised(exc))
            return
        self.journal.append(RunbookFinished(entry=number, run_id=outcome.run_id, record=str(outcome.record), **outcome.data()))
        self.say(f"{self._place(number)}: {outcome.verdict} in {outcome.seconds:.1f} s, {outcome.changes} changes")
        self.outcomes.append(outcome)

    def _take_in_hand(self, run_dir: Path) -> None:
        self.in_hand = run_dir
        if self.is_stopped:
            self.ask_to_stop()

    def _place(self, number: int) -> str:
        return f"[{number}/{len(self.pipeline.entries)}] {self.pipeline.entries[number - 1].runbook}"


def is_latest_wanted(parameters: Mapping[str, Any]) -> bool:
    """True where the mode is apply and the caller names no release."""
    return parameters.get("mode") == "apply" and parameters.get("release", "latest") in ("", "latest")


def built_version(record: Path) -> str:
    """The version that this run of `build` made, or found made from the same input."""
    return str(read_plan(record).subject["version"])


def _entry(place: str, item: object) -> Entry:
    if not isinstance(item, dict) or "runbook" not in item or set(item) - {"runbook", "parameters"}:
        raise BadInput(f"{place}: {item!r} is not a valid entry", advice="An entry has `runbook` and perhaps `parameters`.")
    name, parameters, known = str(item["runbook"]), item.get("parameters") or {}, find_runbooks()
    if not isinstance(parameters, dict):
        raise BadInput(f"{place}: parameters {parameters!r} is not a mapping", advice="Write `parameters: {application: hotel}`.")
    if name not in known:
        raise BadInput(f"{place}: there is no runbook {item['runbook']!r}", advice=nearest(name, known))
    return Entry(name, parameters)


def _for(entry: Entry, parameters: Mapping[str, Any]) -> dict[str, Any]:
    declared = {p.name for p in read_runbook(runbook_path(entry.runbook)).parameters}
    return {**{k: v for k, v in parameters.items() if k in declared}, **entry.parameters}


def _built(history: History, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The release of this pipeline's `build`; empty where the caller names a release, or the mode is plan."""
    built = [about for _, about in sorted(_standing(history).items()) if about["runbook"] == "build"]
    return {"release": built_version(Path(built[-1]["record"]))} if built and is_latest_wanted(parameters) else {}


def _standing(history: History) -> dict[int, Mapping[str, Any]]:
    """`entry`, `runbook` and `record` of each success in that run, or in a run that it resumed itself, by the entry's number."""
    before = [about for resumed in history.resumes for about in resumed.succeeded or ()]
    done = [{"entry": r.entry, "runbook": r.runbook, "record": r.record} for r in history.runbooks if r.verdict == "succeeded"]
    return {about["entry"]: about for about in (*before, *done)}
