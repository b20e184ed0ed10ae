"""`records list|show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from balbook.cli import main
from balbook.engine.process import write_pid
from tests.run_folders import make_keys, run_folder, sealed


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an inventory, and where its records go."""
    hosts = {"app1": {"address": "127.0.0.1", "roles": ["app"]}}
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({"version": 1, "hosts": hosts}))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "records"


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert main(["records", "list", "--json", *words]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["records"]
    return found


def test_no_records_are_an_empty_list(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == []
    assert main(["records", "list"]) == 0
    assert "No run is recorded here." in capsys.readouterr().out


def test_a_run_has_the_verdict_that_its_journal_states_before_it_is_sealed(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder(ops, "aaaa0001")
    run_folder(ops, "aaaa0002", verdict="failed")
    assert [(run["run_id"], run["verdict"], run["sealed"]) for run in listed(capsys)] == [
        ("aaaa0001", "succeeded", "no"),
        ("aaaa0002", "failed", "no"),
    ]
    assert [run["run_id"] for run in listed(capsys, "--last", "1")] == ["aaaa0002"]


def test_a_run_whose_process_lives_is_running_and_one_whose_process_died_is_inconclusive(
    ops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(ops, "aaaa0001", verdict="")
    assert listed(capsys)[0]["verdict"] == "inconclusive"
    write_pid(folder)
    assert listed(capsys)[0]["verdict"] == "running"
    assert main(["records", "show", "aaaa0001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "running"
    (folder / "run.pid").unlink()


def test_a_line_cut_in_the_middle_of_a_journal_is_named_and_hides_no_other_run(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_folder(ops, "aaaa0001", verdict="") / "journal.jsonl"
    run_folder(ops, "aaaa0002")
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[4:]])
    path.write_bytes(damaged)
    for command in (["records", "show", "aaaa0001"], ["resume", "aaaa0001"]):
        assert main(command) == 2
        assert f"{path}:4: this line is not JSON; it was cut off or edited" in capsys.readouterr().err
    assert [(run["run_id"], run["verdict"], run["sealed"]) for run in listed(capsys)] == [
        ("aaaa0001", "unreadable", "no"),
        ("aaaa0002", "succeeded", "no"),
    ]
    assert path.read_bytes() == damaged


def test_a_sealed_record_says_whether_it_is_signed(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed(ops, None, 1)
    assert listed(capsys)[0]["sealed"] == "unsigned"


def test_a_run_is_shown_with_its_reason_steps_measurements_and_files(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder(ops, "aaaa0001")
    assert main(["records", "show", "aaaa"]) == 0
    said = capsys.readouterr().out
    for expected in ("run aaaa0001", "Bug fix – Übergabe", "OPS-1", "Reload the balancer", "p99 ms", "12.5", "latency.png", "ada"):
        assert expected in said


def test_an_unknown_run_is_bad_input_with_the_nearest_id(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder(ops, "aaaa0001")
    assert main(["records", "show", "aaaa0002"]) == 2
    assert "aaaa0001" in capsys.readouterr().err


def test_who_signed_is_claimed_unless_the_allowed_signers_show_it(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = make_keys(ops.parent)
    record = sealed(ops, keys, 1)[0]
    assert main(["records", "show", "run0000"]) == 0
    assert f"with {record.predicate['signing_key']}, unverified" in capsys.readouterr().out
    (ops.parent / "allowed_signers").write_bytes(keys.trust.allowed_signers.read_bytes())
    assert main(["records", "show", "run0000"]) == 0
    assert f"by ada@example.org with {record.predicate['signing_key']}" in capsys.readouterr().out
    statement = record.folder / "statement.json"
    statement.write_bytes(statement.read_bytes().replace(b"OPS-1", b"OPS-2"))
    assert main(["records", "show", "run0000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signed_by"] == ""


def test_an_anchor_that_cannot_be_read_leaves_something_open_and_hides_no_check(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed(ops, None, 1)
    inventory = yaml.safe_load((ops.parent / "inventory.yaml").read_text())
    inventory["records"] = {"anchor": {"kind": "command", "command": ["true"], "read": ["false"]}}
    (ops.parent / "inventory.yaml").write_text(yaml.safe_dump(inventory))
    assert main(["records", "verify", "--json"]) == 3
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert "could not be read" in json.dumps(checks[6])
    assert [check["state"] for check in checks] == ["ok", "ok", "open", "ok", "ok", "ok", "open"]
    assert main(["records", "export", "audit.tar.gz"]) == 0
    assert "anchor: could not be read" in capsys.readouterr().err


def test_the_anchors_command_inherits_no_secret_of_the_inventory(
    ops: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "Canary-Secret-1")
    sealed(ops, None, 1)
    inventory = yaml.safe_load((ops.parent / "inventory.yaml").read_text())
    inventory |= {
        "records": {"anchor": {"kind": "command", "command": ["sh", "-c", "env > inherited"]}},
        "central": {"token": "env:CANARY"},
    }
    (ops.parent / "inventory.yaml").write_text(yaml.safe_dump(inventory))
    assert main(["records", "anchor"]) == 0
    assert "Canary-Secret-1" not in (ops.parent / "inherited").read_text()
