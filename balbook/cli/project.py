"""`init`, `check`, `schema`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from balbook.cli import options
from balbook.errors import BadInput, Failed
from balbook.local.resources import resource

EXAMPLES = {
    "init": "balbook init my-deployments",
    "check": "balbook check hot_deploy",
    "schema": "balbook schema > schema.json",
}
SHIPPED = {
    "inventory.yaml": "inventory.yaml",
    "README.md": "README.md",
    **{name: f".{name}" for name in ("gitignore", "gitattributes", "pre-commit-config.yaml")},
}
"""The files of `templates/deployment` and their names in the repository."""
NEXT = """Made {folder}. Next:
  write your hosts and applications into {folder}/inventory.yaml
  cd {folder} && balbook doctor      what this machine and the hosts have and lack
  balbook plan provision             what the hosts still need"""


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one of these commands."""
    parser.epilog = f"example: {EXAMPLES[name]}"
    if name == "init":
        parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
        parser.set_defaults(run=init)
    elif name == "check":
        parser.add_argument("runbooks", nargs="*", metavar="RUNBOOK", help="names, or paths of .ipynb files (default: all of balbook's)")
        parser.add_argument("--clear", action="store_true", help="first take out what running has left in these files: outputs, counts")
        options.add_json(parser)
        parser.set_defaults(run=check)
    else:
        parser.set_defaults(run=schema)


def init(args: argparse.Namespace) -> int:
    """Makes a deployment repository: an inventory, a README, and git."""
    folder: Path = args.folder.expanduser().absolute()
    _require_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in SHIPPED.items():
            shutil.copyfile(resource("templates", "deployment", source), folder / target)
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror}", advice="Name another folder, or make room.") from exc
    _git_init(folder)
    print(NEXT.format(folder=args.folder))
    return 0


def check(args: argparse.Namespace) -> int:
    """Says what runbooks lack; 1 where one lacks something."""
    from balbook.notebook.runbook import check_runbook, find_runbooks, read_runbook, runbook_path
    from balbook.notebook.stripping import clear

    if args.clear and not args.runbooks:
        raise BadInput("--clear needs to be told what to clear", advice="Name the notebooks: balbook check --clear my_runbook.ipynb")
    paths = [runbook_path(name) for name in args.runbooks] or list(find_runbooks().values())
    if args.clear:
        cleared = [path for path in paths if clear(path)]
        options.say("\n".join(f"{path}: cleared" for path in cleared) or "nothing to clear")
    problems = {str(path): check_runbook(read_runbook(path)) for path in paths}
    faulty = {path: found for path, found in problems.items() if found}
    if args.json:
        options.print_json({"runbooks": problems})
    else:
        for path, found in faulty.items():
            print(f"{path}:")
            print("\n".join(f"  {problem}" for problem in found))
        print(f"{len(paths) - len(faulty)} of {len(paths)} runbooks keep to the anatomy of a runbook")
    return 1 if faulty else 0


def schema(args: argparse.Namespace) -> int:
    """Prints the inventory's JSON Schema."""
    from balbook.inventory.load import inventory_schema

    options.print_json(inventory_schema())
    return 0


def _require_empty(folder: Path) -> None:
    advice = "Name a folder that does not exist yet."
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file", advice=advice)
    if folder.is_dir() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty; nothing was written", advice=advice)


def _git_init(folder: Path) -> None:
    """Without a first commit: whose it is, only the user knows."""
    if shutil.which("git") is None:
        options.say("git is not installed here; run `git init` in that folder once it is")
        return
    made = subprocess.run(["git", "init", "--quiet", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    if made.returncode != 0:
        raise Failed(
            f"git init in {folder} ended with {made.returncode}: {made.stderr.strip()}", advice="Run it by hand; the files are there."
        )
