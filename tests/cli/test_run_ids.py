"""Every command that takes a RUN_ID finds the run by the same rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from balbook.cli import main
from tests.run_folders import make_key, run_folder

COMMANDS = (
    "records show RUN_ID",
    "records diff RUN_ID RUN_ID",
    "seal RUN_ID",
    "approve RUN_ID --key KEY",
    "apply --plan RUN_ID",
    "resume RUN_ID",
    "stop RUN_ID",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one run among two."""
    hosts = {"app1": {"address": "127.0.0.1", "roles": ["app"]}}
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({"version": 1, "hosts": hosts}))
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "records", "c46f0abc")
    return run_folder(tmp_path / "records", "c4520abc")


def said(command: str, run_id: str, capsys: pytest.CaptureFixture[str]) -> str:
    words = [word.replace("RUN_ID", run_id).replace("KEY", str(Path("ada").absolute())) for word in command.split()]
    main(words)
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("called", ["c4520abc", "c452", "folder", "path"])
def test_a_command_knows_a_run_by_its_id_the_beginning_of_it_and_its_folder(
    run: Path, capsys: pytest.CaptureFixture[str], command: str, called: str
) -> None:
    make_key(Path())
    told = said(command, {"folder": run.name, "path": str(run)}.get(called, called), capsys)
    assert "is called" not in told
    assert "begin with" not in told
    assert "c46f0abc" not in told


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_asks_which_run_is_meant(run: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "2 runs in" in said(command, "c4", capsys)
    told = said(command, "c4521", capsys)
    assert "is called 'c4521'" in told
    assert run.name in told


def test_an_approval_is_kept_under_the_whole_id(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_key(Path())
    assert "balbook apply --plan c4520abc" in said("approve RUN_ID --key KEY", "c452", capsys)
    assert list(Path("records/approvals").iterdir()) == [Path("records/approvals/c4520abc")]
