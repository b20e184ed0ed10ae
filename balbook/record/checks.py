"""One record against its entry in the ledger: checks 2 to 6 of `verify.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, RecordError, SignatureError
from balbook.local.digests import sha256_of, sha256_of_file
from balbook.record import signatures as signing
from balbook.record.chain import journal_faults
from balbook.record.executed import execution_faults
from balbook.record.journal import JOURNAL, read_events
from balbook.record.ledger import Entry
from balbook.record.signatures import Trust
from balbook.record.statement import PREDICATE_TYPE, SIGNATURE, STATEMENT, STATEMENT_TYPE, VERSION, clock_notes, contradictions, files_of

STATED, SIGNED, FILES, JOURNALED, EXECUTED = range(2, 7)


@dataclass(frozen=True)
class Finding:
    """One finding of a check: place, text, and whether the check only stays open (`is_open`). `altered`: the altered entry's number."""

    check: int
    place: str
    text: str
    is_open: bool = False
    altered: int = 0


def altered_entry(check: int, number: int, text: str) -> Finding:
    """The finding that this entry of the ledger was altered."""
    return Finding(check, f"ledger/{number:08}.json", f"entry {number}: {text}", altered=number)


@dataclass
class Examiner:
    """Examines records in one folder, in several threads at once.

    `seen` has, by entry, the record, and number and sha256 of the ledger's last entry when the record was signed.
    """

    folder: Path
    sealed: Sequence[str]
    trust: Trust | None
    runbooks: Path | None
    notes: list[tuple[int, str]] = field(default_factory=list)
    seen: dict[int, tuple[str, int, str]] = field(default_factory=dict)

    def examine(self, entry: Entry) -> list[Finding]:
        """All findings about the record that this entry names."""
        run_dir = self.folder / str(entry.data["record"])
        if run_dir.parent != self.folder or not (run_dir / STATEMENT).is_file():
            return [self._missing(entry, run_dir)]
        text = (run_dir / STATEMENT).read_bytes()
        signature = (run_dir / SIGNATURE).read_bytes() if (run_dir / SIGNATURE).is_file() else b""
        statement, findings = _statement(text, run_dir.name)
        if sha256_of(text) != entry.data["statement_sha256"]:
            findings = [f for f in findings if not f.is_open]  # the sealed version was another one: the statement was altered
        findings += self._against_entry(entry, run_dir.name, statement, text, signature)
        if not statement:
            return findings
        predicate = statement["predicate"]
        findings += self._signed(run_dir.name, predicate, text, signature, entry)
        if predicate["record"] != run_dir.name:
            return findings  # the statement of another record says nothing of these files
        if sha256_of(text) == entry.data["statement_sha256"] and isinstance(head := predicate.get("ledger_head"), Mapping):
            self.seen[entry.number] = run_dir.name, head["number"], head["sha256"]
        kept = self._files(run_dir, {s["name"]: s["digest"]["sha256"] for s in statement["subject"]})
        for journal in predicate["journals"]:
            kept += self._journal(run_dir, journal)
        if not any(f.check in (FILES, JOURNALED) for f in kept):
            kept += [Finding(JOURNALED, run_dir.name, f"{JOURNAL}: {fault}") for fault in contradictions(run_dir, predicate)]
        return findings + kept

    def _missing(self, entry: Entry, run_dir: Path) -> Finding:
        what = STATEMENT if run_dir.is_dir() and run_dir.parent == self.folder else "the record's folder"
        return self._odd(STATED, str(entry.data["record"]), f"{what} is missing", entry)

    def _against_entry(self, entry: Entry, place: str, statement: Mapping[str, Any], text: bytes, signature: bytes) -> list[Finding]:
        """Compares statement and signature with the entry."""
        number, named, findings = entry.number, str(entry.data["signature_sha256"]), []
        if sha256_of(text) != entry.data["statement_sha256"]:
            findings.append(self._odd(STATED, place, f"{STATEMENT} is not the one of entry {number}", entry))
        elif statement:
            findings += [
                altered_entry(STATED, number, f"{key} is {entry.data[key]!r}, the statement says {statement['predicate'].get(key)!r}")
                for key in ("at", "name", "verdict", "record")
                if entry.data[key] != statement["predicate"].get(key)
            ]
        if bool(named) == bool(entry.data["unsigned"]):
            findings.append(altered_entry(SIGNED, number, "signature_sha256 and unsigned contradict each other"))
        elif named != (sha256_of(signature) if signature else ""):
            told = f"is not the one of entry {number}" if signature else "is missing"
            findings.append(self._odd(SIGNED, place, f"{SIGNATURE} {told}", entry))
        return findings

    @staticmethod
    def _odd(check: int, place: str, text: str, entry: Entry) -> Finding:
        """The finding that a record does not fit its entry; where the next entry does not vouch for the entry, either can be altered."""
        if entry.is_vouched:
            return Finding(check, place, f"{text}; entry {entry.number} is intact, so the record was altered")
        return altered_entry(check, entry.number, f"{place}: {text}; the record or the entry was altered")

    def _signed(self, place: str, predicate: Mapping[str, Any], text: bytes, signature: bytes, entry: Entry) -> list[Finding]:
        if not signature:
            told = f"is not signed: {entry.data['unsigned']}"
            return [] if entry.data["signature_sha256"] else [Finding(SIGNED, place, told, is_open=True)]
        try:
            if sha256_of(text) != entry.data["statement_sha256"]:
                signing.check(text, signature)  # an altered statement ends here in most cases, without a look at the signers
            at = datetime.fromisoformat(predicate["at"])
            signer = signing.verify(text, signature, self.trust, at) if self.trust else signing.check(text, signature)
        except SignatureError as exc:
            what = f"{STATEMENT} or {SIGNATURE}: " if exc.fault == "altered" else ""
            return [Finding(SIGNED, place, what + exc.message)]
        except ValueError:
            return [Finding(STATED, place, f"{STATEMENT}: at is not a time")]
        findings, named = [], predicate.get("signing_key")
        if named and named != signer.fingerprint:  # `records show` prints the key that the statement names
            findings.append(Finding(SIGNED, place, f"is signed with {signer.fingerprint}, the statement says {named}"))
        if self.trust:
            self.notes.append((SIGNED, f"signed by {signer.principal} with {signer.fingerprint}"))
        else:
            told = f"is signed with {signer.fingerprint}; the key's owner is unknown, since no file of allowed signers was named"
            findings.append(Finding(SIGNED, place, told, is_open=True))
        return findings

    def _files(self, run_dir: Path, named: Mapping[str, str]) -> list[Finding]:
        place, findings = run_dir.name, []
        try:
            present = set(files_of(run_dir))
        except RecordError as exc:
            return [Finding(FILES, place, exc.message)]
        for name in sorted(present | set(named)):
            if name not in present:
                findings.append(Finding(FILES, place, f"{name} is missing"))
            elif name not in named:
                findings.append(Finding(FILES, place, f"{name} was added after the seal"))
            elif (found := sha256_of_file(run_dir / name)) != named[name]:
                findings.append(Finding(FILES, place, f"{name} {self._told(found, place, name)}"))
        return findings

    def _journal(self, run_dir: Path, journal: Mapping[str, Any]) -> list[Finding]:
        place, name = run_dir.name, str(journal["name"])
        path = run_dir / name
        if name not in files_of(run_dir):
            return [Finding(JOURNALED, place, f"{name} is missing")]
        faults = journal_faults(path.read_bytes(), head=journal["head"], events=journal["events"], cut_bytes=journal["cut_bytes"])
        executed: list[str] = []
        if not faults:
            try:
                events = list(read_events(path))
            except BadInput as exc:
                told = exc.message.replace(str(path), name)
                return [Finding(JOURNALED, place, f"{told}; the statement was not compared with this journal", is_open=True)]
            executed, notes = execution_faults(path.parent, events, self.runbooks)
            self.notes += [(EXECUTED, note if "runbook" in note else f"{place}: {note}") for note in notes]
            self.notes += [(JOURNALED, f"{place}: {note}") for note in clock_notes(events)]
        return [Finding(JOURNALED, place, f"{name}: {fault}") for fault in faults] + [Finding(EXECUTED, place, fault) for fault in executed]

    def _told(self, sha256: str, place: str, name: str) -> str:
        owner = self._owners.get(sha256)
        return f"was exchanged: it is {owner}" if owner and owner != f"{place}/{name}" else "was altered"

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        """The file with each digest by the statements of all records; they are read only when something is wrong."""
        owners: dict[str, str] = {}
        for record in self.sealed:
            for subject in _statement((self.folder / record / STATEMENT).read_bytes(), record)[0].get("subject", ()):
                owners.setdefault(subject["digest"]["sha256"], f"{record}/{subject['name']}")
        return owners


