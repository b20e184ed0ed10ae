"""`init`: makes a deployment repository."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput, Failed
from balbook.local.atomic_files import write_bytes
from balbook.local.resources import resource

SHIPPED = {
    **{name: name for name in ("inventory.yaml", "README.md")},
    **{name: f".{name}" for name in ("gitignore", "gitattributes", "pre-commit-config.yaml")},
}
"""The files of `templates/deployment` and their names in the repository."""
NEXT = """Made {folder}. Next:
  write your hosts and applications into {folder}/inventory.yaml
  cd {folder} && balbook doctor      checks this machine and the hosts
  balbook plan provision             shows what the hosts still need"""
EXAMPLE = "balbook init my-deployments"
ARGUMENTS = (common.argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty"),)


def run(args: argparse.Namespace) -> int:
    """Makes a deployment repository: an inventory, a README, and git."""
    folder: Path = args.folder.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        problem = "is not empty; nothing was written" if folder.is_dir() else "is a file"
        raise BadInput(f"{folder} {problem}", advice="Name a folder that does not exist yet.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in SHIPPED.items():
            write_bytes(folder / target, resource("templates", "deployment", source).read_bytes())
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror}", advice="Name another folder, or free disk space.") from exc
    _git_init(folder)
    print(NEXT.format(folder=args.folder))
    return 0


def _git_init(folder: Path) -> None:
    """Makes a git repository without a first commit: only the user knows the author."""
    if shutil.which("git") is None:
        common.say(f"git is not installed on this machine; install git, then run `git init` in {folder}")
        return
    made = subprocess.run(["git", "init", "--quiet", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    if made.returncode != 0:
        problem = f"git init in {folder} ended with status {made.returncode}: {made.stderr.strip()}"
        raise Failed(problem, advice="The files are written; run git init by hand.")
