"""`init`: a deployment repository."""

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
    "inventory.yaml": "inventory.yaml",
    "README.md": "README.md",
    **{name: f".{name}" for name in ("gitignore", "gitattributes", "pre-commit-config.yaml")},
}
"""The files of `templates/deployment` and their names in the repository."""
NEXT = """Made {folder}. Next:
  write your hosts and applications into {folder}/inventory.yaml
  cd {folder} && balbook doctor      what this machine and the hosts have and lack
  balbook plan provision             what the hosts still need"""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `init`."""
    parser.epilog = "example: balbook init my-deployments"
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    parser.set_defaults(run=init)


def init(args: argparse.Namespace) -> int:
    """Makes a deployment repository: an inventory, a README, and git."""
    folder: Path = args.folder.expanduser().absolute()
    _require_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in SHIPPED.items():
            write_bytes(folder / target, resource("templates", "deployment", source).read_bytes())
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror}", advice="Name another folder, or make room.") from exc
    _git_init(folder)
    print(NEXT.format(folder=args.folder))
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
        common.say("git is not installed here; run `git init` in that folder once it is")
        return
    made = subprocess.run(["git", "init", "--quiet", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    if made.returncode != 0:
        raise Failed(
            f"git init in {folder} ended with {made.returncode}: {made.stderr.strip()}", advice="Run it by hand; the files are there."
        )
