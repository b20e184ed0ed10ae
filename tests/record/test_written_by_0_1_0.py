"""Journals, plans and records that version 0.1.0 wrote: read, shown, verified and resumed as 0.1.0 did. Their bytes never change."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.inventory import read_inventory
from balbook.plan.model import canonical
from balbook.plan.reading import read_plan
from balbook.record.events import KINDS
from balbook.record.journal import Journal, history_of, read_events, timestamp
from balbook.record.ledger import Head
from balbook.record.lines import HEAD, event_from
from balbook.record.listing import list_records, summary
from balbook.record.progress import line_of
from balbook.record.seal import read_record
from balbook.record.signatures import Trust
from balbook.record.statement import state
from balbook.record.verify import verify_records
from balbook.report.records import runs_frame

DATA = Path(__file__).parents[1] / "data" / "records-0.1.0"
EXPECTED = json.loads((DATA / "expected.json").read_text())
RECORDS = sorted(EXPECTED["records"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, unpacked."""
    place = tmp_path_factory.mktemp("written")
    for name in ("records", "unsealed", "shown"):
        with tarfile.open(DATA / f"{name}.tar.xz") as archive:
            archive.extractall(place, filter="data")
    return place


def shown(written: Path, name: str) -> Any:
    return json.loads((written / "shown" / name).read_text())


def raw_lines(path: Path) -> Iterator[bytes]:
    yield from path.read_bytes().split(b"\n")[:-1]


def test_every_kind_of_event_was_written() -> None:
    kinds = {json.loads(line)["event"] for path in (DATA / "journals").glob("*.jsonl") for line in raw_lines(path)}
    assert kinds == set(KINDS)


def test_every_line_is_read_and_would_be_written_again_as_it_stands(written: Path) -> None:
    paths = [*written.glob("*/*/journal.jsonl"), *written.glob("*/*/*/journal.jsonl"), *(DATA / "journals").glob("*.jsonl")]
    count = 0
    for path in paths:
        for number, line in enumerate(raw_lines(path), 1):
            data = json.loads(line)
            event = event_from(data, f"{path}:{number}")
            head = {key: data[key] for key in HEAD}
            assert canonical(json.loads(json.dumps(event.payload())) | head) == line, f"{path}:{number}"
            count += 1
    assert len(paths) >= 48
    assert count > 1000


@pytest.mark.parametrize("record", RECORDS)
def test_a_history_says_what_0_1_0_said(written: Path, record: str) -> None:
    expected, folder = EXPECTED["records"][record], written / "records" / record
    history = history_of(folder)
    assert hashlib.sha256((folder / "journal.jsonl").read_bytes()).hexdigest() == expected["journal_sha256"]
    assert history.verdict == (expected["verdict"], expected["why"])
    assert (history.is_lost, history.is_cut_off) == (expected["is_lost"], expected["is_cut_off"])
    assert (history.count, history.last and history.last.event) == (expected["events"], expected["last_event"])
    lines = [text for event in read_events(folder / "journal.jsonl") if (text := line_of(event))]
    assert "\n".join(lines).strip() == (written / "shown" / "lines" / f"{record}.txt").read_text().strip()


@pytest.mark.parametrize("record", [r for r in RECORDS if EXPECTED["records"][r].get("plan_digest")])
def test_a_plan_has_the_digest_that_was_shown(written: Path, record: str) -> None:
    expected = EXPECTED["records"][record]
    plan = read_plan(written / "records" / record)
    assert plan.digest == expected["plan_digest"]
    standing, interrupted = history_of(written / "records" / record).earlier(plan.digest)
    assert (standing, sorted(interrupted)) == (expected["steps_finished"], sorted(expected["steps_interrupted"]))


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_shown_as_it_was(written: Path, record: str) -> None:
    then = shown(written, f"show/{record}.json")
    now = json.loads(json.dumps(summary(read_record(written / "records" / record))))
    assert {key: value for key, value in then.items() if key not in ("record", "is_sealed", "signed_by")} == {
        key: value for key, value in now.items() if key != "record"
    }


def test_the_list_is_as_it_was(written: Path) -> None:
    then = [(r["record"], r["run_id"], r["name"], r["verdict"], r["at"], r["user"]) for r in shown(written, "records-list.json")["records"]]
    assert [(r.record, r.run_id, r.name, r.verdict, r.at, r.user) for r in list_records(written / "records")] == then


def test_the_report_counts_the_same_runs(written: Path) -> None:
    frame = runs_frame(written / "records", include_lab=True, include_plans=True)
    now = [{**row, "at": timestamp(row["at"]), "ended_at": timestamp(row["ended_at"])} for row in frame.to_dict("records")]
    as_text = json.loads(json.dumps(now).replace("NaN", "null"))
    assert as_text == sorted(shown(written, "runs-records.json"), key=lambda row: row["at"])


def test_all_records_verify(written: Path) -> None:
    heads = [json.loads(line) for line in (written / "anchors.jsonl").read_text().splitlines()]
    anchors = [Head(head["number"], head["entry_sha256"]) for head in heads]
    report = verify_records(written / "records", trust=Trust(written / "allowed_signers"), anchors=anchors)
    assert [(check.state, check.findings) for check in report.checks] == [("ok", ())] * 7
    assert (report.records, report.exit_status) == (len(RECORDS), 0)
    assert verify_records(written / "unsigned").exit_status == 3


@pytest.mark.parametrize("name", sorted(EXPECTED["unsealed"]))
def test_what_nobody_has_sealed_would_be_sealed_as_it_was(written: Path, name: str) -> None:
    expected = EXPECTED["unsealed"][name]
    folder = written / expected["folder"]
    then = shown(written, f"statements/{name}-{folder.name}.json")
    now = json.loads(json.dumps(state(folder, at=_at(then))))
    assert now == then


def test_an_inventory_of_0_1_0_is_read(written: Path) -> None:
    assert list(read_inventory(written / "inventory.yaml").applications) == ["hotel", "rooms"]


def test_a_journal_of_0_1_0_is_written_on(written: Path, tmp_path: Path) -> None:
    folder = written / EXPECTED["unsealed"]["cut"]["folder"]
    path = tmp_path / "journal.jsonl"
    path.write_bytes((folder / "journal.jsonl").read_bytes())
    whole = list(raw_lines(path))
    Journal(path).append(KINDS["resumed"](by=1))
    assert list(raw_lines(path))[: len(whole)] == whole
    assert history_of(tmp_path).resumes


def _at(statement: dict[str, Any]) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(statement["predicate"]["at"])
