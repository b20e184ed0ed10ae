"""`check`: checks that runbooks have the anatomy of a runbook."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.errors import BadInput
from balbook.notebook.notebook_file import read_notebook, schema_faults
from balbook.notebook.runbook import check_runbook, find_runbooks, read_runbook, runbook_path
from balbook.notebook.stripping import clear

EXAMPLE = "balbook check hot_deploy"
ARGUMENTS = (
    common.argument("runbooks", nargs="*", metavar="RUNBOOK", help="names, or paths of .ipynb files (default: all of balbook's)"),
    common.argument("--clear", action="store_true", help="first remove outputs and execution counts from these files"),
    common.JSON,
)


def run(args: argparse.Namespace) -> int:
    """Prints the faults of the runbooks; exit status 1 if a runbook has one."""
    if args.clear and not args.runbooks:
        raise BadInput("--clear needs the names of notebooks", advice="For example: balbook check --clear my_runbook.ipynb")
    paths = [runbook_path(name) for name in args.runbooks] or list(find_runbooks().values())
    if args.clear:
        cleared = [path for path in paths if clear(path)]
        common.say("\n".join(f"{path}: cleared" for path in cleared) or "the notebooks have no outputs to clear")
    problems = {str(path): check_runbook(read_runbook(path)) or schema_faults(read_notebook(path)) for path in paths}
    faulty = {path: found for path, found in problems.items() if found}
    lines = ["\n  ".join([f"{path}:", *map(str, found)]) for path, found in faulty.items()]
    lines.append(f"{len(paths) - len(faulty)} of {len(paths)} runbooks keep to the anatomy of a runbook")
    common.show(args, {"runbooks": problems}, "\n".join(lines))
    return 1 if faulty else 0
