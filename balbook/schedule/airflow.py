"""A DAG file for Apache Airflow 3 from a pipeline or a runbook; `templates/airflow/dag.py.j2` says how it works and why.

The file imports nothing of balbook: Airflow pins hundreds of packages for itself, so balbook stays in a virtual environment of its
own and is called by its path. A task is `balbook apply RUNBOOK --key …`: the key is the DAG run's id, by which a retry resumes
(`balbook.run.keyed`). `PapermillOperator` takes no key, does not pass on a request to stop, knows no time limit and hides the code in the
notebook that it leaves; it is used where that does no harm: for runbooks that change nothing on any host.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, Failed, Refused
from balbook.inventory import Inventory
from balbook.local.atomic_files import write_bytes
from balbook.local.names import require_word
from balbook.local.own_file import marked, write_own
from balbook.local.rendering import render
from balbook.notebook.parameters import Parameter, check_parameters
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.record.keeping import records_folder
from balbook.run.pipeline import Entry
from balbook.schedule import calendar
from balbook.schedule.definition import named

READ_ONLY = ("report", "verify")
"""Runbooks that change nothing on any host, whatever their mode."""
FIXED = ("inventory",)
"""Parameters that a DAG run cannot choose."""
SCHEMAS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list[str]": {"type": "array", "items": {"type": "string"}},
}
OWN = Path(sys.executable).with_name("balbook")
"""The program of this installation."""
MADE_BY = "balbook schedule airflow"


@dataclass(frozen=True)
class Wanted:
    """The settings of a DAG. `when`: a calendar expression that cron can keep, UTC; empty: only when the DAG is triggered.

    `balbook`: the program in its own virtual environment, as the workers see it.
    """

    runs: str
    inventory: Inventory
    balbook: Path
    dag_id: str = ""
    when: str = ""
    mode: str = "apply"
    retries: int = 2
    retry_delay_s: int = 60

    @property
    def name(self) -> str:
        """The DAG's id."""
        return self.dag_id or f"balbook_{self.runs}_{self.inventory.environment}"

    @property
    def notebooks(self) -> Path:
        """The folder of the notebooks that `PapermillOperator` leaves, beside the records."""
        return records_folder(self.inventory) / ".airflow"

    @property
    def runbooks(self) -> Path | None:
        """The folder of copies of balbook's runbooks, where the workers have another installation; else None."""
        return None if self.balbook == OWN else self.notebooks / "runbooks"

    @property
    def pool(self) -> str:
        """The pool with one slot that all DAGs of an environment share."""
        return f"balbook-{self.inventory.environment}"


def dag_text(wanted: Wanted, cwd: Path) -> str:
    """The text of the whole file, its first line included. BadInput where a setting cannot stand in a DAG."""
    return marked(render("airflow/dag.py.j2", **_values(wanted, cwd)), MADE_BY)


def write_dag(wanted: Wanted, folder: Path, cwd: Path) -> tuple[Path, bool]:
    """Writes the file; (its path, False) where it exists already.

    Refused where the file is foreign, or another file in the folder has a DAG of this id. Beside it the folder for the
    notebooks of `PapermillOperator` is made; where the workers have another installation, it gets copies of the runbooks too.
    """
    text = dag_text(wanted, cwd)
    path = folder / f"{wanted.name}.py"
    if taken := next((other for other in sorted(folder.rglob("*.py")) if other != path and wanted.name in _dag_ids(other)), None):
        raise Refused(f"the DAG id {wanted.name!r} is taken by {taken}; nothing was written", advice="Give another id with --dag-id.")
    _make_folder(wanted)
    return path, write_own(path, text)


def pools_command(wanted: Wanted) -> list[str]:
    """The argv that makes the environment's pool, needed once for each Airflow."""
    return ["airflow", "pools", "set", wanted.pool, "1", f"one deployment at a time in {wanted.inventory.environment}"]


