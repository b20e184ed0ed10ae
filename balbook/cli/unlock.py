"""`unlock`: the lock of an application is taken away."""

from __future__ import annotations

import argparse

from balbook.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `unlock`."""
    parser.epilog = "example: balbook unlock hotel --reason 'the machine that held it is gone'"
    common.add_inventory(parser)
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="kept in a record")
    parser.set_defaults(run=unlock)


def unlock(args: argparse.Namespace) -> int:
    """Takes the lock away and leaves a sealed record of who held it."""
    from balbook import transport
    from balbook.engine import lease as lock
    from balbook.procedures.parts.site import lease_place
    from balbook.record.events import LeaseBroken
    from balbook.record.journal import utc_now
    from balbook.record.keeping import seal_run
    from balbook.record.verdict import stated
    from balbook.run.closing import close
    from balbook.run.folder import make_run_dir, new_run_id, open_journal

    inventory = common.inventory_of(args)
    common.require_words(inventory, reason=args.reason)
    place = lease_place(inventory, common.require_application(inventory, args.application))
    transports = transport.connect(inventory)
    try:
        held = lock.show(transports, place)
        if held is None:
            print(f"{args.application}: nobody holds the lock")
            return 0
        inventory.secrets.everything()  # who holds the lock is what a host says
        run_dir = make_run_dir(inventory, "unlock", new_run_id(), utc_now())
        parameters = {"application": args.application, "reason": args.reason, "mode": "apply"}
        journal = open_journal(run_dir, inventory, "unlock", parameters)
        journal.append(LeaseBroken(**vars(held)))
        lock.take_away(transports, place)
        close(journal, stated("succeeded"))
    finally:
        transports.close()
    seal_run(inventory, run_dir, common.say)
    print(f"{args.application}: the lock of {held.who} (run {held.run_id}, since {held.since}) was taken away")
    return 0
