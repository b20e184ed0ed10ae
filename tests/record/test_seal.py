"""Sealing: every run becomes a record, whatever happened to it, and nothing is lost where sealing does not work."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path

import pytest

from balbook.errors import BadInput, RecordError, Refused
from balbook.local.digests import sha256_of, sha256_of_file
from balbook.record.ledger import open_ledger
from balbook.record.seal import Record, adopt, read_record, seal
from balbook.record.signatures import Trust
from balbook.record.statement import PREDICATE_TYPE
from balbook.record.verify import verify_records
from tests.run_folders import BEGIN, Keys, clock, make_key, make_keys, notebook, run_folder, sealed

AFTER = clock(BEGIN + timedelta(minutes=5))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


def seal_here(folder: Path, key: Path | None = None) -> Record:
    return seal(folder, open_ledger(folder.parent / "ledger"), sign_with=key, now=AFTER)


def seal_in_process(folder: str, key: str) -> None:
    seal_here(Path(folder), Path(key))


def test_the_statement_names_every_file_and_what_the_journal_says(records: Path, keys: Keys) -> None:
    folder = run_folder(records)
    made = seal_here(folder, keys.key)
    assert made.statement["_type"] == "https://in-toto.io/Statement/v1"
    assert made.statement["predicateType"] == PREDICATE_TYPE
    names = ["hot_deploy.ipynb", "journal.jsonl", "latency.png", "plan.json", "probe/summary.json"]
    assert made.files == {name: sha256_of_file(folder / name) for name in names}
    said = made.predicate
    assert (said["verdict"], said["run_id"], said["reason"], said["who"]["user"]) == ("succeeded", "k3x9", "Bug fix – Übergabe", "ada")
    assert said["digests"] == {"artifact_sha256": "ab" * 32, "configuration.sha256": "cd" * 32}
    assert said["runbooks"] == [{"runbook": "hot_deploy", "sha256": "ef" * 32}]
    lines = (folder / "journal.jsonl").read_bytes().splitlines()
    assert said["journals"] == [{"name": "journal.jsonl", "head": sha256_of(lines[-1]), "events": len(lines), "cut_bytes": 0}]
    assert said["measurements"] == {"p99_ms": 12.5, "failed": 0, "probe": {"p99_ms": 12.5, "requests": 100}}
    assert made.is_signed
    assert made.notes == ()


def test_the_ledger_entry_names_the_bytes(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records), keys.key)
    assert made.entry
    assert made.entry.data["statement_sha256"] == sha256_of_file(made.folder / "statement.json")
    assert made.entry.data["signature_sha256"] == sha256_of_file(made.folder / "statement.json.sig")
    assert read_record(made.folder).statement == made.statement


def test_a_failed_run_is_sealed_too(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records, verdict="failed"), keys.key)
    assert (made.verdict, made.predicate["why"]) == ("failed", "the step reload failed")
    assert verify_records(records, trust=keys.trust).exit_status == 3, "only the anchor is missing"


def test_a_run_whose_process_was_killed_is_inconclusive(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records, verdict=""), keys.key)
    assert made.verdict == "inconclusive"
    assert made.predicate["why"].startswith("lost_run")


def test_a_journal_cut_in_the_middle_of_a_line_is_sealed_as_it_stands(records: Path, keys: Keys) -> None:
    folder = run_folder(records, verdict="")
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"at":"2026-03-')
    before = (folder / "journal.jsonl").read_bytes()
    made = seal_here(folder, keys.key)
    assert made.predicate["journals"][0]["cut_bytes"] == 15
    assert any("cut off" in note for note in made.notes)
    assert (folder / "journal.jsonl").read_bytes() == before
    report = verify_records(folder, trust=keys.trust, anchors=[made.entry.head] if made.entry else [])
    assert report.verdict == "succeeded"


def test_a_clock_that_went_backwards_is_noted_and_not_fatal(records: Path, keys: Keys) -> None:
    times = [BEGIN + timedelta(seconds=s) for s in (0, 1, 2, -3600)] + [BEGIN + timedelta(seconds=s) for s in range(4, 60)]
    folder = run_folder(records, now=iter(times).__next__)
    made = seal_here(folder, keys.key)
    assert any("clock went backwards before event 4" in note for note in made.notes)
    report = verify_records(folder, trust=keys.trust)
    assert report.checks[4].state == "ok"
    assert any("clock went backwards" in note for note in report.checks[4].notes)


def test_a_seal_before_the_last_event_is_noted(records: Path) -> None:
    made = seal(run_folder(records), open_ledger(records / "ledger"), now=clock(BEGIN - timedelta(days=1)))
    assert any("before the seal" in note for note in made.notes)


def test_without_a_key_the_record_is_unsigned_and_says_so(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records))
    assert not made.is_signed
    assert made.notes == ("not signed: no signing key was named",)
    report = verify_records(records, trust=keys.trust, anchors=[made.entry.head] if made.entry else [])
    assert report.exit_status == 3
    assert "is not signed: no signing key was named" in report.checks[2].findings[0].text


@pytest.mark.parametrize(("fault", "told"), [("missing", "does not exist"), ("encrypted", "locked by a passphrase")])
def test_a_key_that_cannot_sign_costs_the_signature_and_not_the_record(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = tmp_path / "none" if fault == "missing" else make_key(tmp_path, "locked", passphrase="correct horse")
    made = seal_here(run_folder(records), key)
    assert not made.is_signed
    assert told in made.notes[0]
    assert made.entry
    assert told in made.entry.data["unsigned"]


@pytest.mark.parametrize(
    ("options", "told"),
    [('valid-before="20250101"', "was not valid on 2026-03-01"), ('namespaces="git"', "is not allowed to sign"), ("", "has been revoked")],
)
def test_a_signer_that_does_not_count_is_found_when_verified(records: Path, tmp_path: Path, options: str, told: str) -> None:
    keys = make_keys(tmp_path, options=options)
    made = seal_here(run_folder(records), keys.key)
    revoked = tmp_path / "revoked"
    revoked.write_text("" if options else Path(f"{keys.key}.pub").read_text())
    trust = Trust(keys.trust.allowed_signers, revoked)
    report = verify_records(records, trust=trust)
    assert report.exit_status == 1
    assert [told in f.text for f in report.checks[2].findings] == [True]
    assert made.folder.name == report.checks[2].findings[0].place


def test_a_record_is_sealed_once(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records), keys.key)
    before = (made.folder / "statement.json").read_bytes()
    with pytest.raises(Refused, match="already sealed"):
        seal_here(made.folder, keys.key)
    assert (made.folder / "statement.json").read_bytes() == before


def test_an_interrupted_seal_is_done_again(records: Path, keys: Keys) -> None:
    made = seal_here(run_folder(records), keys.key)
    (records / "ledger" / "00000001.json").unlink()
    again = seal_here(made.folder, keys.key)
    assert again.entry
    assert verify_records(records, trust=keys.trust, anchors=[again.entry.head]).exit_status == 0


def test_two_processes_seal_at_once_and_both_get_in(records: Path, keys: Keys) -> None:
    folders = [run_folder(records, f"run{i}") for i in range(4)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=seal_in_process, args=(str(f), str(keys.key))) for f in folders]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    head = open_ledger(records / "ledger").head()
    assert head
    assert head.number == 4
    assert verify_records(records, trust=keys.trust, anchors=[head]).exit_status == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("where", ["record", "ledger"])
def test_a_disk_that_cannot_be_written_leaves_the_verdict_and_the_place_in_the_message(
    records: Path, monkeypatch: pytest.MonkeyPatch, code: int, where: str
) -> None:
    folder = run_folder(records)
    target = records / "ledger" if where == "ledger" else folder
    genuine = os.open

    def refuse(path: Path, *args: int) -> int:
        if Path(path).parent == target:
            raise OSError(code, "no room" if code == errno.ENOSPC else "read-only", str(path))
        return genuine(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RecordError) as caught:
        seal_here(folder)
    for part in ("the run has ended (succeeded)", str(target), f"all files are in {folder}", f"balbook seal {folder}"):
        assert part in str(caught.value)
    monkeypatch.undo()
    assert seal_here(folder).entry, "once there is room, the same run is sealed"
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_a_folder_without_a_journal_cannot_be_sealed(records: Path) -> None:
    folder = run_folder(records)
    (folder / "journal.jsonl").unlink()
    with pytest.raises(RecordError, match=r"no journal\.jsonl"):
        seal_here(folder)
    with pytest.raises(BadInput, match="not the folder of a run"):
        seal_here(records / "none")


def test_a_link_is_not_sealed(records: Path, tmp_path: Path) -> None:
    folder = run_folder(records)
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="not a regular file"):
        seal_here(folder)


def test_hidden_files_are_no_part_of_the_record(records: Path) -> None:
    folder = run_folder(records)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "x.ipynb").write_text("{}")
    assert not [name for name in seal_here(folder).files if "checkpoint" in name]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"subject": [], "predicate": 1}'])
def test_a_statement_that_cannot_be_read_is_said(records: Path, text: str) -> None:
    folder = run_folder(records)
    (folder / "statement.json").write_text(text)
    with pytest.raises(RecordError, match="cannot be read"):
        read_record(folder)
    with pytest.raises(RecordError, match="not a sealed record"):
        read_record(records)


def test_a_newer_record_is_refused_with_advice(records: Path) -> None:
    folder = seal_here(run_folder(records)).folder
    statement = json.loads((folder / "statement.json").read_bytes())
    statement["predicate"]["version"] = 2
    (folder / "statement.json").write_text(json.dumps(statement))
    with pytest.raises(BadInput, match="newer balbook"):
        read_record(folder)


def test_a_notebook_finds_its_run_by_the_id_in_its_outputs(records: Path, tmp_path: Path) -> None:
    sealed(records, None, 1)
    folder = run_folder(records, "q7z2")
    (folder / "hot_deploy.ipynb").unlink()
    left = tmp_path / "out.ipynb"
    left.write_text(json.dumps(notebook(outputs="run q7z2, see records/20260301T080000Z-hot_deploy-q7z2\n")))
    assert adopt(left, records) == folder
    assert (folder / "hot_deploy.ipynb").read_bytes() == left.read_bytes()
    seal_here(folder)
    with pytest.raises(Refused, match="already sealed"):
        adopt(left, records)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no json", "is not a notebook"),
        ("[]", "is not a notebook"),
        (json.dumps(notebook(outputs="hello")), "is not the notebook of a run"),
    ],
)
def test_an_unreadable_or_foreign_notebook_is_bad_input(records: Path, tmp_path: Path, text: str, told: str) -> None:
    run_folder(records)
    left = tmp_path / "out.ipynb"
    left.write_text(text)
    with pytest.raises(BadInput, match=told):
        adopt(left, records)
    with pytest.raises(BadInput, match="cannot be read"):
        adopt(tmp_path / "none.ipynb", records)
