"""`seal`: seals a run of plain papermill or JupyterLab, or all runs with a key."""

from __future__ import annotations

import argparse
from pathlib import Path

from balbook.cli import common
from balbook.engine.process import find
from balbook.errors import BadInput, ExitStatus
from balbook.inventory import Inventory
from balbook.record import keeping
from balbook.record.seal import Record, adopt, read_record, run_of_notebook
from balbook.record.seal import seal as seal_record
from balbook.record.statement import STATEMENT, run_id_of
from balbook.run.closing import close_left
from balbook.run.keyed import seal_rest
from balbook.show.table import Table

EXAMPLE = "balbook seal out.ipynb"
ARGUMENTS = (
    common.INVENTORY,
    common.argument(
        "what", nargs="?", default="", metavar="NOTEBOOK", help="an executed notebook, or the id or folder of a run that is not sealed"
    ),
    common.argument("--key", default="", metavar="KEY", help="instead: all runs with this key; exit 1 if a run did not succeed"),
    common.argument("--runbooks", default="", metavar="NAME,…", help="with --key: runbooks that must have succeeded"),
    common.argument("--notebooks", default="", metavar="PREFIX", help="with --key: the notebooks PREFIXNAME.TRY.ipynb count as well"),
)


def run(args: argparse.Namespace) -> int:
    """Seals one run, or all runs with a key."""
    if bool(args.what) == bool(args.key):
        raise BadInput("name a notebook or a run to seal, or give --key, not both", advice=f"For example: {EXAMPLE}")
    inventory = common.inventory_of(args)
    if args.key:
        return _seal_key(args, inventory)
    record = _seal_one(inventory, args.what)
    print(f"sealed: {record.folder} ({record.verdict}, {'signed' if record.is_signed else 'not signed'})")
    for note in record.notes:
        common.say(f"record: {note}")
    return 0


def _seal_one(inventory: Inventory, what: str) -> Record:
    run_dir = adopt(Path(what), keeping.records_folder(inventory)) if what.endswith(".ipynb") else common.run_of(inventory, what)
    if pid := find(run_dir):
        raise BadInput(f"{run_dir} is still running as process {pid}", advice="Seal the run after that process has ended.")
    close_left(run_dir)
    return seal_record(
        run_dir,
        keeping.ledger_of(inventory),
        sign_with=keeping.signing_key(inventory),
        anchor=keeping.anchor_of(inventory),
        environ=keeping.bare_environment(inventory),
    )


def _seal_key(args: argparse.Namespace, inventory: Inventory) -> int:
    """Seals all runs with the key, whatever their verdicts; returns the worst exit status."""
    found = {o.name: (o.verdict, o.run_id, o.record) for o in seal_rest(args.key, inventory, common.say)}
    found |= _seal_notebooks(inventory, args.notebooks)
    found |= {name: ("did not run", "", Path()) for name in args.runbooks.split(",") if name and name not in found}
    rows = [(name, verdict, run_id or "-", str(record) if run_id else "-") for name, (verdict, run_id, record) in found.items()]
    print(Table(("runbook", "verdict", "run", "record"), rows, note="" if rows else "No run has this key."))
    statuses = {ExitStatus.of(verdict) for verdict, _, _ in found.values()} or {ExitStatus.FAILED}
    return ExitStatus.FAILED if ExitStatus.FAILED in statuses else max(statuses)


def _seal_notebooks(inventory: Inventory, prefix: str) -> dict[str, tuple[str, str, Path]]:
    """Verdict, run and record by runbook, of the last notebook of each that an executor without a runner left here."""
    found: dict[str, tuple[str, str, Path]] = {}
    begin = Path(prefix)
    paths = [path for path in begin.parent.glob("*.ipynb") if path.name.startswith(begin.name)] if prefix else []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        name = path.name.removeprefix(begin.name).partition(".")[0]
        try:
            run_dir = run_of_notebook(path, keeping.records_folder(inventory))
            record = read_record(run_dir) if (run_dir / STATEMENT).exists() else _seal_one(inventory, str(path))
            found[name] = (record.verdict, run_id_of(run_dir), run_dir)
        except BadInput as exc:
            common.say(f"{path}: {exc.message}")
            found[name] = ("failed", "", path)
    return found
