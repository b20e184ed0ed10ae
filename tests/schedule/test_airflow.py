"""The DAG file: what stands in it, and when it is not written. A real Airflow reads it in `tests/airflow/`."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import jinja2
import pytest

import balbook
from balbook.cli import main
from balbook.errors import BadInput, Refused
from balbook.inventory import read_inventory
from balbook.notebook.parameters import read_parameters_file
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.run.pipeline import find_pipelines
from balbook.schedule.airflow import OWN, READ_ONLY, Wanted, dag_text, pools_command, write_dag

INVENTORY = "version: 1\nenvironment: staging\nhosts: {app1: {address: 127.0.0.1, roles: [app]}}\n"
PIPELINE = "version: 1\nname: mine\nrunbooks: [{runbook: hot_deploy, parameters: {serial: 2}}, {runbook: report}]\n"


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    path = tmp_path / "inventory.yaml"
    path.write_text(INVENTORY)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").write_text(PIPELINE)
    return Wanted("mine", read_inventory(path), Path("/opt/balbook/bin/balbook"))


@pytest.fixture
def dag(wanted: Wanted, tmp_path: Path) -> Callable[..., str]:
    return lambda **changed: dag_text(replace(wanted, **changed), tmp_path)


def constant(text: str, name: str) -> Any:
    """The value of a constant of the DAG, without Airflow."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def calls(text: str, function: str) -> list[list[Any]]:
    """The arguments of each call: constants, and names with their values."""
    found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == function]
    return [
        [*(ast.literal_eval(a) for a in n.args if isinstance(a, ast.Constant)), *((k.arg, ast.unparse(k.value)) for k in n.keywords)]
        for n in found
    ]


def test_each_runbook_is_a_task_and_only_those_that_change_nothing_go_by_the_notebook(dag: Callable[..., str]) -> None:
    text = dag()
    assert calls(text, "runbook") == [["hot_deploy", "reason", "ticket", "application", "release", "strategy", ("serial", "2")]]
    ((name, notebook, *parameters),) = calls(text, "notebook")
    assert (name, Path(notebook).name, parameters) == ("report", "report.ipynb", ["mode", "reason", "ticket", "since", "include_lab"])


def test_runbooks_that_go_by_the_notebook_have_procedures_that_plan_nothing() -> None:
    from balbook.procedures import NAMES

    assert set(READ_ONLY) & set(NAMES) >= {"report"}
    assert "hot_deploy" not in READ_ONLY


def test_the_pipeline_of_the_guide_needs_no_papermill(dag: Callable[..., str]) -> None:
    text = dag(runs="centralized")
    assert [call[0] for call in calls(text, "runbook")] == ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]
    assert "import PapermillOperator" not in text
    assert "ipykernel" not in text


def test_a_dag_for_another_installation_names_no_path_of_this_one_and_its_notebooks_are_beside_the_records(
    dag: Callable[..., str], wanted: Wanted, tmp_path: Path
) -> None:
    text = dag()
    ours = [Path(sys.prefix), Path(balbook.__file__).parents[1], runbook_path("report").resolve().parent]
    assert [str(path) for path in ours if str(path) in text] == []
    copy = tmp_path / "records" / ".airflow" / "runbooks" / "report.ipynb"
    assert calls(text, "notebook")[0][1] == str(copy)
    write_dag(wanted, tmp_path / "dags", tmp_path)
    assert copy.read_bytes() == runbook_path("report").read_bytes()
    assert calls(dag(balbook=OWN), "notebook")[0][1] == str(runbook_path("report").resolve())  # it goes with its upgrades


def test_a_dag_with_papermill_says_which_provider_it_needs(dag: Callable[..., str]) -> None:
    assert "apache-airflow-providers-papermill" in str(ast.get_docstring(ast.parse(dag())))
    assert "providers-papermill" not in dag(runs="centralized")


def test_a_runbook_that_wants_what_the_pipelines_build_made_goes_by_the_command_which_knows_it(dag: Callable[..., str]) -> None:
    text = dag(runs="decentralized")
    assert [call[0] for call in calls(text, "runbook")][-2:] == ["deploy", "verify"]
    assert not calls(text, "notebook")
    assert [call[0] for call in calls(dag(runs="verify"), "notebook")] == ["verify"]


def test_the_inventorys_defaults_of_the_pipeline_are_the_dags(wanted: Wanted, tmp_path: Path) -> None:
    def params(defaults: dict[str, Any], runs: str = "mine") -> dict[str, tuple[Any, dict[str, Any]]]:
        inventory = wanted.inventory.model_copy(update={"defaults": defaults})
        return _params(dag_text(replace(wanted, inventory=inventory, runs=runs), tmp_path))

    found = params({"mine": {"application": "rooms", "include_lab": True}, "hot_deploy": {"application": "hotel"}})
    assert found["application"] == ("rooms", {"type": ["string", "null"]})
    assert found["include_lab"][0] is True
    assert params({"hot_deploy": {"application": "hotel"}}, "hot_deploy")["application"][0] == ""  # read by each run
    with pytest.raises(BadInput, match="aplication"):
        params({"mine": {"aplication": "rooms"}})


