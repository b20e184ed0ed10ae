"""The engineer's first look: it tells what there is, and waits for nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.commands.command import Command, Result
from balbook.errors import HostUnreachable
from balbook.inventory import Inventory
from balbook.jupyter import index as overview
from balbook.local.resources import resource
from balbook.record.journal import Journal
from balbook.show.table import Link, Table
from balbook.testing import FakeFleet
from tests.journals import made
from tests.run_folders import notebook, run_folder
from tests.small_fleet import fleet_with, publish, write_inventory


class PartlyDown(FakeFleet):
    """A fleet of which some hosts refuse, and some never answer."""

    refusing: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    over = threading.Event()

    def execute(self, host: str, command: Command) -> Result:
        if host in self.refusing:
            raise HostUnreachable(host, "connection refused")
        if host in self.silent:
            self.over.wait(30)
        return super().execute(host, command)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[PartlyDown]:
    deployed = fleet_with(tmp_path / "fleet", "1.0.0")
    deployed.__class__ = PartlyDown
    PartlyDown.over.clear()
    yield deployed  # type: ignore[misc]
    PartlyDown.over.set()


def rows_of(table: Table) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in table.rows]


def test_each_instance_has_its_release_its_packages_and_its_health(fleet: PartlyDown) -> None:
    rows = rows_of(overview.deployed(fleet.inventory, connection=fleet))
    assert [row[:2] for row in rows] == [["hotel", "app1:9090"], ["hotel", "app2:9090"]]
    assert all(row[2].startswith("1.0.0-") and row[4:6] == ["yes", "yes"] for row in rows)


def test_packages_are_those_of_the_artifact_that_runs(fleet: PartlyDown, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fleet.inventory.resolve(fleet.inventory.artifacts) / "hotel" / "1.0.0" / "artifact.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "packages": {"acme/rooms": "0.3.1", "acme/payments": "2.0.0"}}))
    publish(fleet.inventory, "2.0.0")
    assert rows_of(overview.deployed(fleet.inventory, connection=fleet))[0][3] == "acme/rooms 0.3.1\nacme/payments 2.0.0"


def test_a_host_that_refuses_hides_no_other(fleet: PartlyDown) -> None:
    fleet.refusing = frozenset({"app2"})
    table = overview.deployed(fleet.inventory, connection=fleet)
    first, second = rows_of(table)
    assert first[4] == "yes"
    assert second[2] == "unreachable"
    assert "app2: connection refused" in table.note


def test_a_host_that_never_answers_is_not_waited_for(fleet: PartlyDown) -> None:
    fleet.silent = frozenset({"app1", "lb1"})
    table = overview.deployed(fleet.inventory, within_s=1.5, connection=fleet)
    first, second = rows_of(table)
    assert not fleet.over.is_set()
    assert first[2] == "unreachable"
    assert (second[4], second[5]) == ("yes", "unreachable")
    assert "lb1: no answer within 1.5 s" in table.note


def test_what_was_never_deployed_is_not_called_unhealthy(tmp_path: Path) -> None:
    bare = FakeFleet(write_inventory(tmp_path))
    assert [row[2:] for row in rows_of(overview.deployed(bare.inventory, connection=bare))] == [["-", "-", "-", "-", "-"]] * 2


def test_without_an_inventory_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "balbook lab up" in overview.deployed().note
    assert "no inventory" in overview.recent_runs().note


def recorded(folder: Path) -> Inventory:
    """An inventory with three runs in its records."""
    inventory = write_inventory(folder)
    for run_id in ("aaaa1111", "bbbb2222", "cccc3333"):
        run_folder(inventory.resolve(inventory.records.path), run_id)
    return inventory


def test_the_newest_runs_come_first_with_their_verdicts(tmp_path: Path) -> None:
    rows = rows_of(overview.recent_runs(recorded(tmp_path), last=2))
    assert [row[-1] for row in rows] == ["cccc3333", "bbbb2222"]
    assert {row[4] for row in rows} == {"succeeded"}


def test_a_run_that_nobody_has_closed_yet_is_open_and_one_whose_process_died_is_not(tmp_path: Path) -> None:
    inventory = recorded(tmp_path)
    records = inventory.resolve(inventory.records.path)
    for run_id, *names in (("dddd4444", "planned"), ("eeee5555", "apply_started", "apply_finished"), ("ffff6666", "apply_started")):
        folder = records / f"20300101T000000Z-hot_deploy-{run_id}"
        folder.mkdir()
        journal = Journal(folder / "journal.jsonl")
        for name in ("run_opened", *names):
            journal.append(made(name, run_id=run_id, runbook="hot_deploy"))
    verdicts = {row[-1]: row[4] for row in rows_of(overview.recent_runs(inventory, last=9))}
    assert {run_id: verdicts[run_id] for run_id in ("cccc3333", "dddd4444", "eeee5555", "ffff6666")} == {
        "cccc3333": "succeeded",
        "dddd4444": "open",
        "eeee5555": "open",
        "ffff6666": "inconclusive",
    }


def test_an_executed_notebook_is_linked_to_as_a_copy(tmp_path: Path) -> None:
    inventory = recorded(tmp_path)
    record = next(inventory.resolve(inventory.records.path).glob("*cccc3333"))
    executed = record / "hot_deploy.ipynb"
    executed.write_text(json.dumps(notebook()))
    cell = overview.recent_runs(inventory, folder=tmp_path, copies="runs").rows[0][-1]
    assert cell == Link("cccc3333", "runs/hot_deploy-cccc3333.ipynb")
    copy = tmp_path / "runs" / "hot_deploy-cccc3333.ipynb"
    assert copy.read_bytes() == executed.read_bytes()
    copy.write_text("edited in JupyterLab")
    assert json.loads(executed.read_text()) == notebook()


def test_runbooks_are_listed_with_their_purpose_and_other_notebooks_are_not(tmp_path: Path) -> None:
    for name in ("hot_deploy", "provision"):
        (tmp_path / f"{name}.ipynb").write_bytes(resource("runbooks", f"{name}.ipynb").read_bytes())
    (tmp_path / "analysis.ipynb").write_text(json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    (tmp_path / "broken.ipynb").write_text("{")
    rows = rows_of(overview.runbooks(folder=tmp_path))
    assert [row[0] for row in rows] == ["hot_deploy", "provision"]
    assert rows[0][1].startswith("Replaces the running release")


def test_links_lead_relative_to_the_notebook(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "my run.ipynb").write_bytes(resource("runbooks", "provision.ipynb").read_bytes())
    html = overview.runbooks("ops", folder=tmp_path)._repr_html_()
    assert "<a href='ops/my%20run.ipynb'>my run</a>" in html
