"""A run's folder becomes a record: a statement that names the sha256 of every file, signed as it stands, entered in the ledger.

`statement.py` says what stands in the statement. It is signed byte for byte as it stands; `statement.json.sig` is an armored SSH
signature. Failed runs are sealed too. Where signing does not work the record is sealed unsigned and the ledger's entry says why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

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

_T = TypeVar("_T")


@dataclass(frozen=True)
class Record:
    """A sealed record. `notes` say what its maker must be told; `entry` is None where it was not asked for."""

    folder: Path
    statement: Mapping[str, Any]
    is_signed: bool
    entry: Entry | None = None
    notes: tuple[str, ...] = field(default=())

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
    """The record of a run that is over: stated, signed, entered in the ledger, anchored.

    Refused where the ledger has it already; a seal that was interrupted is done again. RecordError where it cannot be
    written; its message has the verdict and where everything was left. A key or an anchor that does not work is a note.
    """
    if not run_dir.is_dir():
        raise BadInput(f"{run_dir} is not the folder of a run", advice="Name a folder below the inventory's records.path.")
    if (run_dir / STATEMENT).exists() and (found := _reached(run_dir, ledger, "", lambda: ledger.find(run_dir.name))):
        raise Refused(f"{run_dir} is already sealed (entry {found.number})", advice="A record is sealed once.")
    key = signing.fingerprint(sign_with) if sign_with else ""
    statement = _reached(run_dir, ledger, "", lambda: state(run_dir, at=now(), signing_key=key))
    verdict = statement["predicate"]["verdict"]
    last = _reached(run_dir, ledger, verdict, ledger.head) or Head(0, START)
    statement["predicate"]["ledger_head"] = {"number": last.number, "sha256": last.entry_sha256}
    text = json.dumps(statement, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    signature, unsigned = _signature(text, sign_with, environ)

    def write() -> Entry:
        for name, data in ((STATEMENT, text), (SIGNATURE, signature)):
            _write_whole(run_dir / name, data)
        return ledger.append(_entry_fields(run_dir.name, statement, text, signature, unsigned))

    entry = _reached(run_dir, ledger, verdict, write)
    notes = [*statement["predicate"]["notes"], *([f"not signed: {unsigned}"] if unsigned else [])]
    if anchor:
        try:
            anchor.put(entry.head, os.environ if environ is None else environ)
        except (RecordError, BadInput) as exc:
            notes.append(f"not anchored: {exc.message}")
    return Record(run_dir, statement, bool(signature), entry, tuple(notes))


def read_record(run_dir: Path) -> Record:
    """A sealed record as its statement has it; nothing is verified. RecordError where there is none to read."""
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
        raise BadInput(f"{run_dir} was sealed by a newer balbook", advice="Install a newer balbook.")
    signature = run_dir / SIGNATURE
    return Record(run_dir, statement, signature.is_file() and signature.stat().st_size > 0)


def adopt(notebook: Path, records: Path) -> Path:
    """Put an executed notebook, left by plain papermill or JupyterLab, into its run's folder; that folder.

    BadInput where it cannot be read, names no run, or the run is sealed already.
    """
    run = run_of_notebook(notebook, records)
    opened = opening_of(run)
    target = run / f"{opened.runbook if opened else notebook.stem}.ipynb"
    if (run / STATEMENT).exists():
        raise Refused(f"{run} is already sealed", advice="A record is sealed once.")
    if target.resolve() != notebook.resolve():
        _reached(run, None, "", lambda: _write_whole(target, notebook.read_bytes()))
    return run


def run_of_notebook(notebook: Path, records: Path) -> Path:
    """The folder of the run that an executed notebook names in an output; BadInput where there is none."""
    outputs = json.dumps([cell.get("outputs", []) for cell in read_notebook(notebook)["cells"]])
    named = [run for run in run_folders(records) if re.search(rf"(?<![\w-]){re.escape(run_id_of(run))}(?!\w)", outputs)]
    if not named:
        raise BadInput(f"{notebook} is not the notebook of a run in {records}", advice="Was it executed, with this inventory?")
    return named[-1]


# Writing -------------------------------------------------------------------------------------------------------------------


def _signature(text: bytes, key: Path | None, environ: Mapping[str, str] | None) -> tuple[bytes, str]:
    if key is None:
        return b"", "no signing key was named"
    try:
        return signing.sign(text, key, environ=environ), ""
    except SignatureError as exc:
        return b"", exc.message


def _entry_fields(record: str, statement: Mapping[str, Any], text: bytes, signature: bytes, unsigned: str) -> dict[str, Any]:
    predicate = statement["predicate"]
    return {
        **{key: predicate[key] for key in ("at", "name", "verdict")},
        "record": record,
        "statement_sha256": sha256_of(text),
        "signature_sha256": sha256_of(signature) if signature else "",
        "unsigned": unsigned,
    }


def _reached(run_dir: Path, ledger: Ledger | None, verdict: str, write: Callable[[], _T]) -> _T:
    """What `write` returns; a disk or a store that fails becomes a message that keeps the verdict and the place."""
    try:
        return write()
    except OSError as exc:
        ended = f"the run is over ({verdict}), but its" if verdict else "the"
        where = exc.filename or (ledger.location if ledger else run_dir)
        raise RecordError(
            f"{ended} record could not be written: {where}: {exc.strerror or exc}",
            advice=f"Nothing is lost: all of it is in {run_dir}. Once that can be written, run balbook seal {run_dir}",
        ) from exc


def _write_whole(path: Path, data: bytes) -> None:
    """No data: no file."""
    if data:
        write_bytes(path, data, mode=0o600)
    else:
        path.unlink(missing_ok=True)
