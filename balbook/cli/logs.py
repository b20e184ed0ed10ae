"""`logs`: shows the last lines of the logs of an application's instances."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.errors import BadInput, nearest
from balbook.procedures.parts import supervision
from balbook.run.without_notebook import connected
from balbook.transport import fan_out

EXAMPLE = "balbook logs hotel app1:9090 --lines 50"
ARGUMENTS = (
    common.INVENTORY,
    common.APPLICATION,
    common.argument("instance", nargs="?", metavar="HOST:PORT", help="one instance (default: all)"),
    common.argument("--lines", type=int, default=40, metavar="N", help="lines of each log (default: 40)"),
)


def run(args: argparse.Namespace) -> int:
    """Prints the last lines of the instances' logs."""
    inventory = common.inventory_of(args)
    inventory.secrets.everything()  # a log may show any
    name = common.require_application(inventory, args.application)
    instances = {i.name: i for i in inventory.applications[name].instances}
    if args.instance and args.instance not in instances:
        raise BadInput(f"application {name} has no instance {args.instance!r}", advice=nearest(args.instance, instances))
    with connected(inventory, {"application": name}) as site:
        commands = {key: supervision.logs(site, instance, max(1, args.lines)) for key, instance in instances.items()}
        outcomes = fan_out(
            [args.instance] if args.instance else instances, lambda key: site.transport.execute(instances[key].host, commands[key])
        )
    for key, result in outcomes.succeeded.items():
        print(f"== {key} ==")
        print(result.stdout.rstrip() if result.status == 0 else "(no log)")
    for error in outcomes.failed.values():
        common.say(f"balbook: {error}")
    return 1 if outcomes.failed else 0
