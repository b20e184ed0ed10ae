"""`status`, `logs`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from balbook.cli import options
from balbook.cli.service import require_application
from balbook.errors import BadInput, Failed, nearest
from balbook.inventory import Inventory
from balbook.record.journal import timestamp
from balbook.show.table import Table

if TYPE_CHECKING:
    from balbook.procedures.parts.glimpse import Glimpse

ANSWER_WITHIN_S = 60.0
"""Long enough for a host that cannot be reached to be told why."""
EXAMPLES = {"status": "balbook status hotel", "logs": "balbook logs hotel app1:9090 --lines 50"}


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one of these commands."""
    parser.epilog = f"example: {EXAMPLES[name]}"
    options.add_inventory(parser)
    if name == "status":
        parser.add_argument("application", nargs="?", metavar="APPLICATION", help="else all")
        options.add_json(parser)
        parser.set_defaults(run=status)
        return
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument("instance", nargs="?", metavar="HOST:PORT", help="else all instances")
    parser.add_argument("--lines", type=int, default=40, metavar="N", help="lines of each (default 40)")
    parser.set_defaults(run=logs)


def status(args: argparse.Namespace) -> int:
    """What runs where; exit status 1 where something does not serve, or does not say so."""
    inventory = options.inventory_of(args)
    names = [require_application(inventory, args.application)] if args.application else list(inventory.applications)
    found = {name: _about(inventory, name, seen) for name, seen in _glimpses(inventory, names).items()}
    if args.json:
        options.print_json(found)
    else:
        for name, about in found.items():
            rows = [tuple(i.values()) for i in about["instances"]]
            note = f"lock: {about['lock']}" if about["lock"] else ""
            print(Table(("instance", "release", "healthy", "in service", "pid", "since"), rows, title=name, note=note))
    instances = [instance for about in found.values() for instance in about["instances"]]
    is_whole = all(i["healthy"] == "yes" and i["in_service"] in ("yes", "no balancer") for i in instances)
    return 0 if is_whole else 1


def logs(args: argparse.Namespace) -> int:
    """The last lines of the instances' logs."""
    from balbook import transport
    from balbook.procedures.parts import supervision
    from balbook.procedures.parts.site import Site
    from balbook.transport import fan_out

    inventory = options.inventory_of(args)
    options.hide_secrets(inventory)
    name = require_application(inventory, args.application)
    site = Site(inventory, transport.connect(inventory), {"application": name})
    instances = {i.name: i for i in site.application.instances}
    if args.instance and args.instance not in instances:
        raise BadInput(f"application {name} has no instance {args.instance!r}", advice=nearest(args.instance, instances))
    wanted = [args.instance] if args.instance else list(instances)
    lines = max(1, args.lines)
    try:
        outcomes = fan_out(wanted, lambda key: site.transport.execute(instances[key].host, supervision.logs(site, instances[key], lines)))
    finally:
        site.transport.close()
    for key, result in outcomes.succeeded.items():
        print(f"== {key} ==")
        print(result.stdout.rstrip() if result.status == 0 else "(no log)")
    for error in outcomes.failed.values():
        options.say(f"balbook: {error}")
    return 1 if outcomes.failed else 0


def _glimpses(inventory: Inventory, names: Sequence[str]) -> dict[str, Glimpse]:
    """What the hosts of these applications answered; Failed where not one did."""
    from balbook.procedures.parts.glimpse import glimpse

    seen = glimpse(inventory, ANSWER_WITHIN_S, applications=names)
    reasons = {host: why for found in seen.values() for host, why in found.unanswered.items()}
    if reasons and not any(found.is_healthy or found.in_service for found in seen.values()):
        raise Failed("no host answers:\n" + "\n".join(f"  {why}" for why in reasons.values()), advice="`balbook doctor` looks at each.")
    return seen


def _about(inventory: Inventory, name: str, seen: Glimpse) -> dict[str, Any]:
    """An application's rows, and who holds its lock."""
    from balbook.procedures.parts.site import lease_place

    application = inventory.applications[name]
    balancer = inventory.balancers[application.balancer].host if application.balancer else ""
    rows = []
    for instance in application.instances:
        there = seen.running.get(instance.name)
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


def _yes_or_no(is_so: bool | None, host: str, seen: Glimpse) -> str:
    return _no_answer(host, seen) if is_so is None else "yes" if is_so else "no"


def _holder(seen: Glimpse, host: str) -> str:
    if held := seen.holder:
        return f"{held.who}, run {held.run_id}, since {held.since}, reason: {held.reason or 'none given'}"
    return _no_answer(host, seen) if host in seen.unanswered else ""


def _no_answer(host: str, seen: Glimpse) -> str:
    why = seen.unanswered.get(host, "").removeprefix(f"{host}: ")
    return f"no answer: {' '.join(why.split())}"
