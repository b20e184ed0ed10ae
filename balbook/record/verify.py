"""Seven numbered checks over records and their ledger; each finding names an alteration and its place.

    1 chain        every entry stands in its place and names the entry before; every record has one entry; the ledger's last
                   entry at the signing of a record comes before the record's own
    2 statement    each statement is the one that its entry names, and agrees with the entry
    3 signature    each statement is signed by an allowed signer, at that time, with a key that is not revoked
    4 files        each file has the digest in the statement; no file is missing, no file was added
    5 journal      each journal is an unbroken chain up to the sealed head, and the statement agrees with journals and files
    6 notebook     each executed notebook fits its journal and, where at hand, the runbook's source
    7 anchor       the anchored heads are in the chain

A check is `ok`, `failed` (something was altered: exit 1), or `open` (no alteration was found, but the proof is incomplete: not
signed, no allowed signers named, a journal with events of a newer balbook, not anchored since N: exit 3).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from balbook.errors import BadInput, ExitStatus, RecordError
from balbook.local.digests import sha256_of_file
from balbook.record.chain import entry_faults, link_faults
from balbook.record.checks import Examiner, Finding
from balbook.record.ledger import Entry, Head, Ledger, number_of, open_ledger
from balbook.record.signatures import Trust
from balbook.record.statement import STATEMENT

TITLES = ("chain", "statement", "signature", "files", "journal", "notebook", "anchor")
CHAIN, ANCHORED = 1, 7
SEALING_S = 1.0


@dataclass(frozen=True)
class Check:
    """One numbered check. `findings`: faults and open points; `notes`: further facts for a reader."""

    number: int
    title: str
    state: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All checks over `records` records and `entries` entries of the ledger."""

    checks: tuple[Check, ...]
    records: int
    entries: int

    @property
    def verdict(self) -> str:
        """`succeeded`, `failed`, or `inconclusive`."""
        states = {check.state for check in self.checks}
        return "failed" if "failed" in states else "inconclusive" if "open" in states else "succeeded"

    @property
    def exit_status(self) -> int:
        return ExitStatus.of(self.verdict)

    def data(self) -> dict[str, object]:
        """The report as plain data, for `--json`."""
        return {"verdict": self.verdict, **asdict(self)}


