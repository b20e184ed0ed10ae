"""`records list|show`, and the auditor's actions of `audit`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.cli import audit, options
from balbook.inventory import Inventory
from balbook.show.table import Table

RUNNING = "running"


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `records`, one parser for each action."""
    parser.epilog = "example: balbook records list && balbook records show 3f2a90c1"
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listing = _action(actions, "list", "all runs, the newest last", "balbook records list --last 5")
    listing.add_argument("--last", type=int, default=0, metavar="N", help="only the newest N")
    listing.set_defaults(run=list_all)
    showing = _action(actions, "show", "one run: who, why, its steps, what was measured, its files", "balbook records show 3f2a90c1")
    showing.add_argument("run_id", metavar="RUN_ID", help="the run's id, its unambiguous beginning, or the record's folder name")
    showing.set_defaults(run=show)
    audit.add_actions(actions, _action)


def list_all(args: argparse.Namespace) -> int:
    """One line a run."""
    from balbook.record.listing import list_records

    inventory = options.inventory_of(args)
    records = inventory.resolve(inventory.records.path)
    found = [_row(records, asdict(listed)) for listed in list_records(records)][-args.last if args.last > 0 else None :]
    if args.json:
        options.print_json({"records": found})
        return 0
    columns = ("at", "run", "name", "mode", "release", "verdict", "by", "sealed")
    rows = [(r["at"][:19], r["run_id"], r["name"], r["mode"], r["release"] or "-", r["verdict"], r["user"], r["sealed"]) for r in found]
    print(Table(columns, rows, title=str(records), note="" if rows else "No run is recorded here."))
    return 0


def show(args: argparse.Namespace) -> int:
    """One run, read and not verified."""
    from balbook.record.listing import find_record, summary

    inventory = options.inventory_of(args)
    folder = find_record(inventory.resolve(inventory.records.path), args.run_id)
    record = _record(folder)
    data = {**summary(record), "record": str(folder), "is_sealed": (folder / "statement.json").exists(), "signed_by": ""}
    if data["is_signed"]:
        data["signed_by"] = _signed_by(inventory, folder, data)
    if _is_running(folder):
        data |= {"verdict": RUNNING, "why": ""}
    if args.json:
        options.print_json(data)
    else:
        print("\n\n".join(str(table) for table in _tables(data)))
    return 0


def _action(actions: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
    options.add_inventory(parser)
    options.add_json(parser)
    return parser


def _row(records: Path, listed: dict[str, Any]) -> dict[str, Any]:
    """A run of the list; one that is not sealed has the verdict that its journal states."""
    from balbook.record.listing import UNSEALED
    from balbook.record.statement import JOURNAL, verdict_of, whole_events

    folder = records / listed["record"]
    events = list(whole_events(folder / JOURNAL))
    is_sealed = listed["verdict"] != UNSEALED
    if not is_sealed:
        listed["verdict"] = RUNNING if _is_running(folder) else verdict_of(events)[0]
    mode = str(events[0].get("mode", "")) if events else ""
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


def _signed(data: Mapping[str, Any]) -> str:
    if not data["is_signed"]:
        return "no"
    how = f"with {data['signing_key']}"
    return f"by {data['signed_by']} {how}" if data["signed_by"] else f"claimed: {how}; nothing shows it here. Run balbook records verify"


def _is_running(folder: Path) -> bool:
    """Whether a process of the run is alive now."""
    from balbook.engine.process import find

    return find(folder) is not None


def _environment(data: Mapping[str, Any]) -> str:
    return str((data.get("inventory") or {}).get("environment") or "-")


def _versions(versions: Mapping[str, Any]) -> Iterator[str]:
    """`balbook 0.1.0`, then each host's programs."""
    for name, version in versions.items():
        if name != "hosts":
            yield f"{name} {version}"
    for host, programs in (versions.get("hosts") or {}).items():
        yield f"{host}: " + ", ".join(f"{name} {version}" for name, version in programs.items())


def _tables(data: Mapping[str, Any]) -> list[Table]:
    who, git = data.get("who") or {}, data.get("git") or {}
    given = {key: value for key, value in (data.get("parameters") or {}).items() if value not in ("", [])}
    about = [
        ("what", f"{data['name']}, mode {data.get('mode', '-')}"),
        ("verdict", data["verdict"] + (f": {data['why']}" if data["why"] else "")),
        ("started", data["started_at"]),
        ("by", f"{who.get('user', '?')} on {who.get('host', '?')}"),
        ("signed", _signed(data)),
        ("where", "a lab: hosts and Ballerina are its stand-ins" if data.get("lab") else _environment(data)),
        ("reason", data.get("reason") or "none given"),
        *([("approved", data["approval"])] if data["approval"] else []),
        ("ticket", data.get("ticket") or "none given"),
        ("parameters", ", ".join(f"{key}={value}" for key, value in given.items())),
        ("inventory", (data.get("inventory") or {}).get("path", "-")),
        ("commit", f"{git['commit']}{', with changes' if git.get('dirty') else ''}" if git.get("commit") else "-"),
        ("versions", "; ".join(_versions(data.get("versions") or {})) or "-"),
        ("artifact", ", ".join(f"{path} {value[:12]}…" for path, value in data["digests"].items()) or "-"),
        ("also in", ", ".join(f"{o['record']} ({o['environment'] or '-'}, {o['verdict']})" for o in data["same_artifact"]) or "-"),
        ("record", data["record"]),
    ]
    tables = [Table((f"run {data['run_id']}", ""), about)]
    if data["steps"]:
        rows = [(s["host"], s["title"], s["outcome"], "-" if s["seconds"] is None else f"{s['seconds']:.2f} s") for s in data["steps"]]
        tables.append(Table(("host", "step", "outcome", "time"), rows, title="Steps"))
    if measured := {key: value for key, value in data["measurements"].items() if isinstance(value, int | float | str)}:
        tables.append(Table(("measured", "value"), [(key.replace("_", " "), value) for key, value in measured.items()]))
    tables.append(Table(("file",), [(name,) for name in data["files"]], title="Files"))
    return [*tables, *([Table(("note",), [(note,) for note in data["notes"]])] if data["notes"] else [])]
