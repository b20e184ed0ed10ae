"""What verification says of whole, unsigned, unanchored and wrongly concluded records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BadInput, RecordError
from balbook.local.digests import sha256_of_file
from balbook.notebook.runbook import cell_digest
from balbook.record import signatures as signing
from balbook.record.executed import execution_faults
from balbook.record.journal import Journal
from balbook.record.ledger import Head, open_ledger
from balbook.record.seal import seal
from balbook.record.statement import state
from balbook.record.verify import verify_records
from tests.run_folders import BEGIN, CELLS, Keys, make_keys, notebook, run_folder, sealed


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


def faults(folder: Path, runbooks: Path | None = None) -> list[str]:
    return execution_faults(folder, Journal(folder / "journal.jsonl").events(), runbooks)[0]


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = folder / "hot_deploy.ipynb"
    data = json.loads(path.read_text())
    change(data["cells"])
    path.write_text(json.dumps(data, indent=1))


def test_progress_counts_records_and_the_report_is_plain_data(tmp_path: Path, keys: Keys) -> None:
    made = sealed(tmp_path / "records", keys, 3)
    seen: list[tuple[int, int]] = []
    report = verify_records(
        tmp_path / "records",
        trust=keys.trust,
        anchors=[m.entry.head for m in made if m.entry],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    data = json.loads(json.dumps(report.data()))
    assert (data["verdict"], data["records"], data["entries"]) == ("succeeded", 3, 3)
    assert [c["title"] for c in data["checks"]] == ["chain", "statement", "signature", "files", "journal", "notebook", "anchor"]


def test_without_allowed_signers_nothing_shows_who_signed(tmp_path: Path, keys: Keys) -> None:
    made = sealed(tmp_path / "records", keys, 1)
    report = verify_records(tmp_path / "records", anchors=[m.entry.head for m in made if m.entry])
    assert report.exit_status == 3
    assert "the key's owner is unknown" in report.checks[2].findings[0].text


def test_never_anchored_records_are_inconclusive(tmp_path: Path, keys: Keys) -> None:
    sealed(tmp_path / "records", keys, 2)
    report = verify_records(tmp_path / "records", trust=keys.trust)
    assert report.exit_status == 3
    assert "not anchored since 0" in report.checks[6].findings[0].text


def test_a_folder_that_does_not_exist_is_bad_input_and_an_empty_one_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a folder of records"):
        verify_records(tmp_path / "none")
    report = verify_records(tmp_path)
    assert report.exit_status == 3
    assert "deleted entries would not show" in report.checks[6].findings[0].text
    assert verify_records(tmp_path, anchors=[Head(1, "0" * 64)]).exit_status == 1


def test_a_statement_with_another_verdict_than_the_journal_is_found(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.record.statement.History.verdict", ("succeeded", ""))
    folder = run_folder(tmp_path / "records", verdict="failed")
    seal(folder, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key)
    monkeypatch.undo()
    report = verify_records(folder, trust=keys.trust)
    assert report.exit_status == 1
    assert "says failed, the statement says succeeded" in report.checks[4].findings[0].text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reason", "another one"),
        ("measurements", {"failed": 0}),
        ("who", {"user": "eve"}),
        ("lab", False),
        ("digests", {}),
        ("plans", []),
        ("notes", ["all is well"]),
        ("journals", []),
    ],
)
def test_what_a_statement_claims_is_held_against_journals_and_files(
    tmp_path: Path, keys: Keys, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = state

    def lying(*args: Any, **options: Any) -> dict[str, Any]:
        statement = genuine(*args, **options)
        statement["predicate"][key] = value
        return statement

    monkeypatch.setattr("balbook.record.seal.state", lying)
    folder = run_folder(tmp_path / "records")
    seal(folder, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key)
    report = verify_records(folder, trust=keys.trust)
    expected = "journal.jsonl is not among the journals" if key == "journals" else f"{key}: "
    assert [f.place for f in report.checks[4].findings] == [folder.name]
    assert expected in report.checks[4].findings[0].text
    assert report.exit_status == 1


def test_a_statement_over_several_journals_with_a_cut_end_and_a_clock_that_went_back_is_no_contradiction(
    tmp_path: Path, keys: Keys
) -> None:
    folder = run_folder(tmp_path / "records", verdict="")
    later = run_folder(tmp_path, "later")
    later.rename(folder / "later")
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"at":')
    seal(folder, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key, now=lambda: BEGIN)
    assert {check.state for check in verify_records(folder, trust=keys.trust).checks[:5]} == {"ok"}


def test_who_signed_is_named_and_is_the_key_that_the_statement_names(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signing.fingerprint(keys.key)
    sealed(tmp_path / "records", keys, 2)
    assert verify_records(tmp_path / "records", trust=keys.trust).checks[2].notes == (f"signed by ada@example.org with {key}",)
    monkeypatch.setattr(signing, "fingerprint", lambda key: "SHA256:another")
    folder = run_folder(tmp_path / "records")
    seal(folder, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key)
    for trust in (keys.trust, None):
        report = verify_records(tmp_path / "records", trust=trust)
        found = [(f.place, f.text) for f in report.checks[2].findings if not f.is_open]
        assert found == [(folder.name, f"is signed with {key}, the statement says SHA256:another")]
        assert report.exit_status == 1


def test_an_unaltered_statement_of_a_newer_version_is_open_and_hides_no_other_record(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sealed(tmp_path / "records", keys, 1)
    monkeypatch.setattr("balbook.record.statement.VERSION", 9)
    newer = run_folder(tmp_path / "records")
    seal(newer, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key)
    report = verify_records(tmp_path / "records", trust=keys.trust)
    assert report.exit_status == 3
    assert [(f.place, f.is_open) for f in report.checks[1].findings] == [(newer.name, True)]
    (made[0].folder / "latency.png").write_bytes(b"x")
    assert verify_records(tmp_path / "records", trust=keys.trust).exit_status == 1


def test_a_whole_notebook_fits_its_journal(tmp_path: Path) -> None:
    assert faults(run_folder(tmp_path)) == []


def test_a_cell_that_was_edited_after_it_ran_is_found(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    rewrite(folder, lambda cells: cells[4].update(source="run.apply(plan, force=True)"))
    told = faults(folder)
    assert any("the cell that ran as apply is not in the notebook; was it edited after it ran?" in f for f in told)
    assert any("cell 5 (apply) is not in the journal" in f for f in told)


def test_white_space_at_a_cells_end_is_no_edit(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    rewrite(folder, lambda cells: cells[4].update(source=["run.apply(plan)\n", "  \n"]))
    assert faults(folder) == []


def test_an_added_cell_is_found(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    extra = {"cell_type": "code", "metadata": {}, "source": "cheat()", "outputs": [], "execution_count": 99, "id": "x"}
    rewrite(folder, lambda cells: cells.insert(5, extra))
    assert faults(folder) == ["hot_deploy.ipynb: cell 6 (code) is not in the journal: the cell was added, or never ran"]


@pytest.mark.parametrize(("source", "is_found"), [("cheat()", True), ("# Parameters\napplication = 'hotel'\n", False)])
def test_a_tag_makes_no_cell_papermills(tmp_path: Path, source: str, is_found: bool) -> None:
    folder = run_folder(tmp_path)
    tagged = {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": source, "outputs": [], "id": "x"}
    rewrite(folder, lambda cells: cells.insert(5, tagged))
    assert any("is not in the journal: the cell was added, or never ran" in fault for fault in faults(folder)) == is_found


def test_a_cell_out_of_order_in_a_success_is_found(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    rewrite(folder, lambda cells: cells.insert(2, cells.pop(6)))
    assert any("ran again or out of order, yet the verdict is succeeded" in f for f in faults(folder))


def test_a_parameter_edited_in_the_notebook_is_found(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (folder / "hot_deploy.ipynb").write_text(json.dumps(notebook(application="motel")))
    assert faults(folder) == ["hot_deploy.ipynb: the parameter application is 'motel' in the notebook and 'hotel' in the journal"]


def test_a_plan_that_is_not_the_one_shown_is_found(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    plan = json.loads((folder / "plan.json").read_text())
    plan["steps"][0]["title"] = "Something else"
    (folder / "plan.json").write_text(json.dumps(plan))
    assert "has another digest than the plan in event" in faults(folder)[0]


def test_a_missing_notebook_matters_only_to_a_success(tmp_path: Path) -> None:
    for run_id, verdict in (("good", "succeeded"), ("lost", "")):
        folder = run_folder(tmp_path, run_id, verdict=verdict)
        (folder / "hot_deploy.ipynb").unlink()
        assert bool(faults(folder)) == (verdict == "succeeded")


def test_a_run_that_never_had_a_notebook_lacks_none(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, opened={"runbook_sha256": ""})
    (folder / "hot_deploy.ipynb").unlink()
    found, notes = execution_faults(folder, Journal(folder / "journal.jsonl").events())
    assert (found, notes) == ([], ["hot_deploy: ran without a notebook"])


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_notebook_is_compared_with_the_runbook_it_names(tmp_path: Path, is_edited: bool) -> None:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    cells = tuple((role, source + "  # other" if is_edited and role == "setup" else source) for role, source in CELLS)
    (runbooks / "hot_deploy.ipynb").write_text(json.dumps(notebook(cells)))
    folder = run_folder(tmp_path / "records", opened={"runbook_sha256": sha256_of_file(runbooks / "hot_deploy.ipynb")})
    expected = ["hot_deploy.ipynb: cell 2 (setup) is not the runbook's cell 2 (setup)"] if is_edited else []
    assert faults(folder, runbooks) == expected


def test_a_runbook_that_has_changed_since_is_a_note(tmp_path: Path) -> None:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    (runbooks / "hot_deploy.ipynb").write_text(json.dumps(notebook()))
    folder = run_folder(tmp_path / "records")
    found, notes = execution_faults(folder, Journal(folder / "journal.jsonl").events(), runbooks)
    assert (found, notes) == ([], ["hot_deploy: the runbook has changed since; the notebook was compared with the journal only"])


def test_a_cells_digest_leaves_out_white_space_at_its_end() -> None:
    assert cell_digest("a = 1\n\n") == cell_digest("a = 1")
    assert cell_digest("a = 1") != cell_digest(" a = 1")


def test_a_ledger_that_cannot_be_read_is_said(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(tmp_path / "records", keys, 1)
    ledger = open_ledger(tmp_path / "records" / "ledger")

    def refuse() -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ledger.store, "names", refuse)
    with pytest.raises(RecordError, match=r"cannot be read: .*Permission denied"):
        verify_records(tmp_path / "records", ledger=ledger)


def test_a_record_whose_entry_comes_while_it_is_looked_at_is_no_fault(tmp_path: Path, keys: Keys) -> None:
    made = sealed(tmp_path / "records", keys, 2)
    ledger = open_ledger(tmp_path / "records" / "ledger")
    late = iter([["00000001.json"]])
    genuine = ledger.store.names
    ledger.store.names = lambda: next(late, None) or genuine()  # type: ignore[method-assign]
    report = verify_records(tmp_path / "records", ledger=ledger, trust=keys.trust, anchors=[made[0].entry.head] if made[0].entry else [])
    assert report.checks[0].findings == ()
