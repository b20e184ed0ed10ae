"""`logs`: the last lines of the instances of an application."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.errors import BadInput, nearest


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `logs`."""
    parser.epilog = "example: balbook logs hotel app1:9090 --lines 50"
    common.add_inventory(parser)
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument("instance", nargs="?", metavar="HOST:PORT", help="else all instances")
    parser.add_argument("--lines", type=int, default=40, metavar="N", help="lines of each (default 40)")
    parser.set_defaults(run=logs)


def logs(args: argparse.Namespace) -> int:
    """The last lines of the instances' logs."""
    from balbook import transport
    from balbook.procedures.parts import supervision
    from balbook.procedures.parts.site import Site
    from balbook.transport import fan_out

    inventory = common.inventory_of(args)
    inventory.secrets.everything()  # a log may show any
    name = common.require_application(inventory, args.application)
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
        common.say(f"balbook: {error}")
    return 1 if outcomes.failed else 0
