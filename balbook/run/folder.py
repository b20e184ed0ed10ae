"""The folder of a run, `records/<utc>-<name>-<run id>/`, and the opening of its journal."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.errors import Failed
from balbook.inventory import Inventory, digest_of
from balbook.local.atomic_files import sync
from balbook.record.events import RunOpened
from balbook.record.journal import JOURNAL, Journal
from balbook.record.keeping import bare_environment, signing_key
from balbook.record.signatures import fingerprint
from balbook.record.statement import run_id_of


def new_run_id() -> str:
    """Eight hexadecimal digits."""
    return secrets.token_hex(4)


def make_run_dir(inventory: Inventory, name: str, run_id: str, now: datetime) -> Path:
    """A private folder for a new run; Failed where it cannot be made."""
    records = inventory.resolve(inventory.records.path)
    run_dir = records / f"{now:%Y%m%dT%H%M%SZ}-{name}-{run_id}"
    try:
        records.mkdir(parents=True, exist_ok=True)
        run_dir.mkdir(mode=0o700)
        sync(records)
    except OSError as exc:
        raise Failed(
            f"{run_dir}: the run's folder cannot be made: {exc.strerror}", advice="Is there space, and may you write there?"
        ) from exc
    return run_dir


def open_journal(
    run_dir: Path,
    inventory: Inventory,
    runbook: str,
    parameters: Mapping[str, Any],
    *,
    runbook_sha256: str = "",
    **executed: Any,
) -> Journal:
    """The journal of a run that begins now, with its first event: who, what, why, with which versions. The one place that opens runs.

    `executed`: what is run, beside its name: `procedure`, `notebook`, `cells` and `key` of a notebook, or `pipeline`.
    """
    from balbook import __version__

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
    """Commit and dirty flag of the repository that the inventory is in; empty where there is none."""
    try:
        commit = _ask_git(folder, environ, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_ask_git(folder, environ, "status", "--porcelain"))} if commit else {}
    except (OSError, subprocess.SubprocessError):
        return {}


def _ask_git(folder: Path, environ: Mapping[str, str], *words: str) -> str:
    argv = ["git", "-C", str(folder), *words]
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
