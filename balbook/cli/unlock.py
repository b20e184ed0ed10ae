"""`unlock`: takes an application's lock away from its holder."""

from __future__ import annotations

import argparse
from contextlib import closing

from balbook import transport
from balbook.cli import common
from balbook.engine import lease as lock
from balbook.procedures.parts.site import lease_place
from balbook.record.events import LeaseBroken
from balbook.record.keeping import seal_run
from balbook.record.verdict import stated
from balbook.run.closing import close
from balbook.run.folder import make_run_dir, open_journal

EXAMPLE = "balbook unlock hotel --reason 'the machine that held it is gone'"
ARGUMENTS = (
    common.INVENTORY,
    common.APPLICATION,
    common.argument("--reason", required=True, metavar="TEXT", help="kept in the record"),
)


def run(args: argparse.Namespace) -> int:
    """Takes the lock away and leaves a sealed record of its holder."""
    inventory = common.inventory_of(args)
    common.require_words(inventory, reason=args.reason)
    place = lease_place(inventory, common.require_application(inventory, args.application))
    with closing(transport.connect(inventory)) as hosts:
        held = lock.show(hosts, place)
        if held is None:
            print(f"{args.application}: nobody holds the lock")
            return 0
        inventory.secrets.everything()  # the holder's name comes from a host
        run_dir = make_run_dir(inventory, "unlock")
        journal = open_journal(run_dir, inventory, "unlock", {"application": args.application, "reason": args.reason, "mode": "apply"})
        journal.append(LeaseBroken(**vars(held)))
        lock.take_away(hosts, place)
        close(journal, stated("succeeded"))
    seal_run(inventory, run_dir, common.say)
    print(f"{args.application}: the lock of {held.who} (run {held.run_id}, since {held.since}) was taken away")
    return 0
