"""`status`: shows the release on each instance, and the holder of the lock."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from balbook.cli import common
from balbook.errors import Failed
from balbook.inventory import Inventory
from balbook.procedures.parts.look import Seen, look_within
from balbook.procedures.parts.site import lease_place
from balbook.record.journal import timestamp
from balbook.show.table import Table

ANSWER_WITHIN_S = 60.0
"""Long enough to hear why a host cannot be reached."""
EXAMPLE = "balbook status hotel"
ARGUMENTS = (
    common.INVENTORY,
    common.argument("application", nargs="?", metavar="APPLICATION", help="one application (default: all)"),
    common.JSON,
)


def run(args: argparse.Namespace) -> int:
    """Shows the release on each instance; exit status 1 if an instance does not serve, or does not answer."""
    inventory = common.inventory_of(args)
    names = [common.require_application(inventory, args.application)] if args.application else list(inventory.applications)
    found = {name: _about(inventory, name, seen) for name, seen in _looked(inventory, names).items()}
    common.show(args, found, "\n".join(_table(name, about) for name, about in found.items()))
    instances = [instance for about in found.values() for instance in about["instances"]]
    is_whole = all(i["healthy"] == "yes" and i["in_service"] in ("yes", "no balancer") for i in instances)
    return 0 if is_whole else 1


def _table(name: str, about: dict[str, Any]) -> str:
    rows = [tuple(i.values()) for i in about["instances"]]
    note = f"lock: {about['lock']}" if about["lock"] else ""
    return str(Table(("instance", "release", "healthy", "in service", "pid", "since"), rows, title=name, note=note))


def _looked(inventory: Inventory, names: Sequence[str]) -> dict[str, Seen]:
    """The answers of these applications' hosts; Failed where no host answered."""
    seen = look_within(inventory, ANSWER_WITHIN_S, applications=names)
    reasons = {host: why.message for found in seen.values() for host, why in found.silent.items()}
    if reasons and not any(found.is_healthy or found.in_service for found in seen.values()):
        raise Failed("no host answers:\n" + "\n".join(f"  {why}" for why in reasons.values()), advice="Check each host: balbook doctor.")
    return seen


def _about(inventory: Inventory, name: str, seen: Seen) -> dict[str, Any]:
    """An application's rows, and the holder of its lock."""
    application = inventory.applications[name]
    balancer = inventory.balancers[application.balancer].host if application.balancer else ""
    rows = []
    for instance in application.instances:
        process = seen.instance(instance)
        rows.append(
            {
                "instance": instance.name,
                "release": (process and process.running) or "-",
                "healthy": _yes_or_no(seen.is_healthy.get(instance.name), instance.host, seen),
                "in_service": _yes_or_no(seen.in_service.get(instance.name), balancer, seen) if balancer else "no balancer",
                "pid": (process and process.pid) or "-",
                "since": timestamp(datetime.fromtimestamp(process.since, UTC)) if process and process.since else "-",
            }
        )
    return {"instances": rows, "lock": _holder(seen, lease_place(inventory, name).host)}


def _yes_or_no(answer: bool | None, host: str, seen: Seen) -> str:
    return _no_answer(host, seen) if answer is None else "yes" if answer else "no"


def _holder(seen: Seen, host: str) -> str:
    if held := seen.holder:
        return f"{held.who}, run {held.run_id}, since {held.since}, reason: {held.reason or 'none given'}"
    return _no_answer(host, seen) if host in seen.silent else ""


def _no_answer(host: str, seen: Seen) -> str:
    why = seen.silent[host].message.removeprefix(f"{host}: ") if host in seen.silent else ""
    return f"no answer: {' '.join(why.split())}"
