"""A run's folder becomes a record: a statement that names the sha256 of every file is signed and entered in the ledger.

`statement.py` describes the statement. The signature `statement.json.sig` is an armored SSH signature of the statement's exact
bytes. Failed runs are sealed too. Where signing fails, the record is sealed unsigned and the ledger's entry says why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, RecordError, Refused, SignatureError
from balbook.local.atomic_files import write_bytes
from balbook.local.digests import sha256_of
from balbook.notebook.notebook_file import read_notebook
from balbook.record import signatures as signing
from balbook.record.anchors import Anchor
from balbook.record.journal import START, opening_of, utc_now
from balbook.record.ledger import Entry, Head, Ledger
from balbook.record.run_ids import run_folders
from balbook.record.statement import SIGNATURE, STATEMENT, VERSION, run_id_of, state


@dataclass(frozen=True)
class Record:
    """A sealed record. `notes` are for its maker; `entry` is None where the record was only read."""

    folder: Path
    statement: Mapping[str, Any]
    is_signed: bool
    entry: Entry | None = None
    notes: tuple[str, ...] = ()

    @property
    def predicate(self) -> Mapping[str, Any]:
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def verdict(self) -> str:
        return str(self.predicate["verdict"])

    @property
    def files(self) -> dict[str, str]:
        """sha256 by the name of each file."""
        return {subject["name"]: subject["digest"]["sha256"] for subject in self.statement["subject"]}

    @property
    def artifacts(self) -> set[str]:
        """sha256 of the artifacts that the run was about."""
        return {value for path, value in (self.predicate.get("digests") or {}).items() if "artifact" in path}


def seal(
    run_dir: Path,
    ledger: Ledger,
    *,
    sign_with: Path | None = None,
    anchor: Anchor | None = None,
    now: Callable[[], datetime] = utc_now,
    environ: Mapping[str, str] | None = None,
) -> Record:
    """Seals a run that is over: states, signs, enters in the ledger, anchors; returns the record.

    Refused where the ledger has the record already; an interrupted seal is done again. RecordError where the record cannot be
    written; the message has the verdict and the place of the files. A key or an anchor that fails is a note.
    """
    if not run_dir.is_dir():
        raise BadInput(f"{run_dir} is not the folder of a run", advice="Name a folder below the inventory's records.path.")
    with _told(run_dir, ledger.location):
        if (run_dir / STATEMENT).exists() and (found := ledger.find(run_dir.name)):
            raise Refused(f"{run_dir} is already sealed (entry {found.number})", advice="A record is sealed once.")
        statement = state(run_dir, at=now(), signing_key=signing.fingerprint(sign_with) if sign_with else "")
    with _told(run_dir, ledger.location, statement["predicate"]["verdict"]):
        last = ledger.head() or Head(0, START)
        statement["predicate"]["ledger_head"] = {"number": last.number, "sha256": last.entry_sha256}
        text = json.dumps(statement, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        signature, unsigned = b"", "" if sign_with else "no signing key was named"
        try:
            signature = signing.sign(text, sign_with, environ=environ) if sign_with else b""
        except SignatureError as exc:
            unsigned = exc.message
        for name, data in ((STATEMENT, text), (SIGNATURE, signature)):
            _write_whole(run_dir / name, data)
        fields = {key: statement["predicate"][key] for key in ("at", "name", "verdict", "record")}
        digests = {"statement_sha256": sha256_of(text), "signature_sha256": sha256_of(signature) if signature else ""}
        entry = ledger.append({**fields, **digests, "unsigned": unsigned})
    notes = [*statement["predicate"]["notes"], *([f"not signed: {unsigned}"] if unsigned else [])]
    if anchor:
        try:
            anchor.put(entry.head, os.environ if environ is None else environ)
        except (RecordError, BadInput) as exc:
            notes.append(f"not anchored: {exc.message}")
    return Record(run_dir, statement, bool(signature), entry, tuple(notes))


def read_record(run_dir: Path) -> Record:
    """A sealed record as its statement describes it, unverified. RecordError where the folder has no readable statement."""
    try:
        statement = json.loads((run_dir / STATEMENT).read_bytes())
        is_newer = statement["predicate"]["version"] > VERSION
        _ = statement["subject"], statement["predicate"]["verdict"]
    except FileNotFoundError as exc:
        advice = f"Run balbook seal {run_dir}" if run_dir.is_dir() else "Run balbook records list."
        raise RecordError(f"{run_dir} is not a sealed record: it has no {STATEMENT}", advice=advice) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RecordError(f"{run_dir / STATEMENT} cannot be read", advice=f"Run balbook records verify {run_dir}") from exc
    if is_newer:
        raise BadInput(f"{run_dir} was sealed by a newer balbook", advice="Install that version or a later one.")
    signature = run_dir / SIGNATURE
    return Record(run_dir, statement, signature.is_file() and signature.stat().st_size > 0)


def adopt(notebook: Path, records: Path) -> Path:
    """Puts an executed notebook, left by plain papermill or JupyterLab, into its run's folder; returns that folder.

    BadInput where the notebook cannot be read or names no run; Refused where the run is sealed already.
    """
    run = run_of_notebook(notebook, records)
    opened = opening_of(run)
    target = run / f"{opened.runbook if opened else notebook.stem}.ipynb"
    if (run / STATEMENT).exists():
        raise Refused(f"{run} is already sealed", advice="A record is sealed once.")
    if target.resolve() != notebook.resolve():
        with _told(run, str(run)):
            _write_whole(target, notebook.read_bytes())
    return run


def run_of_notebook(notebook: Path, records: Path) -> Path:
    """The folder of the run that an executed notebook names in an output; BadInput where it names no run of `records`."""
    outputs = json.dumps([cell.get("outputs", []) for cell in read_notebook(notebook)["cells"]])
    named = [run for run in run_folders(records) if re.search(rf"(?<![\w-]){re.escape(run_id_of(run))}(?!\w)", outputs)]
    if not named:
        raise BadInput(f"{notebook} is not the notebook of a run in {records}", advice="Was the notebook executed with this inventory?")
    return named[-1]


# Writing -------------------------------------------------------------------------------------------------------------------


@contextmanager
def _told(run_dir: Path, location: str, verdict: str = "") -> Iterator[None]:
    """Turns the error of a disk or a store into a message that keeps the verdict and the place."""
    try:
        yield
    except OSError as exc:
        ended = f"the run has ended ({verdict}), but its" if verdict else "the"
        raise RecordError(
            f"{ended} record could not be written: {exc.filename or location}: {exc.strerror or exc}",
            advice=f"Nothing is lost: all files are in {run_dir}. Once that folder can be written, run balbook seal {run_dir}",
        ) from exc


def _write_whole(path: Path, data: bytes) -> None:
    """Writes the file; without data, removes it."""
    if data:
        write_bytes(path, data, mode=0o600)
    else:
        path.unlink(missing_ok=True)
