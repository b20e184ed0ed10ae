"""`records list|show|verify|diff|export|anchor`: works with the records of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.cli import common
from balbook.cli.common import Action, argument
from balbook.engine.process import find
from balbook.errors import BadInput, RecordError
from balbook.inventory import Inventory
from balbook.local.resources import resource
from balbook.record import anchors, export, keeping, listing, signatures
from balbook.record.description import description
from balbook.record.journal import history_of, utc_now
from balbook.record.seal import Record, read_record
from balbook.record.statement import SIGNATURE, STATEMENT, state
from balbook.record.verify import verify_records
from balbook.show.table import Table

RUNNING = "running"
MOST_SHOWN = 60


def _list(args: argparse.Namespace) -> int:
    """Prints one line for each run."""
    records = keeping.records_folder(common.inventory_of(args))
    found = [_row(records, asdict(listed)) for listed in listing.list_records(records)][-args.last if args.last > 0 else None :]
    columns = ("at", "run", "name", "mode", "release", "verdict", "by", "sealed")
    rows = [(r["at"][:19], r["run_id"], r["name"], r["mode"], r["release"] or "-", r["verdict"], r["user"], r["sealed"]) for r in found]
    note = "" if rows else "No run is recorded here."
    common.show(args, {"records": found}, Table(columns, rows, title=str(records), note=note))
    return 0


def _row(records: Path, listed: dict[str, Any]) -> dict[str, Any]:
    """A run of the list; an unsealed run has the verdict that its journal states."""
    folder = records / listed["record"]
    is_sealed = listed["verdict"] not in (listing.UNSEALED, listing.UNREADABLE)
    mode = ""
    try:
        history = history_of(folder)
        mode = history.opened.mode if history.opened else ""
        if listed["verdict"] == listing.UNSEALED:
            listed["verdict"] = RUNNING if find(folder) else history.verdict[0]
    except BadInput:
        if listed["verdict"] == listing.UNSEALED:
            listed["verdict"] = listing.UNREADABLE
    return {**listed, "mode": mode, "sealed": ("signed" if listed["is_signed"] else "unsigned") if is_sealed else "no"}


def _show(args: argparse.Namespace) -> int:
    """Prints one run, read and not verified; for an unsealed run the statement that sealing would make."""
    inventory = common.inventory_of(args)
    folder = common.run_of(inventory, args.run_id)
    is_sealed = (folder / STATEMENT).exists()
    record = read_record(folder) if is_sealed else Record(folder, state(folder, at=utc_now()), is_signed=False)
    data = {**listing.summary(record), "record": str(folder), "is_sealed": is_sealed, "signed_by": ""}
    if data["is_signed"]:
        data["signed_by"] = _signed_by(inventory, folder, data)
    if find(folder):
        data |= {"verdict": RUNNING, "why": ""}
    common.show(args, data, "\n\n".join(str(table) for table in description(data)))
    return 0


def _signed_by(inventory: Inventory, folder: Path, data: Mapping[str, Any]) -> str:
    """The signer, proven by the signature and the allowed signers; empty without that proof."""
    try:
        trust, at = keeping.trust_of(inventory), datetime.fromisoformat(data["at"])
        signer = trust and signatures.verify((folder / STATEMENT).read_bytes(), (folder / SIGNATURE).read_bytes(), trust, at)
    except (BadInput, RecordError, ValueError):
        return ""
    return signer.principal if signer and signer.fingerprint == data["signing_key"] else ""


def _verify(args: argparse.Namespace) -> int:
    """Checks all records, or one; exit status 1 if a record was altered, 3 if a question stays open."""
    inventory = common.inventory_of(args)
    records = keeping.records_folder(inventory)
    is_own = args.path is None or args.path.resolve().is_relative_to(records)
    heads, unread = _anchored(inventory)
    report = verify_records(
        args.path or records,
        ledger=keeping.ledger_of(inventory) if is_own else None,
        trust=keeping.trust_of(inventory),
        anchors=heads,
        unread=unread,
        runbooks=resource("runbooks"),
        progress=_progress,
    )
    rows: list[Sequence[object]] = []
    for check in report.checks:
        first, *more = [f"{f.place}: {f.text}" for f in check.findings] or [*check.notes] or [""]
        rows += [(check.number, check.title, check.state, first), *(("", "", "", line) for line in more)]
    title = f"{report.records} records, {report.entries} entries: {report.verdict}"
    common.show(args, report.data(), Table(("#", "check", "result", "found"), rows, title=title))
    return report.exit_status


def _diff(args: argparse.Namespace) -> int:
    """Prints the differences between two records; times of day do not count."""
    inventory = common.inventory_of(args)
    found = listing.diff(*(read_record(common.run_of(inventory, name)) for name in (args.a, args.b)))
    rows, note = [(d.what, _cell(d.before), _cell(d.after)) for d in found], "" if found else "The records do not differ."
    common.show(args, [vars(d) for d in found], Table(("what", args.a, args.b), rows, note=note))
    return 0


def _cell(value: Any) -> str:
    """The value, cut so that both sides fit on a line; `--json` has the whole value."""
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _export(args: argparse.Namespace) -> int:
    """Writes the archive."""
    inventory = common.inventory_of(args)
    if args.target.exists():
        raise BadInput(f"{args.target} exists", advice="Name another file; nothing is overwritten.")
    heads, unread = _anchored(inventory)
    for problem in unread:
        common.say(f"anchor: {problem}")
    count = export.export(
        keeping.records_folder(inventory),
        args.target,
        at=utc_now(),
        ledger=keeping.ledger_of(inventory),
        trust=keeping.trust_of(inventory),
        anchors=heads,
        progress=_progress,
    )
    check = f"tar -xzf {args.target.name} && sh balbook-records/verify.sh"
    print(f"{args.target}: {count} records. Verify them on any machine: {check}")
    return 0


def _anchor(args: argparse.Namespace) -> int:
    """Anchors the head now."""
    inventory = common.inventory_of(args)
    anchor = keeping.anchor_of(inventory)
    if anchor is None:
        raise BadInput(f"{inventory.path} has no records.anchor", advice="Set records.anchor: a signed git tag, or a command.")
    head, where = anchors.anchor(keeping.ledger_of(inventory), anchor, environ=keeping.bare_environment(inventory))
    print(f"entry {head.number}: {where}")
    return 0


def _anchored(inventory: Inventory) -> tuple[Sequence[Any], Sequence[str]]:
    """The heads that the inventory's anchor has, and the problems in reading them; both empty without an anchor."""
    anchor = keeping.anchor_of(inventory)
    return anchor.readable(keeping.bare_environment(inventory), keeping.trust_of(inventory)) if anchor else ([], [])