def _values(wanted: Wanted, cwd: Path) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", wanted.name):
        raise BadInput(f"the DAG id {wanted.name!r} is not allowed", advice="Use letters, digits, _, - and .; give the id with --dag-id.")
    if wanted.mode not in ("plan", "apply"):
        raise BadInput(f"the mode {wanted.mode!r} is neither plan nor apply", advice="The mode plan changes nothing.")
    if not (0 <= wanted.retries <= 100 and 0 <= wanted.retry_delay_s <= 86_400):
        raise BadInput(
            f"{wanted.retries} retries after {wanted.retry_delay_s} s are not allowed",
            advice="Give 0 to 100 retries, after 0 to 86400 s.",
        )
    if wanted.runs.endswith(".ipynb"):
        raise BadInput(f"{wanted.runs} cannot be a DAG: the workers know runbooks by name only", advice="Name a runbook or a pipeline.")
    pipeline = named(wanted.runs, cwd)
    tasks = [_task(entry, pipeline.entries[:number], wanted.runbooks) for number, entry in enumerate(pipeline.entries)]
    is_pipeline = pipeline.path.suffix != ".ipynb"  # a runbook's own are read by its run
    defaults = wanted.inventory.defaults.get(pipeline.name, {}) if is_pipeline else {}
    check_parameters(pipeline.parameters, defaults)
    names = [task["name"] for task in tasks]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"the pipeline has the runbook {twice[0]} twice", advice="In a DAG each runbook is one task: make two pipelines.")
    paths = {"balbook": wanted.balbook, "inventory": wanted.inventory.path, "records": records_folder(wanted.inventory)}
    return {
        **{name: getattr(wanted, name) for name in ("runs", "pool", "retries", "retry_delay_s")},
        **{name: _require_plain(name, path) for name, path in paths.items()},
        "dag_id": wanted.name,
        "environment": require_word(wanted.inventory.environment, "environment"),
        "cron": calendar.parse(wanted.when).cron_fields() if wanted.when else None,
        "params": [_param(parameter, wanted, defaults) for parameter in pipeline.parameters if parameter.name not in FIXED],
        "cleared": {parameter.name: parameter.default for parameter in pipeline.parameters if _is_empty(parameter)},
        "tasks": tasks,
        "has_papermill": any(task["is_papermill"] for task in tasks),
        "copies": wanted.runbooks,
        "python": wanted.balbook.with_name("python"),
        "repr": repr,
    }


def _make_folder(wanted: Wanted) -> None:
    try:
        wanted.notebooks.mkdir(parents=True, exist_ok=True, mode=0o700)
        if wanted.runbooks:
            wanted.runbooks.mkdir(exist_ok=True, mode=0o700)
            for name in READ_ONLY:
                write_bytes(wanted.runbooks / f"{name}.ipynb", runbook_path(name).read_bytes())
    except OSError as exc:
        raise Failed(
            f"{wanted.notebooks} cannot be written: {exc.strerror}", advice="Check that you are allowed to write to the folder of records."
        ) from exc


def _task(entry: Entry, before: Sequence[Entry], copies: Path | None) -> dict[str, Any]:
    """A task. The artifact of an earlier `build` is known by the key, which only the command takes."""
    runbook = read_runbook(runbook_path(entry.runbook))
    names = [p.name for p in runbook.parameters if p.name not in (*FIXED, *entry.parameters)]
    has_built = "release" in names and any(earlier.runbook == "build" for earlier in before)
    is_papermill = runbook.name in READ_ONLY and not has_built
    if "{" in repr(list(entry.parameters.values())):
        why = f"{runbook.name}: its parameters {dict(entry.parameters)} have braces, which Airflow would fill in"
        raise BadInput(why, advice="Write the parameters without braces.")
    return {
        "name": runbook.name,
        "title": runbook.title,
        "given": [name for name in names if is_papermill or name != "mode"],  # apart from that the mode is the command
        "fixed": dict(entry.parameters),
        "is_papermill": is_papermill,
        "notebook": _require_plain("notebook", copies / runbook.path.name if copies else runbook.path.resolve()),
    }


def _param(parameter: Parameter, wanted: Wanted, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter as the arguments of Airflow's Param. `defaults`: the inventory's values for the pipeline, which the form shows."""
    default, schema = defaults.get(parameter.name, parameter.default), SCHEMAS[parameter.type]
    # Airflow's form insists on a value where null is not allowed; the DAG makes the parameter's default of it again.
    if parameter.name == "mode":
        default, schema = wanted.mode, {"type": "string", "enum": ["plan", "apply"]}
    elif _is_empty(parameter):
        schema = {**schema, "type": [schema["type"], "null"]}
    return {"name": parameter.name, "default": default, "schema": schema, "help": parameter.help}


def _is_empty(parameter: Parameter) -> bool:
    """True where the default is empty: the parameter's field in the form can be cleared."""
    return parameter.default in ("", [])


def _require_plain(name: str, path: Path) -> str:
    """A path that Airflow leaves alone: it fills in braces, and reads a file where a word ends in .sh."""
    text = str(path)
    if not path.is_absolute() or not text.isprintable() or re.search(r"[{}]|\.(sh|bash)$", text):
        raise BadInput(f"{name}: {text!r} cannot stand in a DAG", advice="Give an absolute path without braces that does not end in .sh.")
    return text


def _dag_ids(path: Path) -> set[str]:
    """The ids of DAGs in a file, as far as the text has them: `DAG("id")`, `DAG(dag_id="id")`, `@dag`."""
    found: set[str] = set()
    with suppress(OSError, SyntaxError, ValueError):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and _called(node.func) in ("DAG", "dag"):
                words = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "dag_id")]
                found |= {word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)}
            elif isinstance(node, ast.FunctionDef) and any(_called(getattr(d, "func", d)) == "dag" for d in node.decorator_list):
                found.add(node.name)
    return found


def _called(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
