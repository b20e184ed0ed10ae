"""`records verify|diff|export|anchor`, `approve`: what an auditor, and whoever answers to one, calls."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balbook.cli import options
from balbook.errors import BadInput
from balbook.inventory import Inventory
from balbook.show.table import Table

MOST_SHOWN = 60
EXAMPLE = "balbook approve 3f2a90c1 --key ~/.ssh/id_ed25519"


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `approve`."""
    parser.epilog = f"example: {EXAMPLE}"
    options.add_inventory(parser)
    parser.add_argument("run_id", metavar="RUN_ID", help="the run that showed the plan")
    parser.add_argument("--key", type=Path, metavar="FILE", help="your SSH key (else the inventory's records.sign_with)")
    parser.add_argument("--reason", default="", metavar="TEXT")
    parser.set_defaults(run=approve)


def add_actions(actions: Any, action: Any) -> None:
    """The auditor's actions of `records`; `action` makes the parser of one."""
    verify_one = action(actions, "verify", "numbered checks: has anything been altered?", "balbook records verify")
    verify_one.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a folder of records, or one record (else the inventory's)")
    verify_one.set_defaults(run=verify)
    difference = action(actions, "diff", "what differs between two records", "balbook records diff 3f2a90c1 77d0c2ab")
    difference.add_argument("a", metavar="A")
    difference.add_argument("b", metavar="B")
    difference.set_defaults(run=diff)
    exporting = action(actions, "export", "one archive with pages and a verify.sh", "balbook records export audit.tar.gz")
    exporting.add_argument("target", type=Path, metavar="FILE")
    exporting.set_defaults(run=export)
    anchoring = action(actions, "anchor", "put the ledger's head out of the editor's reach", "balbook records anchor")
    anchoring.set_defaults(run=anchor)


def verify(args: argparse.Namespace) -> int:
    """Checks all records, or one; exit 1 where something was altered, 3 where something stays open."""
    from balbook.local.resources import resource
    from balbook.record import keeping as sealing
    from balbook.record.verify import verify_records

    inventory = options.inventory_of(args)
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
        options.print_json(report.data())
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
    from balbook.record.keeping import records_folder
    from balbook.record.listing import diff as differences
    from balbook.record.listing import find_record
    from balbook.record.seal import read_record

    folder = records_folder(options.inventory_of(args))
    found = differences(*(read_record(find_record(folder, name)) for name in (args.a, args.b)))
    if args.json:
        options.print_json([{"what": d.what, "before": d.before, "after": d.after} for d in found])
    else:
        note = "" if found else "They do not differ."
        print(Table(("what", args.a, args.b), [(d.what, _cell(d.before), _cell(d.after)) for d in found], note=note))
    return 0


def export(args: argparse.Namespace) -> int:
    """Writes the archive."""
    from balbook.record import keeping as sealing
    from balbook.record.export import export as write
    from balbook.record.journal import utc_now

    inventory = options.inventory_of(args)
    if args.target.exists():
        raise BadInput(f"{args.target} exists", advice="Name another file; nothing is overwritten.")
    anchors, unread = _anchored(inventory)
    for problem in unread:
        options.say(f"anchor: {problem}")
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

    inventory = options.inventory_of(args)
    to = sealing.anchor_of(inventory)
    if to is None:
        raise BadInput(f"{inventory.path} says nothing of an anchor", advice="Set records.anchor: a signed git tag, or a command.")
    head, where = put(sealing.ledger_of(inventory), to, environ=sealing.bare_environment(inventory))
    print(f"entry {head.number}: {where}")
    return 0


def approve(args: argparse.Namespace) -> int:
    """Signs the digest of the plan that a run showed."""
    from balbook.record import keeping as sealing
    from balbook.record.approvals import approve as sign
    from balbook.record.journal import utc_now
    from balbook.run.folder import find_run

    inventory = options.inventory_of(args)
    key = args.key or sealing.signing_key(inventory)
    if key is None:
        raise BadInput("no key is named", advice="Give --key FILE, or set records.sign_with.")
    approval, path = sign(
        find_run(inventory, args.run_id),
        key.expanduser(),
        user=getpass.getuser(),
        at=utc_now(),
        reason=args.reason,
        environ=dict(os.environ),
    )
    print(f"approved: plan {approval.plan_digest}\n{path}\nNow somebody else applies it: balbook apply --plan {args.run_id}")
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