def _progress(done: int, total: int) -> None:
    if total >= 200 and done % 100 == 0 and sys.stderr.isatty():
        print(f"\r{done} of {total} records", end="\n" if done == total else "", file=sys.stderr)


EXAMPLE = "balbook records list && balbook records show 3f2a90c1"
SHARED = (common.INVENTORY, common.JSON)
LAST = argument("--last", type=int, default=0, metavar="N", help="only the newest N")
PATH = argument("path", nargs="?", type=Path, metavar="PATH", help="a folder of records, or one record (default: the inventory's records)")
RUNS = argument("a", metavar="RUN_ID"), argument("b", metavar="RUN_ID")
TARGET = argument("target", type=Path, metavar="FILE")
ACTIONS = {
    "list": Action("list all runs, the newest last", "balbook records list --last 5", (*SHARED, LAST), _list),
    "show": Action(
        "show one run: who, why, its steps, its measurements, its files",
        "balbook records show 3f2a90c1",
        (*SHARED, common.run_id("the run")),
        _show,
    ),
    "verify": Action("check by numbered checks that no record was altered", "balbook records verify", (*SHARED, PATH), _verify),
    "diff": Action("show the differences between two records", "balbook records diff 3f2a90c1 77d0c2ab", (*SHARED, *RUNS), _diff),
    "export": Action("write one archive with pages and a verify.sh", "balbook records export audit.tar.gz", (*SHARED, TARGET), _export),
    "anchor": Action("put the ledger's head where an editor of the records cannot reach it", "balbook records anchor", SHARED, _anchor),
}
