"""The folder of a run, `records/<utc>-<name>-<run id>/`, and the opening of its journal."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balbook import __version__
from balbook.errors import Failed
from balbook.inventory import Inventory, digest_of
from balbook.local.atomic_files import sync
from balbook.record.events import RunOpened
from balbook.record.journal import JOURNAL, Journal, utc_now
from balbook.record.keeping import bare_environment, records_folder, signing_key
from balbook.record.signatures import fingerprint
from balbook.record.statement import run_id_of


def make_run_dir(inventory: Inventory, name: str) -> Path:
    """Makes a private folder for a new run, whose id is eight hexadecimal digits; Failed where the folder cannot be made."""
    records = records_folder(inventory)
    run_dir = records / f"{utc_now():%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(4)}"
    try:
        records.mkdir(parents=True, exist_ok=True)
        run_dir.mkdir(mode=0o700)
        sync(records)
    except OSError as exc:
        advice = "Check that the disk has space and that you can write to the records folder."
        raise Failed(f"the run's folder {run_dir} cannot be made: {exc.strerror}", advice=advice) from exc
    return run_dir


def open_journal(
    run_dir: Path, inventory: Inventory, runbook: str, parameters: Mapping[str, Any], *, runbook_sha256: str = "", **executed: Any
) -> Journal:
    """The journal of a new run, with its first event: who, why, with which versions. The one place that opens runs.

    `executed`: what is run, beside its name: `procedure`, `notebook`, `cells` and `key` of a notebook, or `pipeline`.
    """
    who = {"user": os.environ.get("SUDO_USER") or getpass.getuser(), "host": socket.gethostname()}
    key = signing_key(inventory)
    journal = Journal(run_dir / JOURNAL, clean=inventory.secrets.scrubber.data)
    journal.append(
        RunOpened(
            run_id=run_id_of(run_dir),
            journal=RunOpened.KNOWN,
            runbook=runbook,
            name=runbook,
            runbook_sha256=runbook_sha256,
            mode=str(parameters.get("mode", "plan")),
            who={**who, "ssh_key": fingerprint(key)} if key else who,
            reason=str(parameters.get("reason", "")),
            ticket=str(parameters.get("ticket", "")),
            parameters=dict(parameters),
            environment=inventory.environment,
            inventory={"path": str(inventory.path), "sha256": digest_of(inventory), "environment": inventory.environment},
            versions={"balbook": __version__, "python": platform.python_version()},
            lab=inventory.lab,
            git=_git(inventory.path.parent, bare_environment(inventory)),
            **executed,
        )
    )
    return journal


def _git(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Commit and dirty flag of the repository around the inventory; empty outside a repository."""
    argv = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    return {} if commit == "(initial)" else {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
