"""`check`: runbooks held against the anatomy of a runbook."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    parser.epilog = "example: balbook check hot_deploy"
    parser.add_argument("runbooks", nargs="*", metavar="RUNBOOK", help="names, or paths of .ipynb files (default: all of balbook's)")
    parser.add_argument("--clear", action="store_true", help="first take out what running has left in these files: outputs, counts")
    common.add_json(parser)
    parser.set_defaults(run=check)


def check(args: argparse.Namespace) -> int:
    """Says what runbooks lack; 1 where one lacks something."""
    from balbook.notebook.notebook_file import read_notebook, schema_faults
    from balbook.notebook.runbook import check_runbook, find_runbooks, read_runbook, runbook_path
    from balbook.notebook.stripping import clear

    if args.clear and not args.runbooks:
        raise BadInput("--clear needs to be told what to clear", advice="Name the notebooks: balbook check --clear my_runbook.ipynb")
    paths = [runbook_path(name) for name in args.runbooks] or list(find_runbooks().values())
    if args.clear:
        cleared = [path for path in paths if clear(path)]
        common.say("\n".join(f"{path}: cleared" for path in cleared) or "nothing to clear")
    problems = {str(path): check_runbook(read_runbook(path)) or schema_faults(read_notebook(path)) for path in paths}
    faulty = {path: found for path, found in problems.items() if found}
    if args.json:
        common.print_json({"runbooks": problems})
    else:
        for path, found in faulty.items():
            print(f"{path}:")
            print("\n".join(f"  {problem}" for problem in found))
        print(f"{len(paths) - len(faulty)} of {len(paths)} runbooks keep to the anatomy of a runbook")
    return 1 if faulty else 0
