"""`drain`, `readmit`, `unlock`."""

from __future__ import annotations

import argparse
import os

from balbook.cli import options
from balbook.errors import BadInput, nearest
from balbook.inventory import Inventory

EXAMPLES = {
    "drain": "balbook drain hotel app1:9090 --reason 'new disk'",
    "readmit": "balbook readmit hotel app1:9090",
    "unlock": "balbook unlock hotel --reason 'the machine that held it is gone'",
}


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one of these commands."""
    parser.epilog = f"example: {EXAMPLES[name]}"
    options.add_inventory(parser)
    parser.add_argument("application", metavar="APPLICATION")
    if name == "unlock":
        parser.add_argument("--reason", required=True, metavar="TEXT", help="kept in a record")
        parser.set_defaults(run=unlock)
        return
    parser.add_argument("instance", metavar="HOST:PORT")
    parser.add_argument("--reason", default="", metavar="TEXT", help="kept in the record")
    parser.set_defaults(run=drain if name == "drain" else readmit)


def drain(args: argparse.Namespace) -> int:
    """Takes one instance out of service."""
    return _maintain(args, "drain")


def readmit(args: argparse.Namespace) -> int:
    """Puts it back."""
    return _maintain(args, "readmit")


def unlock(args: argparse.Namespace) -> int:
    """Takes the lock away and leaves a sealed record of who held it."""
    from balbook import transport
    from balbook.engine import lease as lock
    from balbook.procedures.parts.site import lease_place
    from balbook.record.journal import Journal, utc_now
    from balbook.record.keeping import seal_run
    from balbook.run.folder import make_run_dir, new_run_id, opening
    from balbook.secrets.scrubbing import known_secrets

    inventory = options.inventory_of(args)
    require_words(inventory, reason=args.reason)
    place = lease_place(inventory, require_application(inventory, args.application))
    transports = transport.connect(inventory)
    try:
        held = lock.show(transports, place)
        if held is None:
            print(f"{args.application}: nobody holds the lock")
            return 0
        run_id = new_run_id()
        run_dir = make_run_dir(inventory, "unlock", run_id, utc_now())
        journal = Journal(run_dir / "journal.jsonl", clean=known_secrets(inventory, os.environ).data)
        parameters = {"application": args.application, "reason": args.reason, "mode": "apply"}
        journal.append("run_opened", run_id=run_id, **opening(inventory, "unlock", "", parameters))
        journal.append("lease_broken", **vars(held))
        lock.take_away(transports, place)
        journal.append("run_closed", verdict="succeeded", why="")
    finally:
        transports.close()
    seal_run(inventory, run_dir, options.say)
    print(f"{args.application}: the lock of {held.who} (run {held.run_id}, since {held.since}) was taken away")
    return 0


def require_application(inventory: Inventory, name: str) -> str:
    """The name, if the inventory has it."""
    if name not in inventory.applications:
        raise BadInput(f"application {name!r} is not in {inventory.path}", advice=nearest(name, inventory.applications))
    return name


def require_words(inventory: Inventory, **words: str) -> None:
    """Holds words of the command line to the rules for a runbook's parameters, before any host is asked; raises BadInput."""
    from balbook.notebook.parameters import Parameter, check_parameters
    from balbook.procedures import check_names
    from balbook.run.run import require_no_secrets
    from balbook.secrets.scrubbing import known_secrets

    check_parameters([Parameter(name, "str", "") for name in words], words)
    check_names(inventory, words)
    require_no_secrets(words, known_secrets(inventory, os.environ))


def _maintain(args: argparse.Namespace, what: str) -> int:
    from balbook import transport
    from balbook.procedures.parts import maintenance
    from balbook.procedures.parts.site import Site
    from balbook.run.without_notebook import apply_directly

    inventory = options.inventory_of(args)
    parameters = {"application": require_application(inventory, args.application), "instance": args.instance, "reason": args.reason}
    require_words(inventory, **parameters)
    site = Site(inventory, transport.connect(inventory), parameters)
    try:
        plan = maintenance.drain(site, args.instance) if what == "drain" else maintenance.readmit(site, args.instance)
    finally:
        site.transport.close()
    stated, record = apply_directly(inventory, plan, parameters, options.say)
    print(f"{what} {args.instance}: {stated.verdict}" + (f": {stated.why}" if stated.why else ""))
    print(f"record: {record}")
    return stated.exit_status
