"""The folder of a run, `records/<utc>-<name>-<run id>/`, and the opening of its journal."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, Failed
from balbook.inventory import Inventory, digest_of
from balbook.inventory.secret_references import secret_references
from balbook.notebook import runbook
from balbook.record.events import RunOpened
from balbook.record.journal import JOURNAL, Fields, Journal
from balbook.record.keeping import signing_key
from balbook.record.signatures import fingerprint
from balbook.secrets.references import without_secrets

RUN_DIR = "BALBOOK_RUN_DIR"
NOTEBOOK = runbook.NOTEBOOK
EXPECTED_DIGEST = "BALBOOK_PLAN_DIGEST"
APPROVED_RUN = "BALBOOK_APPROVED_RUN"
KEY = "BALBOOK_KEY"


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
    except OSError as exc:
        raise Failed(
            f"{run_dir}: the run's folder cannot be made: {exc.strerror}", advice="Is there space, and may you write there?"
        ) from exc
    return run_dir


def run_id_of(run_dir: Path) -> str:
    """The id at the end of the folder's name."""
    return run_dir.name.rpartition("-")[2]


def find_run(inventory: Inventory, run_id: str) -> Path:
    """The folder of a run; BadInput where there is none."""
    records = inventory.resolve(inventory.records.path)
    found = [p for p in records.glob("*") if p.is_dir() and (p.name == run_id or run_id_of(p) == run_id)] if records.is_dir() else []
    if not found:
        raise BadInput(f"{records}: there is no run {run_id!r}", advice="List them: balbook records list.")
    return found[0]


def open_journal(
    run_dir: Path,
    inventory: Inventory,
    runbook: str,
    parameters: Mapping[str, Any],
    *,
    clean: Callable[[Fields], Fields],
    runbook_sha256: str = "",
    environ: Mapping[str, str] = os.environ,
    **executed: Any,
) -> Journal:
    """The journal of a run that begins now, with its first event: who, what, why, with which versions. The one place that opens runs.

    `executed`: what is run, beside its name: `procedure`, `notebook` and `cells` of a notebook, or `pipeline`.
    """
    from balbook import __version__

    who = {"user": environ.get("SUDO_USER") or getpass.getuser(), "host": socket.gethostname()}
    key = signing_key(inventory)
    journal = Journal(run_dir / JOURNAL, clean=clean)
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
            git=_git(inventory.path.parent, without_secrets(environ, secret_references(inventory))),
            key=environ.get(KEY, ""),
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
