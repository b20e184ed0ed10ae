"""`approve`: a second person signs the plan that a run showed."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput
from balbook.record.approvals import approve
from balbook.record.journal import utc_now
from balbook.record.keeping import signing_key
from balbook.record.statement import run_id_of

EXAMPLE = "balbook approve 3f2a90c1 --key ~/.ssh/id_ed25519"
ARGUMENTS = (
    common.INVENTORY,
    common.run_id("the run that showed the plan"),
    common.argument("--key", type=Path, metavar="FILE", help="your SSH key (default: the inventory's records.sign_with)"),
    common.REASON,
)


def run(args: argparse.Namespace) -> int:
    """Signs the digest of the plan that a run showed."""
    inventory = common.inventory_of(args)
    key = args.key or signing_key(inventory)
    if key is None:
        raise BadInput("approve needs a signing key", advice="Give --key FILE, or set records.sign_with in the inventory.")
    run_dir = common.run_of(inventory, args.run_id)
    made, path = approve(run_dir, key.expanduser(), user=getpass.getuser(), at=utc_now(), reason=args.reason, environ=dict(os.environ))
    print(
        f"approved: plan {made.said.plan_digest}\n{path}\nNext, another person applies the plan: balbook apply --plan {run_id_of(run_dir)}"
    )
    return 0
