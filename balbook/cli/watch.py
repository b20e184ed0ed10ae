"""`status`, `logs`."""

from __future__ import annotations

import argparse
from typing import Any

from balbook.cli import options
from balbook.cli.service import require_application
from balbook.errors import BadInput, nearest
from balbook.inventory import Inventory
from balbook.table import Table

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
    """What runs where; exit status 1 where something does not serve."""
    inventory = options.inventory_of(args)
    names = [require_application(inventory, args.application)] if args.application else list(inventory.applications)
    found = {name: _status(inventory, name) for name in names}
    if args.json:
        options.print_json(found)
    else:
        for name, about in found.items():
            rows = [tuple(i.values()) for i in about["instances"]]
            note = f"lock: {about['lock']}" if about["lock"] else ""
            print(Table(("instance", "release", "healthy", "in service", "pid", "since"), rows, title=name, note=note))
    is_whole = all(i["healthy"] == "yes" and i["in_service"] != "no" for about in found.values() for i in about["instances"])
    return 0 if is_whole else 1


def logs(args: argparse.Namespace) -> int:
    """The last lines of the instances' logs."""
    from balbook import transport
    from balbook.procedures import supervision
    from balbook.procedures.site import Site
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


def _status(inventory: Inventory, name: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from balbook import lock, transport
    from balbook.journal import timestamp
    from balbook.procedures.look import look
    from balbook.procedures.site import Site

    site = Site(inventory, transport.connect(inventory), {"application": name})
    try:
        seen = look(site)
        held = lock.show(site.transport, site.lease_place)
    finally:
        site.transport.close()
    rows = []
    for instance in site.application.instances:
        there = seen.instance(instance)
        since = timestamp(datetime.fromtimestamp(there.since, UTC)) if there and there.since else "-"
        service = "no balancer" if not seen.front else "yes" if seen.in_service[instance.name] else "no"
        rows.append(
            {
                "instance": instance.name,
                "release": seen.running(instance) or "-",
                "healthy": "yes" if seen.is_healthy[instance.name] else "no",
                "in_service": service,
                "pid": seen.pid(instance) or "-",
                "since": since,
            }
        )
    holder = f"{held.who}, run {held.run_id}, since {held.since}, reason: {held.reason or 'none given'}" if held else ""
    return {"instances": rows, "lock": holder}
