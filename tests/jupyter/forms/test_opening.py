"""Who gets a form, and who never even loads one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import balbook
from balbook import transport
from balbook.errors import Refused
from balbook.jupyter import forms
from balbook.jupyter.forms.hooks import executed_notebook, on_idle_interrupt, show_errors
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.run import Run
from tests.small_fleet import fleet_with


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The kernel of a front end that lets cells ask."""
    kernel = SimpleNamespace(_allow_stdin=True)
    monkeypatch.setattr(forms, "running_shell", lambda: SimpleNamespace(kernel=kernel))
    for name in ("BALBOOK_REQUEST", "BALBOOK_FORMS"):
        monkeypatch.delenv(name, raising=False)
    return kernel


def test_a_front_end_that_asks_gets_the_form(kernel: SimpleNamespace) -> None:
    assert forms.has_person()


def test_papermill_and_nbclient_do_not_ask(kernel: SimpleNamespace) -> None:
    kernel._allow_stdin = False
    assert not forms.has_person()


@pytest.mark.parametrize(("name", "value"), [("BALBOOK_REQUEST", "/tmp/x.json#7"), ("BALBOOK_FORMS", "off"), ("BALBOOK_FORMS", "OFF")])
def test_a_runner_and_whoever_wants_none_get_no_form(
    kernel: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert not forms.has_person()


def test_without_a_kernel_open_run_is_the_headless_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    run = balbook.open_run("hot_deploy", inventory=str(fleet.inventory.path), application="hotel")
    assert type(run) is Run


@pytest.mark.parametrize(
    ("environment", "mode", "is_asked", "is_refused"),
    [
        ("production", "apply", True, True),
        ("PROD", "apply", True, True),
        ("production", "plan", True, False),
        ("staging", "apply", True, False),
        ("production", "apply", False, False),  # papermill and nbclient
    ],
)
def test_running_all_cells_changes_no_production_host_without_a_form_either(
    kernel: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, mode: str, is_asked: bool, is_refused: bool
) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    fleet.inventory.path.write_text(f"environment: {environment}\n" + fleet.inventory.path.read_text())
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    monkeypatch.setenv("BALBOOK_FORMS", "off")
    kernel._allow_stdin = is_asked

    def opened() -> object:
        return forms.open_run("hot_deploy", inventory=str(fleet.inventory.path), application="hotel", mode=mode)

    if is_refused:
        with pytest.raises(Refused, match="only by the button") as refused:
            opened()
        assert "balbook apply hot_deploy" in refused.value.advice
        assert not list(tmp_path.glob("records/2*"))
    else:
        assert type(opened()) is Run


def test_a_headless_run_loads_no_widget() -> None:
    code = "import sys, balbook; balbook.open_run; import balbook.run, balbook.run.headless; print('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("is_drawn", [True, False])
def test_an_error_is_drawn_or_keeps_its_traceback(capsys: pytest.CaptureFixture[str], is_drawn: bool) -> None:
    seen: list[BaseException] = []
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))

    def draw(error: BaseException) -> bool:
        seen.append(error)
        return is_drawn

    show_errors(shell, draw)
    result = shell.run_cell("{}['x']")
    assert seen == [result.error_in_exec]
    assert ("Traceback" in capsys.readouterr().out) != is_drawn


def test_an_interrupt_is_heard_between_cells() -> None:
    heard: list[str] = []
    kernel = SimpleNamespace(saved_sigint_handler=None)
    on_idle_interrupt(SimpleNamespace(kernel=kernel), lambda: heard.append("stop"))
    kernel.saved_sigint_handler(2, None)
    assert heard == ["stop"]


def test_a_copy_of_a_runbook_with_outputs_is_the_runbook_and_another_notebook_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runbook = read_runbook(runbook_path("hot_deploy"))
    copy = tmp_path / "my_deploy.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(copy))
    assert executed_notebook(runbook) is runbook
    text = runbook.path.read_text().replace('release: str = \\"latest\\"', 'release: str = \\"2.0.0\\"')
    copy.write_text(text)
    assert executed_notebook(runbook) is runbook
    copy.write_text(text.replace("run.verify()", "run.verify()  # mine"))
    assert executed_notebook(runbook).name == "my_deploy"
    copy.write_text("{")
    assert executed_notebook(runbook) is runbook
