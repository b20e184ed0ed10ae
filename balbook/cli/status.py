"""`status`: what runs where."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from balbook.cli import common
from balbook.errors import Failed
from balbook.inventory import Inventory
from balbook.record.journal import timestamp
from balbook.show.table import Table

if TYPE_CHECKING:
    from balbook.procedures.parts.look import Seen

ANSWER_WITHIN_S = 60.0
"""Long enough for a host that cannot be reached to be told why."""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `status`."""
    parser.epilog = "example: balbook status hotel"
    common.add_inventory(parser)
    parser.add_argument("application", nargs="?", metavar="APPLICATION", help="else all")
    common.add_json(parser)
    parser.set_defaults(run=status)


def status(args: argparse.Namespace) -> int:
    """What runs where; exit status 1 where something does not serve, or does not say so."""
    inventory = common.inventory_of(args)
    names = [common.require_application(inventory, args.application)] if args.application else list(inventory.applications)
    found = {name: _about(inventory, name, seen) for name, seen in _looked(inventory, names).items()}
    if args.json:
        common.print_json(found)
    else:
        for name, about in found.items():
            rows = [tuple(i.values()) for i in about["instances"]]
            note = f"lock: {about['lock']}" if about["lock"] else ""
            print(Table(("instance", "release", "healthy", "in service", "pid", "since"), rows, title=name, note=note))
    instances = [instance for about in found.values() for instance in about["instances"]]
    is_whole = all(i["healthy"] == "yes" and i["in_service"] in ("yes", "no balancer") for i in instances)
    return 0 if is_whole else 1


def _looked(inventory: Inventory, names: Sequence[str]) -> dict[str, Seen]:
    """What the hosts of these applications answered; Failed where not one did."""
    from balbook.procedures.parts.look import look_within

    seen = look_within(inventory, ANSWER_WITHIN_S, applications=names)
    reasons = {host: why.message for found in seen.values() for host, why in found.silent.items()}
    if reasons and not any(found.is_healthy or found.in_service for found in seen.values()):
        raise Failed("no host answers:\n" + "\n".join(f"  {why}" for why in reasons.values()), advice="`balbook doctor` looks at each.")
    return seen


def _about(inventory: Inventory, name: str, seen: Seen) -> dict[str, Any]:
    """An application's rows, and who holds its lock."""
    from balbook.procedures.parts.site import lease_place

    application = inventory.applications[name]
    balancer = inventory.balancers[application.balancer].host if application.balancer else ""
    rows = []
    for instance in application.instances:
        there = seen.instance(instance)
        rows.append(
            {
                "instance": instance.name,
                "release": (there.running if there else None) or "-",
                "healthy": _yes_or_no(seen.is_healthy.get(instance.name), instance.host, seen),
                "in_service": _yes_or_no(seen.in_service.get(instance.name), balancer, seen) if balancer else "no balancer",
                "pid": (there.pid if there else None) or "-",
                "since": timestamp(datetime.fromtimestamp(there.since, UTC)) if there and there.since else "-",
            }
        )
    return {"instances": rows, "lock": _holder(seen, lease_place(inventory, name).host)}


def _yes_or_no(is_so: bool | None, host: str, seen: Seen) -> str:
    return _no_answer(host, seen) if is_so is None else "yes" if is_so else "no"


def _holder(seen: Seen, host: str) -> str:
    if held := seen.holder:
        return f"{held.who}, run {held.run_id}, since {held.since}, reason: {held.reason or 'none given'}"
    return _no_answer(host, seen) if host in seen.silent else ""


def _no_answer(host: str, seen: Seen) -> str:
    why = seen.silent[host].message.removeprefix(f"{host}: ") if host in seen.silent else ""
    return f"no answer: {' '.join(why.split())}"
