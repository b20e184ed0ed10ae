"""Runs that went wrong in ways that an executor hides: each has its verdict and its word, and is sealed all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.inventory import Inventory, read_inventory
from balbook.lab.loopback import Lab
from balbook.notebook.runbook import find_runbooks
from balbook.record.keeping import ledger_of, trust_of
from balbook.record.verify import verify_records
from balbook.run.headless import Outcome, execute
from tests.journals import last, lines, verified

pytestmark = pytest.mark.integration
NOTEBOOKS = Path(__file__).parents[1] / "data" / "notebooks"


def run(lab: Lab, word: str, mode: str = "plan", **options: object) -> Outcome:
    """Runs the notebook of this name headless."""
    return execute(str(NOTEBOOKS / f"{word}.ipynb"), read_inventory(lab.inventory), {"mode": mode, "reason": word}, **options)  # type: ignore[arg-type]


def papermill(notebook: Path, out: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "papermill", str(notebook), str(out), "--no-progress-bar"]
    return subprocess.run(argv, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120)


def sealed_well(inventory: Inventory, record: Path) -> bool:
    """Whether the record is sealed and signed, and nothing in it contradicts anything."""
    verified(record / "journal.jsonl")
    report = verify_records(record, ledger=ledger_of(inventory), trust=trust_of(inventory), runbooks=find_runbooks()["provision"].parent)
    bad = [(check.title, [f.text for f in check.findings]) for check in report.checks if check.state != "ok" and check.title != "anchor"]
    assert not bad
    return True


def test_kernel_death(lab: Lab) -> None:
    outcome = run(lab, "kernel_death")
    assert (outcome.verdict, outcome.exit_status) == ("failed", 1)
    assert outcome.why.startswith("kernel_death:")
    assert papermills_words(outcome.notebook)[-5:] == ["not run"] * 5
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_cell_timeout(lab: Lab) -> None:
    outcome = run(lab, "cell_timeout", cell_timeout_s=12)  # also for the cell that imports balbook
    assert (outcome.verdict, outcome.exit_status) == ("failed", 1)
    assert outcome.why.startswith("cell_timeout:")
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_sys_exit(lab: Lab) -> None:
    outcome = run(lab, "sys_exit")
    assert (outcome.verdict, outcome.exit_status) == ("failed", 1)
    assert outcome.why.startswith("sys_exit:")
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_skipped_cell(lab: Lab) -> None:
    outcome = run(lab, "skipped_cell")
    assert (outcome.verdict, outcome.exit_status) == ("inconclusive", 3)
    assert outcome.why.startswith("skipped_cell:")
    assert "not run" in papermills_words(outcome.notebook)
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_out_of_order(lab: Lab) -> None:
    outcome = run(lab, "out_of_order")
    assert (outcome.verdict, outcome.exit_status) == ("inconclusive", 3)
    assert outcome.why.startswith("out_of_order:")
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_edited_cell(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JupyterLab and plain papermill leave it; the verdict is stated when it is sealed."""
    out = tmp_path / "provision.ipynb"
    assert papermill(NOTEBOOKS / "edited_cell.ipynb", out).returncode == 0
    assert main(["seal", str(out), "-i", str(lab.inventory)]) == 0
    assert "(inconclusive, signed)" in capsys.readouterr().out
    inventory = read_inventory(lab.inventory)
    record = newest(inventory)
    closed = last(record / "journal.jsonl", "run_closed")
    assert closed
    assert closed["why"].startswith("edited_cell:")
    assert sealed_well(inventory, record)


def test_changed_plan(lab: Lab) -> None:
    outcome = run(lab, "changed_plan", mode="apply")
    assert (outcome.verdict, outcome.exit_status) == ("failed", 2)
    assert outcome.why.startswith("changed_plan:")
    assert last(outcome.record / "journal.jsonl", "apply_started") is None
    outcome = execute("provision", read_inventory(lab.inventory), {"mode": "apply"}, expected_digest="0" * 64)
    assert (outcome.verdict, outcome.exit_status) == ("failed", 2)
    assert outcome.why.startswith("changed_plan:")
    assert sealed_well(read_inventory(lab.inventory), outcome.record)


def test_lost_run(lab: Lab) -> None:
    outcome = run(lab, "lost_run", mode="apply")
    assert (outcome.verdict, outcome.exit_status) == ("failed", 1)
    assert outcome.why.startswith("lost_run:")


def test_a_record_says_who_did_what_why_and_with_which_programs(lab: Lab, tmp_path: Path) -> None:
    inventory = read_inventory(lab.inventory)
    words = ["-r", "reason", "spring cleaning", "-r", "ticket", "OPS-7"]
    argv = [sys.executable, "-m", "papermill", str(find_runbooks()["provision"]), str(tmp_path / "out.ipynb"), *words]
    subprocess.run([*argv, "--no-progress-bar"], env=dict(os.environ), check=True, capture_output=True, timeout=120)
    assert main(["seal", str(tmp_path / "out.ipynb"), "-i", str(lab.inventory)]) == 0
    record = newest(inventory)
    predicate = json.loads((record / "statement.json").read_text())["predicate"]
    assert (predicate["verdict"], predicate["reason"], predicate["ticket"]) == ("planned", "spring cleaning", "OPS-7")
    assert predicate["who"]["ssh_key"].startswith("SHA256:")
    assert predicate["lab"] is True
    assert predicate["versions"]["hosts"]["lb1"]["nginx"].startswith("nginx/")
    assert predicate["versions"]["hosts"]["app1"]["java"]
    opened = last(record / "journal.jsonl", "run_opened")
    assert opened
    for what in ("runbook_sha256", "parameters", "git", "inventory", "versions", "mode", "cells"):
        assert what in opened
    assert sealed_well(inventory, record)


def papermills_words(notebook: Path) -> list[str]:
    """What papermill says of each code cell."""
    cells = json.loads(notebook.read_text())["cells"]
    return [cell["metadata"].get("papermill", {}).get("status", "") for cell in cells if cell["cell_type"] == "code"]


def newest(inventory: Inventory) -> Path:
    """The record that was begun last."""
    listed = sorted(p for p in inventory.resolve(inventory.records.path).glob("2*") if p.is_dir())
    opened = [(lines(p / "journal.jsonl")[0]["at"], p) for p in listed]
    return max(opened)[1]
