"""`records list|show|verify|diff|export|anchor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.cli import common
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.local.resources import resource
from balbook.record.description import description
from balbook.show.table import Table

RUNNING = "running"
MOST_SHOWN = 60


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `records`, one parser for each action."""
    parser.epilog = "example: balbook records list && balbook records show 3f2a90c1"
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listing = _action(actions, "list", "all runs, the newest last", "balbook records list --last 5")
    listing.add_argument("--last", type=int, default=0, metavar="N", help="only the newest N")
    listing.set_defaults(run=list_all)
    showing = _action(actions, "show", "one run: who, why, its steps, what was measured, its files", "balbook records show 3f2a90c1")
    common.add_run_id(showing, "the run")
    showing.set_defaults(run=show)
    verify_one = _action(actions, "verify", "numbered checks: has anything been altered?", "balbook records verify")
    verify_one.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a folder of records, or one record (else the inventory's)")
    verify_one.set_defaults(run=verify)
    difference = _action(actions, "diff", "what differs between two records", "balbook records diff 3f2a90c1 77d0c2ab")
    difference.add_argument("a", metavar="RUN_ID")
    difference.add_argument("b", metavar="RUN_ID")
    difference.set_defaults(run=diff)
    exporting = _action(actions, "export", "one archive with pages and a verify.sh", "balbook records export audit.tar.gz")
    exporting.add_argument("target", type=Path, metavar="FILE")
    exporting.set_defaults(run=export)
    anchoring = _action(actions, "anchor", "put the ledger's head out of the editor's reach", "balbook records anchor")
    anchoring.set_defaults(run=anchor)


def list_all(args: argparse.Namespace) -> int:
    """One line a run."""
    from balbook.record.listing import list_records

    inventory = common.inventory_of(args)
    records = inventory.resolve(inventory.records.path)
    found = [_row(records, asdict(listed)) for listed in list_records(records)][-args.last if args.last > 0 else None :]
    if args.json:
        common.print_json({"records": found})
        return 0
    columns = ("at", "run", "name", "mode", "release", "verdict", "by", "sealed")
    rows = [(r["at"][:19], r["run_id"], r["name"], r["mode"], r["release"] or "-", r["verdict"], r["user"], r["sealed"]) for r in found]
    print(Table(columns, rows, title=str(records), note="" if rows else "No run is recorded here."))
    return 0


def show(args: argparse.Namespace) -> int:
    """One run, read and not verified."""
    from balbook.record.listing import summary

    inventory = common.inventory_of(args)
    folder = common.run_of(inventory, args.run_id)
    record = _record(folder)
    data = {**summary(record), "record": str(folder), "is_sealed": (folder / "statement.json").exists(), "signed_by": ""}
    if data["is_signed"]:
        data["signed_by"] = _signed_by(inventory, folder, data)
    if _is_running(folder):
        data |= {"verdict": RUNNING, "why": ""}
    if args.json:
        common.print_json(data)
    else:
        print("\n\n".join(str(table) for table in description(data)))
    return 0


def _action(actions: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
    common.add_inventory(parser)
    common.add_json(parser)
    return parser


def _row(records: Path, listed: dict[str, Any]) -> dict[str, Any]:
    """A run of the list; one that is not sealed has the verdict that its journal states."""
    from balbook.record.journal import history_of
    from balbook.record.listing import UNREADABLE, UNSEALED

    folder = records / listed["record"]
    is_sealed = listed["verdict"] not in (UNSEALED, UNREADABLE)
    mode = ""
    try:
        history = history_of(folder)
        mode = history.opened.mode if history.opened else ""
        if listed["verdict"] == UNSEALED:
            listed["verdict"] = RUNNING if _is_running(folder) else history.verdict[0]
    except BadInput:
        if listed["verdict"] == UNSEALED:
            listed["verdict"] = UNREADABLE
    return {**listed, "mode": mode, "sealed": ("signed" if listed["is_signed"] else "unsigned") if is_sealed else "no"}


def _record(folder: Path) -> Any:
    """The sealed record, or what would be stated of a run that is not sealed."""
    from balbook.record.journal import utc_now
    from balbook.record.seal import Record, read_record
    from balbook.record.statement import STATEMENT, state

    if (folder / STATEMENT).exists():
        return read_record(folder)
    return Record(folder, state(folder, at=utc_now()), is_signed=False)


def _signed_by(inventory: Inventory, folder: Path, data: Mapping[str, Any]) -> str:
    """Who signed, shown by the signature and the allowed signers; empty where these do not show it."""
    from balbook.errors import BadInput, RecordError
    from balbook.record import signatures as signing
    from balbook.record.keeping import trust_of
    from balbook.record.statement import SIGNATURE, STATEMENT

    try:
        trust, at = trust_of(inventory), datetime.fromisoformat(data["at"])
        signer = trust and signing.verify((folder / STATEMENT).read_bytes(), (folder / SIGNATURE).read_bytes(), trust, at)
    except (BadInput, RecordError, ValueError):
        return ""
    return signer.principal if signer and signer.fingerprint == data["signing_key"] else ""


def _is_running(folder: Path) -> bool:
    """Whether a process of the run is alive now."""
    from balbook.engine.process import find

    return find(folder) is not None


def verify(args: argparse.Namespace) -> int:
    """Checks all records, or one; exit 1 where something was altered, 3 where something stays open."""
    from balbook.record import keeping as sealing
    from balbook.record.verify import verify_records

    inventory = common.inventory_of(args)
    path = args.path or sealing.records_folder(inventory)
    is_own = args.path is None or args.path.resolve().is_relative_to(sealing.records_folder(inventory))
    anchors, unread = _anchored(inventory)
    report = verify_records(
        path,
        ledger=sealing.ledger_of(inventory) if is_own else None,
        trust=sealing.trust_of(inventory),
        anchors=anchors,
        unread=unread,
        runbooks=resource("runbooks"),
        progress=_progress,
    )
    if args.json:
        common.print_json(report.data())
        return report.exit_status
    rows = []
    for check in report.checks:
        lines = [f"{f.place}: {f.text}" for f in check.findings] or [*check.notes] or [""]
        rows += [
            (check.number if i == 0 else "", check.title if i == 0 else "", check.state if i == 0 else "", line)
            for i, line in enumerate(lines)
        ]
    print(Table(("#", "check", "result", "found"), rows, title=f"{report.records} records, {report.entries} entries: {report.verdict}"))
    return report.exit_status


def diff(args: argparse.Namespace) -> int:
    """What differs; times of day do not count."""
    from balbook.record.listing import diff as differences
    from balbook.record.seal import read_record

    inventory = common.inventory_of(args)
    found = differences(*(read_record(common.run_of(inventory, name)) for name in (args.a, args.b)))
    if args.json:
        common.print_json([{"what": d.what, "before": d.before, "after": d.after} for d in found])
    else:
        note = "" if found else "They do not differ."
        print(Table(("what", args.a, args.b), [(d.what, _cell(d.before), _cell(d.after)) for d in found], note=note))
    return 0


def export(args: argparse.Namespace) -> int:
    """Writes the archive."""
    from balbook.record import keeping as sealing
    from balbook.record.export import export as write
    from balbook.record.journal import utc_now

    inventory = common.inventory_of(args)
    if args.target.exists():
        raise BadInput(f"{args.target} exists", advice="Name another file; nothing is overwritten.")
    anchors, unread = _anchored(inventory)
    for problem in unread:
        common.say(f"anchor: {problem}")
    count = write(
        sealing.records_folder(inventory),
        args.target,
        at=utc_now(),
        ledger=sealing.ledger_of(inventory),
        trust=sealing.trust_of(inventory),
        anchors=anchors,
        progress=_progress,
    )
    print(f"{args.target}: {count} records. Check it anywhere: tar -xzf {args.target.name} && sh balbook-records/verify.sh")
    return 0


def anchor(args: argparse.Namespace) -> int:
    """Anchors the head now."""
    from balbook.record import keeping as sealing
    from balbook.record.anchors import anchor as put

    inventory = common.inventory_of(args)
    to = sealing.anchor_of(inventory)
    if to is None:
        raise BadInput(f"{inventory.path} says nothing of an anchor", advice="Set records.anchor: a signed git tag, or a command.")
    head, where = put(sealing.ledger_of(inventory), to, environ=sealing.bare_environment(inventory))
    print(f"entry {head.number}: {where}")
    return 0


def _anchored(inventory: Inventory) -> tuple[Sequence[Any], Sequence[str]]:
    """The heads that the inventory's anchor has, none where it has none; and what of it could not be read."""
    from balbook.record import keeping as sealing

    to = sealing.anchor_of(inventory)
    return to.readable(sealing.bare_environment(inventory), sealing.trust_of(inventory)) if to else ([], [])


def _progress(done: int, total: int) -> None:
    if total >= 200 and done % 100 == 0 and sys.stderr.isatty():
        print(f"\r{done} of {total} records", end="\n" if done == total else "", file=sys.stderr)


def _cell(value: Any) -> str:
    """At most so much that both sides fit on a line; `--json` has all of it."""
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
