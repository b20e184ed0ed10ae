"""A pipeline: runbooks in order, each a notebook with a record of its own. It stops at the first that does not succeed.

It is a small YAML file, one of ours beside the runbooks or one of the user's:

    version: 1
    name: centralized
    runbooks:
      - runbook: build
        parameters: {application: hotel}     # beside those that the caller gives to all that declare them

What the runbooks are about goes to all of them: a parameter that the caller gives, or that the inventory has under `defaults` for the
pipeline, reaches every runbook that declares it. What `build` made, or found made from the same input, is the release of the runbooks
after it unless the caller names one: after a return to earlier sources `latest` would be another.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
from balbook.record.journal import Journal, history_of, utc_now
from balbook.record.keeping import seal_run
from balbook.record.statement import run_id_of
from balbook.record.verdict import Stated, stated
from balbook.run.closing import close
from balbook.run.folder import make_run_dir, new_run_id, open_journal
from balbook.run.headless import Outcome, checked_parameters, execute
from balbook.run.run import raised

VERSION = 1
FOLDER = "pipelines"
ANEW = "Run the pipeline anew (balbook apply): what was done is found done."
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
        """Every parameter that a runbook of it declares, each once."""
        declared: dict[str, Parameter] = {}
        for entry in self.entries:
            for parameter in read_runbook(runbook_path(entry.runbook)).parameters:
                declared.setdefault(parameter.name, parameter)
        return tuple(declared.values())


@dataclass(frozen=True)
class PipelineOutcome:
    """What a pipeline came to, with its runbooks' outcomes in order."""

    name: str
    run_id: str
    verdict: str
    why: str
    exit_status: int
    seconds: float
    record: Path
    outcomes: tuple[Outcome, ...]

    @property
    def changes(self) -> int:
        return sum(outcome.changes for outcome in self.outcomes)


def find_pipelines(cwd: Path) -> dict[str, Path]:
    """Pipelines by name: ours, and over them those in `pipelines/` of the working directory."""
    folders = [resource("runbooks"), cwd / FOLDER]
    return {path.stem: path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))}


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in this file; BadInput naming what is wrong with it."""
    document = read_document(path, BadInput, advice="A pipeline is YAML: version, name, runbooks.")
    if document.problems:
        raise BadInput(document.report(document.problems), advice="Mend these lines and try again.")
    data = document.data
    if not isinstance(data, dict) or set(data) - {"version", "name", "runbooks"} or not isinstance(data.get("runbooks"), list):
        raise BadInput(f"{path}: is no pipeline", advice="It has `version: 1`, `name` and a list `runbooks`, and nothing else.")
    if data.get("version") != VERSION:
        raise BadInput(f"{path}: version {data.get('version')!r} is not known", advice=f"This balbook knows version {VERSION}.")
    entries = tuple(_entry(f"{path}:{document.line_of(('runbooks', index))}", item) for index, item in enumerate(data["runbooks"]))
    return Pipeline(require_word(str(data.get("name")), f"{path}: name"), path.resolve(), entries, sha256_of_file(path))


def pipeline_of(run_dir: Path) -> Pipeline:
    """The pipeline of a run that is to be resumed, from the file that it was read from. BadInput where there is nothing to go on with."""
    history = history_of(run_dir)
    if history.closed and history.closed.verdict in ("succeeded", "planned"):
        raise BadInput(f"run {run_id_of(run_dir)} has ended: {history.closed.verdict}", advice="There is nothing to go on with.")
    if process.is_alive(run_dir):
        raise BadInput(f"run {run_id_of(run_dir)} is running", advice=f"Watch it: balbook records show {run_id_of(run_dir)}")
    about = (history.opened.pipeline if history.opened else None) or {}
    path = Path(str(about.get("path", "?")))
    if not path.is_file() or sha256_of_file(path) != about.get("sha256"):
        what = "has been changed since" if path.is_file() else "is not there any more"
        raise Refused(f"{path}, the pipeline of run {run_id_of(run_dir)}, {what}", advice=f"Restore it, then resume. Or: {ANEW}")
    return read_pipeline(path)


def run_pipeline(
    pipeline: Pipeline, inventory: Inventory, parameters: Mapping[str, Any], *, resumed: Path | None = None, say: Say = lambda line: None
) -> PipelineOutcome:
    """Runs the runbooks in order until one does not succeed; `resumed`: the record of an earlier run whose successes stand."""
    defaults = inventory.defaults.get(pipeline.name, {})
    parameters = {**parameters, **{k: v for k, v in defaults.items() if parameters.get(k) in (None, "", [])}}
    _require_declared(pipeline, parameters)
    started = time.monotonic()
    for entry in pipeline.entries:
        checked_parameters(read_runbook(runbook_path(entry.runbook)), inventory, _for(entry, parameters))
    record = make_run_dir(inventory, pipeline.name, new_run_id(), utc_now())
    about = {"path": str(pipeline.path), "sha256": pipeline.sha256}
    journal = open_journal(record, inventory, pipeline.name, parameters, pipeline=about)
    done = _standing(history_of(resumed)) if resumed else {}
    if resumed:
        journal.append(Resumed(run=run_id_of(resumed), succeeded=tuple(done.values())))
    going = _Going(pipeline, inventory, parameters, record, journal, frozenset(done), say)
    with _heard(going):
        going.to_its_end()
        stated = close(journal, going.stated())
        seal_run(inventory, record, say)
    seconds, told = time.monotonic() - started, (stated.verdict, stated.why, stated.exit_status)
    return PipelineOutcome(pipeline.name, run_id_of(record), *told, seconds, record, tuple(going.outcomes))


@dataclass
class _Going:
    """A pipeline that goes on. A request to stop is passed on to the runbook in hand, and no other is begun."""

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
        """Meanwhile this process is found by the pipeline's id."""
        with process.present(self.record) if _is_main_thread() else contextlib.nullcontext():
            for number, entry in enumerate(self.pipeline.entries, 1):
                if number in self.done:
                    self.say(f"{self._place(number)}: succeeded before")
                elif self._is_over():
                    break
                else:
                    self._run(number, entry)

    def note_stop(self) -> None:
        """Somebody asked the runbook in hand to stop."""
        self.is_stopped = True

    def ask_to_stop(self) -> None:
        """No runbook is begun any more; one that is about to begin ends there."""
        self.is_stopped = True
        if self.in_hand:
            with contextlib.suppress(BadInput):  # it is over
                process.ask_to_stop(self.in_hand)

    def stated(self) -> Stated:
        """The verdict; an exit status of 2 says that nothing was touched, so it becomes 1 where a runbook has changed something."""
        mode = str(self.parameters.get("mode", "plan"))
        has_changed = mode == "apply" and any(o.changes for o in self.outcomes)
        if self.error:
            return Stated("failed", str(self.error), ExitStatus.FAILED if has_changed else self.error.exit_status)
        bad = next((o for o in self.outcomes if o.exit_status), None)
        if bad:
            status = ExitStatus.FAILED if bad.exit_status == ExitStatus.BAD_INPUT and has_changed else bad.exit_status
            return Stated("inconclusive" if status == ExitStatus.INCONCLUSIVE else "failed", f"{bad.runbook}: {bad.why}", status)
        if len(self.outcomes) + len(self.done) < len(self.pipeline.entries):
            after = f"after {self.outcomes[-1].runbook}" if self.outcomes else "before anything was run"
            return stated("failed", f"stopped on request {after}")
        return stated("succeeded" if mode == "apply" else "planned")

    def _is_over(self) -> bool:
        last = self.outcomes[-1] if self.outcomes else None
        is_asked = self.is_stopped or process.is_stop_requested(self.record) or bool(last and process.is_stop_requested(last.record))
        return is_asked or self.error is not None or bool(last and last.exit_status)

    def _run(self, number: int, entry: Entry) -> None:
        self.say(self._place(number))
        self.journal.append(RunbookStarted(entry=number, runbook=entry.runbook))
        given = _for(entry, {**self.parameters, **_built(self.journal.history(), self.parameters)})
        try:
            outcome = execute(entry.runbook, self.inventory, given, on_begun=self._take_in_hand, on_stop=self.note_stop, say=self.say)
        except BalbookError as exc:  # it could not even begin; the pipeline's own record ends all the same
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