def _statement(text: bytes, record: str) -> tuple[dict[str, Any], list[Finding]]:
    """The statement (empty: unusable) and its faults."""
    try:
        statement: dict[str, Any] = json.loads(text)
        predicate = statement["predicate"]
        if predicate["version"] > VERSION:
            return {}, [Finding(STATED, record, "was sealed by a newer balbook: install that version to check the record", is_open=True)]
        for subject in statement["subject"]:
            _ = subject["name"] + subject["digest"]["sha256"]
        for journal in predicate["journals"]:
            _ = journal["name"] + journal["head"], journal["events"] + journal["cut_bytes"]
        _ = predicate["verdict"] + predicate["at"] + predicate["record"]
        head = predicate.get("ledger_head", {"number": 0, "sha256": ""})
        _ = head["number"] + 0, head["sha256"] + ""
        is_ours = statement["_type"] == STATEMENT_TYPE and statement["predicateType"] == PREDICATE_TYPE
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, [Finding(STATED, record, f"{STATEMENT} cannot be read")]
    if not is_ours:
        return statement, [Finding(STATED, record, f"{STATEMENT} is not the statement of a balbook record")]
    if predicate["record"] != record:
        return statement, [Finding(STATED, record, f"{STATEMENT} is that of {predicate['record']}: the folder was renamed or copied")]
    return statement, []
