"""`lab up|down|status`."""

from __future__ import annotations

import argparse

from balbook.cli import options
from balbook.errors import BadInput
from balbook.table import Table


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab`."""
    parser.epilog = "example: balbook lab up && balbook lab status && balbook lab down"
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument("--name", default="default", help="several labs can exist at once (default: default)")
    parser.add_argument("--backend", choices=("loopback", "vm"), default="loopback", help="loopback needs no root")
    options.add_json(parser)
    parser.set_defaults(run=lab)


def lab(args: argparse.Namespace) -> int:
    """Brings the lab up or down, or says what there is of it."""
    from balbook.lab import loopback, needs

    if args.backend != "loopback":
        raise BadInput(f"the lab backend {args.backend!r} is not there yet", advice="Use --backend loopback.")
    if args.action == "up":
        needs.require()
        found = loopback.up(args.name, say=options.say)
        print(f"inventory: {found.inventory}")
        return 0
    if args.action == "down":
        print(f"lab {args.name}: {'down' if loopback.down(args.name, say=options.say) else 'was not there'}")
        return 0
    return _status(args)


def _status(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from balbook.lab import loopback

    found = loopback.status(args.name)
    if args.json:
        options.print_json(asdict(found))
        return 0
    rows = [tuple(asdict(host).values()) for host in found.hosts]
    print(Table(tuple(asdict(found.hosts[0])) if found.hosts else ("lab",), rows, title=f"lab {args.name}"))
    return 0
