"""What the shell offers where somebody presses the tab key; asked as argcomplete's shell functions ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INVENTORY = """
version: 1
hosts: {app1: {address: 10.0.0.1, roles: [app]}}
applications:
  hotel: {packages: [acme/rooms], instances: [{host: app1, port: 9090}], health: {path: /health}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    (tmp_path / "records" / "20260131T090000Z-hot_deploy-c452ab").mkdir(parents=True)
    return tmp_path


def offered(folder: Path, line: str) -> list[str]:
    answer = folder / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "BALBOOK_LAB_HOME": str(folder / "labs")}
    done = subprocess.run([sys.executable, "-m", "balbook"], cwd=folder, env={**os.environ, **asked}, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return answer.read_text().split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("balbook pl", ["plan"]),
        ("balbook plan hot", ["hot_deploy"]),
        ("balbook apply dec", ["decentralized"]),
        ("balbook apply --plan ", ["c452ab"]),
        ("balbook plan hot_deploy --par", ["--parameter", "--parameters-file"]),
        ("balbook check fail", ["failover_drill"]),
        ("balbook logs ", ["hotel"]),
        ("balbook drain hotel ", ["app1:9090"]),
        ("balbook resume ", ["c452ab"]),
        ("balbook records sh", ["show"]),
        ("balbook records show c", ["c452ab"]),
        ("balbook plan -i inv", ["inventory.yaml"]),
        ("balbook logs -i nowhere.yaml ", []),
        ("balbook new-runbook ", []),
    ],
)
def test_the_shell_offers_commands_runbooks_applications_and_runs(folder: Path, line: str, words: list[str]) -> None:
    assert offered(folder, line) == words


def test_a_broken_inventory_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "inventory.yaml").write_text("{")
    assert offered(folder, "balbook status ") == []
