"""`approve`: a second person signs the plan that a run showed."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `approve`."""
    parser.epilog = "example: balbook approve 3f2a90c1 --key ~/.ssh/id_ed25519"
    common.add_inventory(parser)
    common.add_run_id(parser, "the run that showed the plan")
    parser.add_argument("--key", type=Path, metavar="FILE", help="your SSH key (else the inventory's records.sign_with)")
    parser.add_argument("--reason", default="", metavar="TEXT")
    parser.set_defaults(run=approve)


def approve(args: argparse.Namespace) -> int:
    """Signs the digest of the plan that a run showed."""
    from balbook.record import keeping as sealing
    from balbook.record.approvals import approve as sign
    from balbook.record.journal import utc_now
    from balbook.record.statement import run_id_of

    inventory = common.inventory_of(args)
    key = args.key or sealing.signing_key(inventory)
    if key is None:
        raise BadInput("no key is named", advice="Give --key FILE, or set records.sign_with.")
    run_dir = common.run_of(inventory, args.run_id)
    approval, path = sign(
        run_dir,
        key.expanduser(),
        user=getpass.getuser(),
        at=utc_now(),
        reason=args.reason,
        environ=dict(os.environ),
    )
    print(f"approved: plan {approval.said.plan_digest}\n{path}\nNow somebody else applies it: balbook apply --plan {run_id_of(run_dir)}")
    return 0
