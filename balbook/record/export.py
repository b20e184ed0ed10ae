"""One archive for an auditor without balbook: records, ledger, signers, anchors, pages to read, and `verify.sh`.

    index.html, pages/<record>.html     for reading; static, without scripts
    ledger/, records/                   as they stand
    allowed_signers, revoked_keys       as named when exporting
    anchors.jsonl                       the anchored heads, one a line
    verify.sh                           checks all of it with ssh-keygen, sha256sum and python3

An auditor who doubts the sender brings their own copies of `verify.sh`, of the allowed signers and of the anchors.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, RecordError
from balbook.local.atomic_files import replacing
from balbook.local.rendering import render
from balbook.local.resources import resource
from balbook.record.events import OWN, RunOpened
from balbook.record.ledger import Head, Ledger, open_ledger
from balbook.record.listing import Listed, list_records, readable, summary
from balbook.record.seal import Record, read_record
from balbook.record.signatures import Trust
from balbook.record.statement import STATEMENT

TOP = "balbook-records"
MOST_ELSEWHERE = 50
"""The number of other records of the same artifact that a page names; the newest ones."""
_OVERVIEW = ("run_id", "at", "started_at", "who", "mode", "reason", "ticket", "approval", "inventory", "git", "seconds", "signing_key")

_SHOWN = ("verdict", "why", "lab", "notes", "steps", "parameters", "measurements", "digests", "versions", "same_artifact")


def export(
    records: Path,
    target: Path,
    *,
    at: datetime,
    ledger: Ledger | None = None,
    trust: Trust | None = None,
    anchors: Iterable[Head] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes all sealed records below `records` to `target` (a `.tar.gz`, moved into place when whole); returns their number.

    Records without a ledger entry are included, and `verify.sh` names them. `at` is the time of the archive's own members.
    """
    book = ledger or open_ledger(records / "ledger")
    rows = [row for row in list_records(records) if (records / row.record / STATEMENT).is_file()]
    head = book.head()
    if not rows or head is None:
        raise BadInput(f"no sealed records in {records}", advice="Run a runbook first, or name another folder.")
    try:
        with replacing(target) as file, tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            add = partial(_add, archive, int(at.timestamp()))
            _add_proofs(add, book, trust, anchors)
            _add_records(add, records, rows, progress)
            add("index.html", render("records/index.html.j2", title="Records of balbook", rows=rows, head=head))
    except OSError as exc:
        raise RecordError(f"{target} could not be written: {exc.strerror or exc}", advice="Name another file.") from exc
    return len(rows)


_Add = Callable[..., None]


def _add(archive: tarfile.TarFile, at: int, name: str, content: bytes | str, mode: int = 0o644) -> None:
    """Adds a member; all have one time and owner, so that the same records give the same archive."""
    data = content.encode() if isinstance(content, str) else content
    member = tarfile.TarInfo(f"{TOP}/{name}")
    member.size, member.mtime, member.mode = len(data), at, mode
    archive.addfile(member, io.BytesIO(data))


def _add_proofs(add: _Add, ledger: Ledger, trust: Trust | None, anchors: Iterable[Head]) -> None:
    add("verify.sh", _verify_script(), 0o755)
    for number in ledger.numbers():
        add(f"ledger/{number:08}.json", ledger.read(number))
    if trust:
        add("allowed_signers", trust.allowed_signers.read_bytes())
    if trust and trust.revoked_keys:
        add("revoked_keys", trust.revoked_keys.read_bytes())
    add("anchors.jsonl", b"".join(head.line() for head in anchors))


def _verify_script() -> str:
    """`verify.sh` with the events that this balbook knows: for each kind the types of its fields, and which it must have."""
    kinds = {name: {f.name: (str(f.type), f.default is MISSING) for f in own} for name, own in OWN.items()}
    script = resource("templates", "records", "verify.sh").read_text()
    return script.replace("KINDS, NEWEST = {}, 0", f"KINDS, NEWEST = {kinds}, {RunOpened.KNOWN}")


def _add_records(add: _Add, records: Path, rows: list[Listed], progress: Callable[[int, int], None]) -> None:
    elsewhere = _elsewhere(records)
    for done, row in enumerate(rows, 1):
        folder = records / row.record
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in name.split("/")):
                add(f"records/{row.record}/{name}", path.read_bytes())
        add(f"pages/{row.record}.html", _record_page(folder, elsewhere))
        progress(done, len(rows))


def _elsewhere(records: Path) -> dict[str, list[Record]]:
    """The records by the artifact digests that they name; read once for all pages."""
    found: dict[str, list[Record]] = {}
    for record in readable(records):
        for digest in record.artifacts:
            found.setdefault(digest, []).append(record)
    return found


def _record_page(folder: Path, elsewhere: dict[str, list[Record]]) -> str:
    blank: dict[str, Any] = dict.fromkeys(_SHOWN, ())  # an older or unreadable record lacks some of these
    try:
        record = read_record(folder)
        others = [other for digest in sorted(record.artifacts) for other in elsewhere.get(digest, ())[-MOST_ELSEWHERE:]]
        shown = blank | summary(record, others)
    except (RecordError, BadInput) as exc:
        blank |= {"verdict": "unreadable", "why": str(exc)}
        return render("records/record.html.j2", title=folder.name, record=blank, overview=(), files={}, folder="")
    overview = [(key, shown[key]) for key in _OVERVIEW if shown.get(key) not in (None, "", {})]
    title = f"{shown['name']} {shown['run_id']}"
    return render("records/record.html.j2", title=title, record=shown, overview=overview, files=record.files, folder=folder.name)