@pytest.mark.parametrize("name", [*find_pipelines(Path("/nonexistent")), "provision"])
def test_a_dag_of_every_pipeline_and_of_a_runbook_is_python(dag: Callable[..., str], name: str) -> None:
    compile(dag(runs=name), f"{name}.py", "exec")


def test_parameters_have_the_types_of_the_runbooks(dag: Callable[..., str]) -> None:
    found = _params(dag(runs="hot_deploy"))
    assert found["serial"] == (1, {"type": "integer"})
    assert found["release"] == ("latest", {"type": "string"})
    assert found["application"] == ("", {"type": ["string", "null"]})
    assert found["mode"] == ("apply", {"type": "string", "enum": ["plan", "apply"]})
    assert _params(dag(runs="provision"))["hosts"] == ([], {"type": ["array", "null"], "items": {"type": "string"}})
    assert "inventory" not in found


def _params(text: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Default and schema by name."""
    (call,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DAG"]
    (params,) = [keyword.value for keyword in call.keywords if keyword.arg == "params"]
    assert isinstance(params, ast.Dict)
    found = {}
    for name, param in zip(params.keys, params.values, strict=True):
        assert isinstance(param, ast.Call)
        assert name is not None
        schema = {str(k.arg): ast.literal_eval(k.value) for k in param.keywords if k.arg != "description"}
        found[ast.literal_eval(name)] = (ast.literal_eval(param.args[0]), schema)
    return found


def test_the_shells_lines_are_constants_that_quote_every_value(dag: Callable[..., str], tmp_path: Path) -> None:
    recorder = tmp_path / "recorder"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\ncat\n')
    recorder.chmod(0o755)
    evil = "$(touch evil); `touch evil` 'x' \"y\" <<< z"
    environ = {
        "PROGRAM": str(recorder),
        "MODE": evil,
        "RUNBOOK": evil,
        "INVENTORY": evil,
        "KEY": evil,
        "PARAMETERS": json.dumps({"a": evil}),
    }
    done = subprocess.run(
        ["bash", "-c", constant(dag(), "RUN")], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True
    )
    words = [evil, evil, "--inventory", evil, "--key", evil, "--parameters-file", "/dev/stdin", json.dumps({"a": evil})]
    assert done.stdout.splitlines() == words
    assert not (tmp_path / "evil").exists()


class StandIn:
    """Takes the place of whatever a DAG takes from Airflow: keeps what it was given; its tasks follow each other."""

    def __init__(self, *words: Any, **given: Any) -> None:
        self.words, self.given, self.task_id = words, given, given.get("task_id", "")
        self.parameters = given.get("parameters", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def __rshift__(self, other: object) -> object:
        return other

    def __rrshift__(self, other: object) -> object:
        return self

    def param(self, name: str) -> Any:
        return None  # a field that was emptied

    def execute(self, context: object) -> Any:
        return self.parameters


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Runs a DAG file beside stand-ins of Airflow's modules; its names."""
    names = {
        "airflow.sdk": ("DAG", "Param"),
        "airflow.providers.papermill.operators.papermill": ("PapermillOperator",),
        "airflow.providers.standard.operators.bash": ("BashOperator",),
    }
    for module, classes in names.items():
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**dict.fromkeys(classes, StandIn)))

    def load(text: str) -> dict[str, Any]:
        found: dict[str, Any] = {"__name__": "dag"}
        exec(compile(text, "dag.py", "exec"), found)
        return found

    return load


