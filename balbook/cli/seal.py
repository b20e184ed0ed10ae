"""`seal`: what plain papermill or JupyterLab left, or all that belongs to a key."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput, ExitStatus
from balbook.inventory import Inventory
from balbook.record.seal import Record
from balbook.show.table import Table

EXAMPLE = "balbook seal out.ipynb"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `seal`."""
    parser.epilog = f"example: {EXAMPLE}"
    common.add_inventory(parser)
    what = "an executed notebook, or the id or folder of a run that is not sealed"
    parser.add_argument("what", nargs="?", default="", metavar="NOTEBOOK", help=what)
    parser.add_argument("--key", default="", metavar="KEY", help="instead: all runs with this key; exit 1 where one did not succeed")
    parser.add_argument("--runbooks", default="", metavar="NAME,…", help="with --key: these must have run and succeeded")
    parser.add_argument("--notebooks", default="", metavar="PREFIX", help="with --key: the notebooks PREFIXNAME.TRY.ipynb count as well")
    parser.set_defaults(run=seal)


def seal(args: argparse.Namespace) -> int:
    """Seals one run, or a key's."""
    if bool(args.what) == bool(args.key):
        raise BadInput("what is to be sealed is not said", advice="Name a notebook or a run, or give --key.")
    inventory = common.inventory_of(args)
    if args.key:
        return _seal_key(args, inventory)
    record = _seal_one(inventory, args.what)
    print(f"sealed: {record.folder} ({record.verdict}, {'signed' if record.is_signed else 'not signed'})")
    for note in record.notes:
        common.say(f"record: {note}")
    return 0


def _seal_one(inventory: Inventory, what: str) -> Record:
    from balbook.engine.process import find
    from balbook.record import keeping as sealing
    from balbook.record.seal import adopt
    from balbook.record.seal import seal as seal_record
    from balbook.run.closing import close_left

    records = sealing.records_folder(inventory)
    run_dir = adopt(Path(what), records) if what.endswith(".ipynb") else common.run_of(inventory, what)
    if pid := find(run_dir):
        raise BadInput(f"{run_dir} is not over: its process {pid} is running", advice="Seal it when that has ended.")
    close_left(run_dir)
    return seal_record(
        run_dir,
        sealing.ledger_of(inventory),
        sign_with=sealing.signing_key(inventory),
        anchor=sealing.anchor_of(inventory),
        environ=sealing.bare_environment(inventory),
    )


def _seal_key(args: argparse.Namespace, inventory: Inventory) -> int:
    """Whatever they came to; the exit status is the worst of them."""
    from balbook.run.keyed import seal_rest

    outcomes = seal_rest(args.key, inventory, common.say)
    found = {o.runbook: (o.verdict, o.run_id, o.record) for o in outcomes} | _seal_notebooks(inventory, args.notebooks)
    expected: Sequence[str] = [name for name in args.runbooks.split(",") if name]
    found |= {name: ("did not run", "", Path()) for name in expected if name not in found}
    rows = [(name, verdict, run_id or "-", str(record) if run_id else "-") for name, (verdict, run_id, record) in found.items()]
    print(Table(("runbook", "verdict", "run", "record"), rows, note="" if rows else "No run has this key."))
    statuses = {ExitStatus.of(verdict) for verdict, _, _ in found.values()} or {ExitStatus.FAILED}
    return ExitStatus.FAILED if ExitStatus.FAILED in statuses else max(statuses)


def _seal_notebooks(inventory: Inventory, prefix: str) -> dict[str, tuple[str, str, Path]]:
    """Verdict, run and record by runbook, of the last of each that an executor without a runner left here."""
    from balbook.record import keeping as sealing
    from balbook.record.seal import read_record, run_of_notebook
    from balbook.record.statement import STATEMENT, run_id_of

    found: dict[str, tuple[str, str, Path]] = {}
    begin = Path(prefix)
    paths = [path for path in begin.parent.glob("*.ipynb") if path.name.startswith(begin.name)] if prefix else []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        name = path.name.removeprefix(begin.name).partition(".")[0]
        try:
            run_dir = run_of_notebook(path, sealing.records_folder(inventory))
            is_sealed = (run_dir / STATEMENT).exists()
            record = read_record(run_dir) if is_sealed else _seal_one(inventory, str(path))
            found[name] = (record.verdict, run_id_of(run_dir), run_dir)
        except BadInput as exc:
            common.say(f"{path}: {exc.message}")
            found[name] = ("failed", "", path)
    return found
