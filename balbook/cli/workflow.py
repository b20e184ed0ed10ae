"""`workflow ci|cd|decentralized`."""

from __future__ import annotations

import argparse
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput
from balbook.inventory import read_inventory
from balbook.schedule.github import FOLDER, KINDS, Pin, Wanted, informed, is_moving, pins_with, write_workflow

WHAT = {
    "ci": "a source repository: test, pack and push its packages with ballerina-action",
    "cd": "a deployment repository: consolidate, build, hot deploy",
    "decentralized": "a repository of one package: build, publish, deploy",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `workflow`, one parser for each kind."""
    parser.epilog = "example: balbook workflow cd --environment production"
    kinds = parser.add_subparsers(metavar="KIND", required=True, dest="kind")
    for kind in KINDS:
        made: argparse.ArgumentParser = kinds.add_parser(
            kind, help=WHAT[kind], description=f"Writes a workflow of GitHub Actions for {WHAT[kind]}.", epilog=f"example: {_example(kind)}"
        )
        made.add_argument("--output", type=Path, default=FOLDER, metavar="DIR", help=f"folder of the file (default: {FOLDER})")
        made.add_argument("--action", action="append", default=[], metavar="NAME=REF", help="another commit of an action; may be repeated")
        made.add_argument("--runs-on", default="ubuntu-24.04", metavar="LABEL", help="label of the runner (default: ubuntu-24.04)")
        if kind == "ci":
            made.add_argument(
                "--package", action="append", default=[], metavar="DIR", help="a package's directory (default: .); in the order of pushing"
            )
            made.add_argument("--branch", default="main", help="pushes to it are tested (default: main)")
        else:
            made.add_argument("--environment", default="staging", help="GitHub environment with its approvals and secrets")
            made.add_argument("--inventory", default="inventory.yaml", metavar="PATH", help="inventory in the repository")
            made.add_argument(
                "--secret",
                action="append",
                default=[],
                metavar="NAME",
                help="a secret beside those that the inventory refers to; repeatable",
            )
            made.add_argument("--records", default="records", metavar="PATH", help="where that inventory keeps its records")
        made.set_defaults(run=write)


def write(args: argparse.Namespace) -> int:
    """Writes one file; the path on standard output."""
    pins = pins_with(args.action)
    if args.kind == "ci":
        wanted = Wanted("ci", branch=args.branch, packages=tuple(args.package or ["."]), pins=pins, runs_on=args.runs_on)
    else:
        wanted = _deploying(args, pins)
    path, is_new = write_workflow(wanted, args.output)
    for name, pin in pins.items():
        if is_moving(pin):
            common.say(f"note: {name}@{pin.ref} is a tag or a branch, which can be moved; a commit cannot")
    print(path if is_new else f"{path} is there already")
    return 0


def _deploying(args: argparse.Namespace, pins: dict[str, Pin]) -> Wanted:
    """With what the inventory says, where it can be read here."""
    wanted = Wanted(
        args.kind,
        environment=args.environment,
        inventory=args.inventory,
        records=args.records,
        pins=pins,
        runs_on=args.runs_on,
        secrets=tuple(args.secret),
    )
    try:
        return informed(wanted, read_inventory(Path(args.inventory)))
    except BadInput as exc:
        common.say(f"note: {exc.message}; secrets that its references name are given by --secret")
        return wanted


def _example(kind: str) -> str:
    return {
        "ci": "balbook workflow ci --package rooms --package bookings",
        "cd": "balbook workflow cd --environment production",
        "decentralized": "balbook workflow decentralized --action checkout=COMMIT",
    }[kind]