@contextlib.contextmanager
def _heard(going: _Going) -> Iterator[None]:
    """SIGINT and SIGTERM end the pipeline in a safe state, also between its runbooks."""
    with answered((signal.SIGINT, signal.SIGTERM), lambda *_: going.ask_to_stop()):
        yield


def _is_main_thread() -> bool:
    """Only there signals can be listened to; elsewhere nobody must send one."""
    return threading.current_thread() is threading.main_thread()


def is_latest_wanted(parameters: Mapping[str, Any]) -> bool:
    """Whether something is to be applied and the caller names no release."""
    return parameters.get("mode") == "apply" and parameters.get("release", "latest") in ("", "latest")


def built_version(record: Path) -> str:
    """The version that this run of `build` made, or found made from the same input."""
    return str(read_plan(record).subject["version"])


def _entry(place: str, item: object) -> Entry:
    if not isinstance(item, dict) or "runbook" not in item or set(item) - {"runbook", "parameters"}:
        raise BadInput(f"{place}: {item!r} is no entry", advice="An entry has `runbook` and perhaps `parameters`.")
    if not isinstance(item.get("parameters") or {}, dict):
        raise BadInput(f"{place}: parameters {item['parameters']!r} are no mapping", advice="Write `parameters: {application: hotel}`.")
    known = find_runbooks()
    if str(item["runbook"]) not in known:
        raise BadInput(f"{place}: there is no runbook {item['runbook']!r}", advice=nearest(str(item["runbook"]), known))
    return Entry(str(item["runbook"]), dict(item.get("parameters") or {}))


def _require_declared(pipeline: Pipeline, parameters: Mapping[str, Any]) -> None:
    known = {p.name for p in pipeline.parameters}
    for name in parameters:
        if name not in known:
            raise ParameterError(f"pipeline {pipeline.name}: no runbook has a parameter {name!r}", advice=nearest(name, known))


def _for(entry: Entry, parameters: Mapping[str, Any]) -> dict[str, Any]:
    declared = {p.name for p in read_runbook(runbook_path(entry.runbook)).parameters}
    return {**{k: v for k, v in parameters.items() if k in declared}, **entry.parameters}


def _built(history: History, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The release that this pipeline's `build` came to; nothing where the caller names one, or nothing was to be applied."""
    if not is_latest_wanted(parameters):
        return {}
    built = [about for _, about in sorted(_standing(history).items()) if about["runbook"] == "build"]
    if not built:
        return {}
    return {"release": built_version(Path(built[-1]["record"]))}


def _standing(history: History) -> dict[int, Mapping[str, Any]]:
    """`entry`, `runbook` and `record` of what succeeded in that run, or in one that it resumed itself, by the entry's number."""
    before = [about for resumed in history.resumes for about in resumed.succeeded or ()]
    done = [{"entry": r.entry, "runbook": r.runbook, "record": r.record} for r in history.runbooks if r.verdict == "succeeded"]
    return {about["entry"]: about for about in (*before, *done)}
