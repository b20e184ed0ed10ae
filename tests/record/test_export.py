"""An export is checked by `verify.sh` alone, in an empty environment, and refused once anything in it was altered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BadInput, RecordError
from balbook.local.digests import canonical, sha256_of
from balbook.record.export import export
from balbook.record.journal import START, read_events
from balbook.record.ledger import open_ledger
from balbook.record.seal import Record, seal
from balbook.record.statement import state
from balbook.record.verify import verify_records
from tests.run_folders import BEGIN, Keys, make_key, make_keys, rechain, run_folder, sealed


@dataclass
class Unpacked:
    top: Path
    made: list[Record]
    keys: Keys

    def record(self, number: int) -> Path:
        return self.top / "records" / self.made[number - 1].folder.name

    def verify(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/usr/bin/env", "-i", "/bin/sh", str(self.top / "verify.sh"), *arguments], capture_output=True, text=True, timeout=60, cwd="/"
        )
        return done.returncode, done.stdout + done.stderr


def unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True, timeout=60)


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    keys = make_keys(tmp_path)
    made = sealed(tmp_path / "records", keys, 4)
    assert made[-1].entry
    seen: list[int] = []
    number = export(
        tmp_path / "records",
        tmp_path / "export.tar.gz",
        at=BEGIN,
        trust=keys.trust,
        anchors=[made[-1].entry.head],
        progress=lambda done, total: seen.append(done),
    )
    assert (number, seen) == (4, [1, 2, 3, 4])
    unpack(tmp_path / "export.tar.gz", tmp_path / "away")
    return Unpacked(tmp_path / "away" / "balbook-records", made, keys)


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_a_good_export_is_accepted(unpacked: Unpacked) -> None:
    status, said = unpacked.verify()
    accepted, _, left_out = said.partition("\n")
    assert (status, accepted) == (0, "ACCEPTED: 4 records, 4 entries, signers of allowed_signers")
    assert "Not checked: the HTML pages" in left_out


def forge(unpacked: Unpacked, ending: str) -> None:
    """A record that nobody signed, in a folder named like the first one and an `ending`; with an entry, as whoever unpacks can write it."""
    record, ledger = unpacked.record(1), unpacked.top / "ledger"
    forged = record.with_name(record.name + ending)
    shutil.copytree(record, forged)
    statement = json.loads((forged / "statement.json").read_bytes())
    statement["predicate"] |= {"record": forged.name, "reason": "another one"}
    text = json.dumps(statement).encode()
    (forged / "statement.json").write_bytes(text)
    entry = json.loads((ledger / "00000001.json").read_bytes()) | {
        "number": 5,
        "previous": sha256_of((ledger / "00000004.json").read_bytes()),
        "record": forged.name,
        "statement_sha256": sha256_of(text),
    }
    (ledger / "00000005.json").write_bytes(canonical(entry) + b"\n")


def drop(unpacked: Unpacked) -> None:
    """The second record, with its entry; the ledger chained anew and anchored nowhere."""
    ledger = unpacked.top / "ledger"
    rechain(ledger, [(ledger / f"{number:08}.json").read_bytes() for number in (1, 3, 4)])
    shutil.rmtree(unpacked.record(2))
    (unpacked.top / "anchors.jsonl").write_text("")


TAMPERED: dict[str, Callable[[Unpacked], object]] = {
    "hot_deploy.ipynb": lambda u: edit(u.record(2) / "hot_deploy.ipynb", lambda d: d.replace(b"run.plan()", b"run.plon()")),
    "plan.json is missing": lambda u: (u.record(2) / "plan.json").unlink(),
    "extra was added": lambda u: (u.record(2) / "extra").write_text("x"),
    "statement.json is not the one of entry 2": lambda u: edit(
        u.record(2) / "statement.json", lambda d: d.replace(b"succeeded", b"succeedeD")
    ),
    "statement.json.sig is not the one of entry 2": lambda u: (u.record(2) / "statement.json.sig").unlink(),
    "statement.json is missing": lambda u: (u.record(2) / "statement.json").unlink(),
    "event 3 ": lambda u: edit(u.record(2) / "journal.jsonl", lambda d: d.replace(b'"seq":3,', b'"seq":4,')),
    "stands where entry 2 belongs": lambda u: (u.top / "ledger" / "00000002.json").unlink(),
    "entry 4: is missing at the end": lambda u: (u.top / "ledger" / "00000004.json").unlink(),
    "entry 2 or 3: they do not fit": lambda u: edit(
        u.top / "ledger" / "00000002.json", lambda d: d.replace(b"hot_deploy", b"hot_Deploy", 1)
    ),
    "its signature is not from an allowed signer": lambda u: (u.top / "allowed_signers").write_text("eve@x ssh-ed25519 AAAA\n"),
    "entry 4: is not the one that was anchored": lambda u: edit(u.top / "anchors.jsonl", lambda d: re.sub(rb"[0-9a-f]{64}", b"0" * 64, d)),
    "entry 5: names a record that is not its own": lambda u: forge(u, " "),
    "ALTERED entry 5: names a record that is not its own": lambda u: forge(u, "\n"),
    "when it was signed, entry 2 was another one": drop,
    "json.py: was added": lambda u: (u.top / "json.py").write_text("raise SystemExit(0)"),
    "it or its record is not written": lambda u: edit(u.record(2) / "statement.json", lambda d: b"{"),
}


@pytest.mark.parametrize("place", TAMPERED)
def test_a_tampered_export_is_refused_and_the_place_named(unpacked: Unpacked, place: str) -> None:
    TAMPERED[place](unpacked)
    status, said = unpacked.verify()
    if place == "it or its record is not written":
        place = "statement.json is not the one of entry 2"
    assert status == 1
    assert place in said
    assert said.endswith("REFUSED: something was altered\n")


@pytest.mark.parametrize("key", ["verdict", "reason", "journals"])
def test_a_statement_that_does_not_say_what_its_journal_says_is_refused(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = state

    def lying(*args: Any, **options: Any) -> dict[str, Any]:
        statement = genuine(*args, **options)
        statement["predicate"][key] = [] if key == "journals" else "succeeded"
        return statement

    monkeypatch.setattr("balbook.record.seal.state", lying)
    keys = make_keys(tmp_path)
    made = sealed(tmp_path / "records", keys, 1, verdict="failed")
    export(tmp_path / "records", tmp_path / "export.tar.gz", at=BEGIN, trust=keys.trust)
    unpack(tmp_path / "export.tar.gz", tmp_path / "away")
    status, said = Unpacked(tmp_path / "away" / "balbook-records", made, keys).verify()
    assert status == 1
    assert ("journal.jsonl is not among the journals" if key == "journals" else f"another {key} than its statement") in said


def written_by_a_newer(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """The journal as another balbook would have written it: with this change, and its chain whole."""
    path = folder / "journal.jsonl"
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(events)
    text, before = b"", START
    for number, event in enumerate(events, 1):
        line = canonical({**event, "seq": number, "prev": before})
        text, before = text + line + b"\n", sha256_of(line)
    path.write_bytes(text)


NOT_KNOWN: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "journal.jsonl:5: 'flown' is not a known kind of event": lambda events: events.insert(4, events[4] | {"event": "flown"}),
    "journal.jsonl:1: journal version 9 is newer": lambda events: events[0].update(journal=9),
    "journal.jsonl:5: the event planned has no digest": lambda events: events[4].pop("digest"),
    "journal.jsonl:5: the event planned has a wrong digest": lambda events: events[4].update(digest=[1]),
}


@pytest.mark.parametrize("told", NOT_KNOWN)
def test_what_a_sealed_journal_has_and_this_balbook_does_not_know_is_open_with_file_and_line(
    tmp_path: Path, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, records = make_keys(tmp_path), tmp_path / "records"
    folder = run_folder(records)
    known = list(read_events(folder / "journal.jsonl"))
    written_by_a_newer(folder, NOT_KNOWN[told])
    with monkeypatch.context() as newer:
        newer.setattr("balbook.record.statement.read_events", lambda path: known)
        made = seal(folder, open_ledger(records / "ledger"), sign_with=keys.key)
    assert made.entry
    report = verify_records(records, trust=keys.trust, anchors=[made.entry.head])
    assert report.exit_status == 3
    assert [(c.title, f.place, f.is_open) for c in report.checks for f in c.findings] == [("journal", folder.name, True)]
    assert report.checks[4].findings[0].text.startswith(told)
    export(records, tmp_path / "export.tar.gz", at=BEGIN, trust=keys.trust, anchors=[made.entry.head])
    unpack(tmp_path / "export.tar.gz", tmp_path / "away")
    status, said = Unpacked(tmp_path / "away" / "balbook-records", [made], keys).verify()
    assert (status, said.count("\nOPEN ") + said.startswith("OPEN "), said.count("ALTERED")) == (3, 1, 0)
    assert f"OPEN {folder.name}/{told}" in said


def test_an_archive_that_was_emptied_is_not_accepted(unpacked: Unpacked) -> None:
    for folder in ("records", "ledger"):
        shutil.rmtree(unpacked.top / folder)
        (unpacked.top / folder).mkdir()
    assert unpacked.verify()[0] == 1, "the anchors know of four entries"
    (unpacked.top / "anchors.jsonl").write_text("")
    status, said = unpacked.verify()
    assert status == 3
    assert "deleted entries would not show" in said


def test_nothing_in_the_archive_is_run(unpacked: Unpacked, tmp_path: Path) -> None:
    (unpacked.top / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(0)\n")
    unpacked.verify()
    assert not (tmp_path / "ran").exists()


def test_signers_and_anchors_of_ones_own_may_stand_beside_verify_sh(unpacked: Unpacked) -> None:
    for name in ("allowed_signers", "anchors.jsonl"):
        (unpacked.top / f"my-{name}").write_bytes((unpacked.top / name).read_bytes())
    assert unpacked.verify(*(str(unpacked.top / f"my-{name}") for name in ("allowed_signers", "anchors.jsonl")))[0] == 0


def test_a_revoked_signer_is_refused(unpacked: Unpacked) -> None:
    (unpacked.top / "revoked_keys").write_text(Path(f"{unpacked.keys.key}.pub").read_text())
    assert unpacked.verify()[0] == 1


def test_an_auditor_brings_signers_and_anchors_of_their_own(unpacked: Unpacked, tmp_path: Path) -> None:
    own = tmp_path / "my signers"
    own.write_bytes(unpacked.keys.trust.allowed_signers.read_bytes())
    (unpacked.top / "allowed_signers").write_text("")
    assert unpacked.verify()[0] == 1
    assert unpacked.verify(str(own))[0] == 0
    (tmp_path / "no anchors").write_text("")
    status, said = unpacked.verify(str(own), str(tmp_path / "no anchors"))
    assert status == 3
    assert "not anchored since 0" in said


def test_unsigned_records_are_open(tmp_path: Path) -> None:
    sealed(tmp_path / "records", None, 1)
    export(tmp_path / "records", tmp_path / "export.tar.gz", at=BEGIN)
    unpack(tmp_path / "export.tar.gz", tmp_path)
    status, said = Unpacked(tmp_path / "balbook-records", [], Keys(make_key(tmp_path), None)).verify()  # type: ignore[arg-type]
    assert status == 3
    assert "is not signed: no signing key was named" in said


def test_the_same_records_give_the_same_archive(tmp_path: Path) -> None:
    sealed(tmp_path / "records", None, 1)
    members = []
    for name in ("a.tar.gz", "b.tar.gz"):
        export(tmp_path / "records", tmp_path / name, at=BEGIN)
        with tarfile.open(tmp_path / name) as archive:
            members.append([(m.name, m.mtime, archive.extractfile(m).read()) for m in archive])  # type: ignore[union-attr]
    assert members[0] == members[1]


def test_pages_escape_what_users_wrote_and_need_no_script(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    sealed(tmp_path / "records", None, 2, opened={"reason": evil, "name": evil, "parameters": {evil: evil}, "who": {"user": evil}})
    run_folder(tmp_path / "records", "open")
    export(tmp_path / "records", tmp_path / "export.tar.gz", at=BEGIN)
    unpack(tmp_path / "export.tar.gz", tmp_path)
    pages = sorted((tmp_path / "balbook-records").rglob("*.html"))
    assert len(pages) == 3, "an index and a page for each sealed record; the unsealed run has none"
    for page in pages:
        text = page.read_text()
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "prefers-color-scheme: dark" in text
        for link in re.findall(r'href="([^"#]+)"', text):
            assert (page.parent / link).exists(), link
    assert "The same artifact elsewhere" in pages[-1].read_text()


def test_a_record_that_cannot_be_read_goes_along_and_its_page_says_so(tmp_path: Path) -> None:
    records = tmp_path / "records"
    sealed(records, None, 1)
    bare = run_folder(records, "bare0001")
    (bare / "statement.json").write_text("{")
    export(records, tmp_path / "audit.tar.gz", at=BEGIN)
    with tarfile.open(tmp_path / "audit.tar.gz") as archive:
        page = archive.extractfile(f"balbook-records/pages/{bare.name}.html")
        assert page
        assert b"unreadable" in page.read()


def test_nothing_to_export_and_a_full_disk_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sealed records"):
        export(tmp_path, tmp_path / "x.tar.gz", at=BEGIN)
    sealed(tmp_path / "records", None, 1)
    with pytest.raises(RecordError, match="could not be written"):
        export(tmp_path / "records", tmp_path / "none" / "x.tar.gz", at=BEGIN)
