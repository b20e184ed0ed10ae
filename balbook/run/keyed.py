"""One run for one key, for callers that retry: Airflow, a script in a loop.

The same key, runbook and parameters again:

    succeeded, planned           the same outcome again; nothing is done
    still running                waits for the run, on any machine that shares the records; then as below
    cut off                      the run's process or its follower died: the same run continues, with the same plan
    stopped, or nothing begun    on request (SIGTERM), refused, unreachable: a new run, which does not repeat finished steps
    failed in deploying          the same outcome again: users do not get a withdrawn release a second time unasked

Other parameters with the same key are refused. The release of the key's `build` is the release of its later runbooks unless the
caller names one, as in a pipeline: after a return to earlier sources `latest` would be another.

The folder `.keys/` of the records has a file for each key and runbook.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from balbook.engine import process
from balbook.errors import BadInput, Failed, Refused
from balbook.inventory import Inventory
from balbook.local import locks
from balbook.local.atomic_files import write_text
from balbook.local.digests import sha256_of
from balbook.notebook.runbook import Runbook, read_runbook, runbook_path
from balbook.plan.reading import read_plan
from balbook.record.history import History
from balbook.record.journal import JOURNAL, Journal, history_of
from balbook.record.keeping import records_folder, seal_run
from balbook.record.statement import STATEMENT
from balbook.record.verdict import stated
from balbook.run import without_notebook as direct
from balbook.run.closing import close, close_left
from balbook.run.headless import Outcome, execute, keep_notebook, outcome_of
from balbook.run.pipeline import built_version, is_latest_wanted

Say = Callable[[str], None]
FOLDER = ".keys"
LONGEST = 500
POLL_S = 0.2


def execute_once(key: str, name: str, inventory: Inventory, parameters: Mapping[str, Any], *, say: Say = lambda line: None) -> Outcome:
    """The outcome of the runbook under this key, now or before; see the module. Waits for another call with the same key."""
    runbook = read_runbook(runbook_path(name))
    kept = _Kept(_place(inventory, key) / f"{runbook.name}.json", key)
    parameters = _with_built(kept, runbook, parameters)
    say = _undisturbed(say)
    with kept.alone(say):
        earlier = kept.run_of(parameters)
        if earlier is not None and earlier.is_dir():
            _wait_for(earlier, say)
            if outcome := _ended(runbook, inventory, earlier, say):
                return outcome
        return execute(name, inventory, parameters, key=key, on_begun=lambda run_dir: kept.note(run_dir, name, parameters), say=say)


def seal_rest(key: str, inventory: Inventory, say: Say) -> list[Outcome]:
    """The outcome of each runbook under this key; states and seals unsealed runs, once they have ended.

    A run that was cut off while it applied its plan is sealed as well: the caller has given that run up.
    """
    outcomes = []
    for path in sorted(_place(inventory, key).glob("*.json")):
        kept = _Kept(path, key)
        with kept.alone(say):
            run_dir = kept.run_of(None)
            if run_dir is None or not run_dir.is_dir():
                continue
            _wait_for(run_dir, say)
            runbook = read_runbook(runbook_path(kept.runbook))
            if not (run_dir / STATEMENT).exists():
                keep_notebook(runbook, run_dir)
                close_left(run_dir)
                seal_run(inventory, run_dir, say, is_given_up=True)
            outcomes.append(outcome_of(runbook, run_dir))
    return outcomes


@dataclass(frozen=True)
class _Kept:
    """The file of one key and runbook: the last run, and the parameters that the key stands for."""

    path: Path
    key: str

    @contextlib.contextmanager
    def alone(self, say: Say) -> Iterator[None]:
        """Excludes other calls with this key; the lock ends with this process, however the process ends."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            waiting = f"key {self.key}: another call is running; waiting for its end"
            held = locks.take(self.path.with_suffix(".lock"), on_wait=lambda: say(waiting))
        except OSError as exc:
            advice = "Check that you can write to this folder and that the disk has space."
            raise Failed(f"{self.path.parent} cannot be written: {exc.strerror}", advice=advice) from exc
        try:
            yield
        finally:
            os.close(held)

    @property
    def runbook(self) -> str:
        """The runbook, as the first caller named it."""
        return str(self._data().get("runbook", self.path.stem))

    def run_of(self, parameters: Mapping[str, Any] | None) -> Path | None:
        """The folder of the last run, None without a run; Refused where that run had other parameters."""
        data = self._data()
        if not data:
            return None
        if parameters is not None and data["parameters"] != dict(parameters):
            raise Refused(
                f"the key {self.key!r} belongs to the parameters {data['parameters']}", advice="Use another key for other parameters."
            )
        return self.path.parent.parent.parent / str(data["run"])

    def note(self, run_dir: Path, name: str, parameters: Mapping[str, Any]) -> None:
        """Makes this the key's run."""
        data = {"key": self.key, "runbook": name, "run": run_dir.name, "parameters": dict(parameters), "pid": os.getpid()}
        write_text(self.path, json.dumps(data, indent=1, sort_keys=True) + "\n", mode=0o600)

    def _data(self) -> dict[str, Any]:
        try:
            return cast(dict[str, Any], json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise Failed(
                f"{self.path} cannot be read: {exc}", advice="Look at the runs (balbook records list), and use a new key."
            ) from exc


def _place(inventory: Inventory, key: str) -> Path:
    if not key or len(key) > LONGEST or not key.isprintable():
        raise BadInput(f"{key!r} is not a valid key", advice=f"A key is one line of 1 to {LONGEST} characters, such as a job's run id.")
    return records_folder(inventory) / FOLDER / sha256_of(key)[:32]


def _with_built(kept: _Kept, runbook: Runbook, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with the release of the key's `build` in place of `latest`."""
    is_about_latest = any(parameter.name == "release" and parameter.default == "latest" for parameter in runbook.parameters)
    if not is_about_latest or not is_latest_wanted(parameters):
        return parameters
    build = _Kept(kept.path.with_name("build.json"), kept.key).run_of(None)
    closed = history_of(build).closed if build else None
    if build is None or closed is None or closed.verdict != "succeeded":
        return parameters
    return {**parameters, "release": built_version(build)}


def _undisturbed(say: Say) -> Say:
    """Says lines, and goes on without a reader: a task's killed supervisor does not end the run."""

    def speak(line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            say(line)

    return speak


def _wait_for(run_dir: Path, say: Say) -> None:
    if process.is_alive(run_dir):
        say(f"{run_dir.name}: its process is running; waiting for its end")
    while process.is_alive(run_dir):
        time.sleep(POLL_S)


def _ended(runbook: Runbook, inventory: Inventory, run_dir: Path, say: Say) -> Outcome | None:
    """The outcome of the earlier run, after a cut-off run was resumed; None where a new run is needed."""
    keep_notebook(runbook, run_dir)
    history = history_of(run_dir)
    if history.opened is None:
        return None
    if not (run_dir / STATEMENT).exists():
        if history.is_cut_off:
            say(f"{run_dir.name} was cut off; resuming the run")
            direct.resume(run_dir, say, inventory)
        else:
            _give_up(history, run_dir)
            seal_run(inventory, run_dir, say)
    outcome = outcome_of(runbook, run_dir)
    if outcome.exit_status and not _is_final(run_dir):
        return None
    say(f"{runbook.name}: {outcome.verdict} earlier, in run {outcome.run_id} with this key")
    return outcome


def _give_up(history: History, run_dir: Path) -> None:
    """States the verdict of a run whose runner died before the apply, or after the conclusion."""
    if not history.concluded and not history.closed:
        with contextlib.suppress(BadInput):
            process.ask_to_stop(run_dir)  # should its kernel live on for a moment
        close(Journal(run_dir / JOURNAL), stated("failed", "cut off before anything was applied"))
    close_left(run_dir)


def _is_final(run_dir: Path) -> bool:
    """True where a deployment was tried and failed by itself: its plan is one that holds an application's lease."""
    history = history_of(run_dir)
    return history.has_changed_hosts and not history.stopping and read_plan(run_dir).settings.lease is not None
