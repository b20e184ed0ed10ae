"""`workflow ci|cd|decentralized`: writes workflows for GitHub Actions."""

from __future__ import annotations

import argparse
from pathlib import Path

from balbook.cli import common
from balbook.cli.common import Action, argument
from balbook.errors import BadInput
from balbook.inventory import read_inventory
from balbook.schedule.github import FOLDER, Pin, Wanted, informed, is_moving, pins_with, write_workflow


def _write(args: argparse.Namespace) -> int:
    """Writes one file; the path on standard output."""
    pins = pins_with(args.action)
    if args.chosen == "ci":
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
    """The workflow that deploys, with the facts of the inventory where the inventory can be read."""
    wanted = Wanted(
        args.chosen,
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
        common.say(f"note: {exc.message}; name the inventory's secrets by --secret")
        return wanted


def _action(purpose: str, words: str, *own: common.Argument) -> Action:
    return Action(f"write a workflow of GitHub Actions for {purpose}", f"balbook workflow {words}", (*SHARED, *own), _write)


EXAMPLE = "balbook workflow cd --environment production"
SHARED = (
    argument("--output", type=Path, default=FOLDER, metavar="DIR", help=f"folder of the file (default: {FOLDER})"),
    argument("--action", action="append", default=[], metavar="NAME=REF", help="another commit of an action; repeatable"),
    argument("--runs-on", default="ubuntu-24.04", metavar="LABEL", help="label of the runner (default: ubuntu-24.04)"),
)
DEPLOYING = (
    argument("--environment", default="staging", help="GitHub environment with its approvals and secrets"),
    argument("--inventory", default="inventory.yaml", metavar="PATH", help="inventory in the repository"),
    argument("--secret", action="append", default=[], metavar="NAME", help="a secret beside those of the inventory; repeatable"),
    argument("--records", default="records", metavar="PATH", help="the records folder of that inventory"),
)
ACTIONS = {
    "ci": _action(
        "a source repository: test, pack and push its packages with ballerina-action",
        "ci --package rooms --package bookings",
        argument(
            "--package", action="append", default=[], metavar="DIR", help="a package's directory (default: .); in the order of pushing"
        ),
        argument("--branch", default="main", help="the branch whose pushes are tested (default: main)"),
    ),
    "cd": _action("a deployment repository: consolidate, build, hot deploy", "cd --environment production", *DEPLOYING),
    "decentralized": _action("a repository of one package: build, publish, deploy", "decentralized --action checkout=COMMIT", *DEPLOYING),
}
