"""What a command hands to a kernel: one file, and what the kernel holds against it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook import procedures, transport
from balbook.errors import BadInput, ParameterError, Refused
from balbook.local.typed_json import read_json
from balbook.run import opening
from balbook.run.opening import checked_request, new_run_dir, open_run
from balbook.run.request import FILE, REQUEST, RunRequest, handing
from balbook.testing import FakeFleet
from tests.small_fleet import fleet_with

GIVEN = {"mode": "apply", "application": "hotel", "reason": "new prices", "serial": 2}


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    fleet = fleet_with(tmp_path, "1.0.0")
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    return fleet


@pytest.fixture
def run_dir(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a run that was handed to this process, as to a kernel."""
    asked = checked_request("hot_deploy", {**GIVEN, "inventory": str(fleet.inventory.path)})
    run_dir = new_run_dir(asked)
    RunRequest.of(asked.runbook, asked.name, asked.inventory, asked.parameters, key="job-7").keep(run_dir)
    with asked.inventory.secrets.handed_over() as fd:
        monkeypatch.setenv(REQUEST, handing(run_dir, fd)[REQUEST])
        yield run_dir


def opened(fleet: FakeFleet, **other: Any) -> Any:
    return open_run("hot_deploy", **{**GIVEN, "inventory": str(fleet.inventory.path), **other})


def test_a_kernel_takes_what_was_asked_for_and_checks_none_of_it_again(
    fleet: FakeFleet, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any) -> None:
        raise AssertionError("it was checked by whoever asked")

    for module, name in ((opening, "check_parameters"), (opening, "require_no_secrets"), (procedures, "check_values")):
        monkeypatch.setattr(module, name, again)
    run = opened(fleet)
    event = run.journal.history().opened
    assert event
    assert (run.dir, event.key, event.reason) == (run_dir, "job-7", "new prices")
    assert event.parameters == run.parameters == json.loads((run_dir / FILE).read_text())["parameters"]
    assert run.parameters["serial"] == 2


@pytest.mark.parametrize(("name", "value"), [("serial", 3), ("mode", "plan"), ("reason", ""), ("releas", "1.0.0")])
def test_a_notebook_that_passes_on_other_values_than_were_asked_for_is_refused(
    fleet: FakeFleet, run_dir: Path, name: str, value: object
) -> None:
    with pytest.raises(ParameterError, match=f"another value for {name}"):
        opened(fleet, **{name: value})
    assert not (run_dir / "journal.jsonl").exists()


def test_a_notebook_that_opens_another_runbooks_run_is_refused(fleet: FakeFleet, run_dir: Path) -> None:
    with pytest.raises(ParameterError, match="opens a run of verify, but a run of hot_deploy was asked for"):
        open_run("verify", inventory=str(fleet.inventory.path))


def test_an_inventory_that_was_changed_after_the_run_was_asked_for_is_refused(fleet: FakeFleet, run_dir: Path) -> None:
    path = fleet.inventory.path
    path.write_text(path.read_text().replace("127.0.0.21", "127.0.0.99"))
    with pytest.raises(Refused, match="was changed after the run was asked for"):
        opened(fleet)


@pytest.mark.parametrize("change", [{"version": 2}, {"unheard_of": 1}, None])
def test_a_request_that_cannot_be_read_is_refused(fleet: FakeFleet, run_dir: Path, change: dict[str, int] | None) -> None:
    data = json.loads((run_dir / FILE).read_text())
    (run_dir / FILE).write_text(json.dumps({**data, **change}) if change else '{"version": 1')
    with pytest.raises(BadInput, match=r"names no request|has version 2"):
        opened(fleet)


def test_it_is_in_every_runs_folder_for_its_owner_alone(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALBOOK_KEY", "job-8")
    path = opened(fleet).dir / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    request = read_json(path, RunRequest, BadInput)
    assert (request.procedure, request.notebook.name, request.key) == ("hot_deploy", "hot_deploy.ipynb", "job-8")
    assert [p.name for p in path.parent.glob(".*")] == []