def verify_records(
    path: Path,
    *,
    ledger: Ledger | None = None,
    trust: Trust | None = None,
    anchors: Iterable[Head] | None = None,
    unread: Iterable[str] = (),
    runbooks: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Checks all records below `path`, or the record at `path`, against their ledger (unset: `ledger` beside the records).

    `anchors`: the anchored heads. `unread`: the anchor's problems. `progress` gets, from one thread, the number of records done and
    of all.
    """
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder of records", advice="Name the inventory's records.path, or one record in it.")
    is_single = (path / STATEMENT).is_file()
    folder = path.parent if is_single else path
    sealed = sorted(p.parent.name for p in folder.glob(f"*/{STATEMENT}"))
    book = ledger or open_ledger(folder / "ledger")
    examiner = Examiner(folder, sealed, trust, runbooks)
    try:
        entries, findings = _entries(book)
    except OSError as exc:
        raise RecordError(f"the ledger {book.location} cannot be read: {exc}", advice="Check its place and your rights there.") from exc
    named = [e for e in entries.values() if e.data and (not is_single or _is_about(e, path))]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for done, found in enumerate(pool.map(examiner.examine, named), 1):
            findings += found
            progress(done, len(named))
    findings += _chain(entries, {f.altered for f in findings if f.altered})
    if not any(f.check == CHAIN for f in findings):  # a broken chain has named its place
        findings += _moved(entries, examiner.seen)
    findings += _records_without_entry(entries, [path.name] if is_single else sealed, folder, book)
    findings += _anchor(entries, list(anchors or ()))
    findings += [Finding(ANCHORED, "anchor", problem, is_open=True) for problem in unread]
    return Report(_checks(findings, examiner.notes), len(named), len(entries))


def _entries(ledger: Ledger) -> tuple[dict[int, Entry], list[Finding]]:
    entries: dict[int, Entry] = {}
    findings = []
    for name in sorted(ledger.store.names()):
        number = number_of(name)
        if not number:
            findings.append(Finding(CHAIN, f"ledger/{name}", "is not an entry: the file was added or renamed"))
            continue
        text = ledger.store.read(name)
        data, faults = entry_faults(number, text)
        entries[number] = Entry(number, data, text)
        findings += [Finding(CHAIN, f"ledger/{name}", fault, altered=number) for fault in faults]
    following = {number - 1: entry.data.get("previous") for number, entry in entries.items()}
    return {n: replace(entry, is_vouched=following.get(n) == entry.sha256) for n, entry in entries.items()}, findings


def _is_about(entry: Entry, run_dir: Path) -> bool:
    return bool(run_dir.name == entry.data["record"] or sha256_of_file(run_dir / STATEMENT) == entry.data["statement_sha256"])


def _chain(entries: dict[int, Entry], suspects: set[int]) -> list[Finding]:
    links = {number: (entry.sha256, str(entry.data.get("previous", ""))) for number, entry in entries.items()}
    faults = link_faults(links, suspects)
    return [Finding(CHAIN, f"ledger/{number:08}.json", text, altered=number) for number, text in faults.items()]


def _moved(entries: dict[int, Entry], seen: Mapping[int, tuple[str, int, str]]) -> list[Finding]:
    """The records whose signed head of the ledger contradicts the chain, which anybody can compute anew without a key."""
    findings = []
    for number, (record, last, sha256) in sorted(seen.items()):
        if last and (last >= number or last not in entries or entries[last].sha256 != sha256):
            text = f"when it was signed, entry {last} was another one: entries up to {max(last, number)} were dropped, moved or rewritten"
            findings.append(Finding(CHAIN, record, text))
    return findings


def _records_without_entry(entries: dict[int, Entry], sealed: Sequence[str], folder: Path, ledger: Ledger) -> list[Finding]:
    numbers: dict[str, list[int]] = {}
    for entry in entries.values():
        numbers.setdefault(str(entry.data.get("record", "")), []).append(entry.number)
    orphans = [record for record in sealed if record not in numbers]
    text = "has no entry in the ledger: the entry was removed, or the seal was interrupted"
    findings = [Finding(CHAIN, record, text) for record in _still_without(orphans, entries, folder, ledger)]
    for record, several in numbers.items():
        if record and len(several) > 1:
            text = f"has {len(several)} entries in the ledger: {', '.join(map(str, several))}"
            findings.append(Finding(CHAIN, record, text))
    return findings


def _still_without(orphans: list[str], entries: dict[int, Entry], folder: Path, ledger: Ledger) -> list[str]:
    """The records that still lack an entry after a moment: a record gets its entry a little after its statement."""
    if any(time.time() - (folder / record / STATEMENT).stat().st_mtime < SEALING_S for record in orphans):
        time.sleep(SEALING_S)
    fresh = {ledger.entry(number).data.get("record") for number in ledger.numbers() if number not in entries} if orphans else set()
    return [record for record in orphans if record not in fresh]


def _anchor(entries: dict[int, Entry], anchors: Sequence[Head]) -> list[Finding]:
    last = max(entries, default=0)
    findings = []
    for head in sorted(set(anchors), key=lambda h: (h.number, h.entry_sha256)):
        place = f"ledger/{head.number:08}.json"
        if head.number > last:
            gone = f"entries {last + 1} to {head.number} are" if head.number - last > 1 else f"entry {head.number} is"
            text = f"{gone} missing at the end: the anchor has entry {head.number}, the ledger ends with entry {last}"
            findings.append(Finding(ANCHORED, place, text))
        elif head.number in entries and entries[head.number].sha256 != head.entry_sha256:
            text = f"entry {head.number} is not the one that was anchored: entry {head.number} or an earlier entry was rewritten"
            findings.append(Finding(ANCHORED, place, text))
    anchored = max((head.number for head in anchors), default=0)
    if not findings and anchored < last:
        since = f"not anchored since {anchored}" if anchored else "not anchored since 0 (never)"
        text = f"{since}: entries that were cut off behind entry {last} would not show"
        findings.append(Finding(ANCHORED, "ledger", text, is_open=True))
    if not last and not anchors:
        text = "is empty and was never anchored: deleted entries would not show"
        findings.append(Finding(ANCHORED, "ledger", text, is_open=True))
    return findings


def _checks(findings: Sequence[Finding], notes: Sequence[tuple[int, str]]) -> tuple[Check, ...]:
    checks = []
    for number, title in enumerate(TITLES, 1):
        mine = tuple(sorted({f for f in findings if f.check == number}, key=lambda f: (f.is_open, f.place, f.text)))
        state = "ok" if not mine else "open" if all(f.is_open for f in mine) else "failed"
        checks.append(Check(number, title, state, mine, tuple(sorted({text for check, text in notes if check == number}))))
    return tuple(checks)