def test_a_field_that_was_emptied_is_the_parameters_default(
    dag: Callable[..., str], loaded: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    names = loaded(dag(runs="provision"))
    template = names["runbooks"][0].given["env"]["PARAMETERS"]
    cleared = dict.fromkeys(("hosts", "reason", "ticket"))
    filled_in = jinja2.Template(template).render(params=cleared)
    assert json.loads(filled_in) == {"hosts": [], "reason": "", "ticket": ""}
    task = loaded(dag())["runbooks"][1]
    assert {name: task.execute({})[name] for name in ("since", "reason")} == {"since": "", "reason": ""}


def test_a_reason_reaches_the_runbook_as_it_was_written(
    dag: Callable[..., str], loaded: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    reason = "new prices 🎉 <b>'$(x)' \\"
    template = loaded(dag(runs="provision"))["runbooks"][0].given["env"]["PARAMETERS"]
    (tmp_path / "given").write_text(jinja2.Template(template).render(params={"hosts": ["a"], "reason": reason, "ticket": ""}))
    found = read_parameters_file(tmp_path / "given", read_runbook(runbook_path("provision")).parameters)
    assert found == {"hosts": ["a"], "reason": reason, "ticket": ""}


def test_a_schedule_is_a_cron_line_and_the_pool_is_the_environments(dag: Callable[..., str], wanted: Wanted) -> None:
    assert "schedule='30 6 * * 1,2,3,4,5'" in dag(when="Mon..Fri 06:30")
    assert "schedule=None" in dag()
    assert constant(dag(), "POOL") == "balbook-staging"
    assert shlex.join(pools_command(wanted)).startswith("airflow pools set balbook-staging 1 ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": "centralised"},
        {"dag_id": "a b"},
        {"dag_id": "../evil"},
        {"when": "sometimes"},
        {"when": "*-02-31 00:00"},
        {"mode": "destroy"},
        {"retries": -1},
        {"retry_delay_s": -1},
        {"balbook": Path("/opt/{{ evil }}/balbook")},
        {"balbook": Path("/opt/balbook.sh")},
        {"balbook": Path("relative/balbook")},
    ],
)
def test_what_does_not_belong_into_a_dag_is_refused(dag: Callable[..., str], wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        dag(**wrong)


@pytest.mark.parametrize(
    "runbooks", ["[{runbook: build}, {runbook: build}]", "[{runbook: build, parameters: {reason: '{{ var.value.secret }}'}}]"]
)
def test_a_pipeline_that_cannot_be_a_dag_is_refused(dag: Callable[..., str], tmp_path: Path, runbooks: str) -> None:
    (tmp_path / "pipelines" / "mine.yaml").write_text(f"version: 1\nname: mine\nrunbooks: {runbooks}\n")
    with pytest.raises(BadInput):
        dag()


def test_the_same_again_is_already_there_and_a_newer_one_replaces_it(wanted: Wanted, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    path, is_new = write_dag(wanted, dags, tmp_path)
    assert is_new
    assert path == dags / "balbook_mine_staging.py"
    assert write_dag(wanted, dags, tmp_path) == (path, False)
    newer = replace(wanted, retries=5)
    assert write_dag(newer, dags, tmp_path) == (path, True)
    assert path.read_text() == dag_text(newer, tmp_path)
    assert list(dags.iterdir()) == [path]


def test_a_file_that_was_edited_or_is_another_one_is_never_written_over(wanted: Wanted, tmp_path: Path) -> None:
    path, _ = write_dag(wanted, tmp_path / "dags", tmp_path)
    for foreign in (path.read_text() + "# mine\n", "x = 1\n", ""):
        path.write_text(foreign)
        with pytest.raises(Refused, match="nothing was written"):
            write_dag(wanted, tmp_path / "dags", tmp_path)
        assert path.read_text() == foreign


@pytest.mark.parametrize(
    "other",
    [
        "from airflow.sdk import DAG\nwith DAG('balbook_mine_staging') as d: pass\n",
        "import airflow.sdk as a\nd = a.DAG(schedule=None, dag_id='balbook_mine_staging')\n",
        "from airflow.sdk import dag\n@dag(schedule=None)\ndef balbook_mine_staging(): pass\n",
        "from airflow.sdk import dag\n@dag('balbook_mine_staging')\ndef other(): pass\n",
    ],
)
def test_a_dag_id_that_is_taken_is_refused(wanted: Wanted, tmp_path: Path, other: str) -> None:
    dags = tmp_path / "dags"
    (dags / "team").mkdir(parents=True)
    (dags / "team" / "other.py").write_text(other)
    (dags / "broken.py").write_text("def (\n")
    with pytest.raises(Refused, match=r"is taken by .*other\.py; nothing was written"):
        write_dag(wanted, dags, tmp_path)
    assert not (dags / "balbook_mine_staging.py").exists()
    path, _ = write_dag(replace(wanted, dag_id="mine2"), dags, tmp_path)
    assert path == dags / "mine2.py"


def test_the_command_prints_the_path_and_exits_2_where_it_refuses(
    wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    argv = ["schedule", "airflow", "mine", "-i", str(wanted.inventory.path)]
    assert main(argv) == 0
    path = tmp_path / "home" / "dags" / "balbook_mine_staging.py"
    captured = capsys.readouterr()
    assert captured.out == f"{path}\n"
    assert "airflow pools set balbook-staging 1" in captured.err
    path.write_text("mine\n")
    assert main(argv) == 2
    assert "is not a file that balbook made" in capsys.readouterr().err
