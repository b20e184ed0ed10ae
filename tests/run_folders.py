"""Run folders as a run leaves them, records of them, and keys to sign with: for tests and benchmarks of what is recorded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from balbook.commands.command import Command
from balbook.local.digests import canonical, sha256_of
from balbook.notebook.runbook import cell_digest
from balbook.plan.model import Plan, Run, Step
from balbook.record.journal import START, Journal
from balbook.record.ledger import Ledger, open_ledger
from balbook.record.seal import Record, seal
from balbook.record.signatures import Trust
from tests.journals import writer

BEGIN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SHA = "ab" * 32
CELLS = (
    ("parameters", 'application: str = "hotel"  # what is deployed\nmode: str = "apply"'),
    ("setup", 'import balbook\nrun = balbook.open_run("hot_deploy")'),
    ("preflight", "run.show(run.preflight())"),
    ("plan", "plan = run.plan()"),
    ("apply", "run.apply(plan)"),
    ("verify", "run.verify()"),
    ("evidence", "run.evidence()"),
    ("conclude", "run.conclude()"),
)


def clock(start: datetime = BEGIN, step_s: float = 0.25) -> Callable[[], datetime]:
    """A clock that goes on by `step_s` with each look."""
    ticks = count()
    return lambda: start + timedelta(seconds=step_s * next(ticks))


def notebook(cells: tuple[tuple[str, str], ...] = CELLS, *, outputs: str = "", **parameters: object) -> dict[str, Any]:
    """A notebook of format 4.5; with `parameters` a cell that papermill injected behind the first."""
    listed = [(role, [role], source) for role, source in cells]
    if parameters:
        listed.insert(1, ("injected", ["injected-parameters"], "\n".join(f"{k} = {v!r}" for k, v in parameters.items())))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {
                "cell_type": "code",
                "id": role,
                "metadata": {"tags": tags},
                "execution_count": number,
                "source": source,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": outputs}] if outputs and role == "setup" else [],
            }
            for number, (role, tags, source) in enumerate(listed, 1)
        ],
    }


def run_folder(
    records: Path,
    run_id: str = "k3x9",
    *,
    verdict: str = "succeeded",
    release: str = "1.2.0",
    artifact_sha256: str = SHA,
    p99_ms: float = 12.5,
    seconds: float = 1.5,
    now: Callable[[], datetime] | None = None,
    opened: Mapping[str, Any] | None = None,
) -> Path:
    """The folder of one run of `hot_deploy`, whole unless `verdict` is empty: then the run's process was killed."""
    now = now or clock()
    folder = records / f"{BEGIN:%Y%m%dT%H%M%SZ}-hot_deploy-{run_id}"
    folder.mkdir(parents=True)
    step = Step("reload", "lb1", "Reload the balancer", (Run(Command(("nginx", "-s", "reload"))),))
    subject = {"release": release, "artifact_sha256": artifact_sha256, "configuration": {"sha256": "cd" * 32}}
    plan = Plan("hot_deploy", "hotel", (step,), subject=subject)
    parameters = {"application": "hotel", "mode": "apply"}
    write = writer(Journal(folder / "journal.jsonl", now=now))
    write(
        "run_opened",
        **{
            "journal": 1,
            "run_id": run_id,
            "runbook": "hot_deploy",
            "runbook_sha256": "ef" * 32,
            "name": "hot_deploy",
            "mode": "apply",
            "who": {"user": "ada", "host": "desk"},
            "reason": "Bug fix – Übergabe",
            "ticket": "OPS-1",
            "parameters": parameters,
            "inventory": {"path": "inventory.yaml", "sha256": "12" * 32},
            "versions": {"balbook": "0.1.0", "bal": "2201.10.0"},
            "lab": True,
            "git": {"commit": "c0ffee", "dirty": False},
            **(opened or {}),
        },
    )
    for number, (role, source) in enumerate(CELLS[2:], 3):
        write("cell_started", role=role, number=number, source_sha256=cell_digest(source))
        if role == "plan":
            write("planned", digest=plan.digest, changes=1)
        if role == "apply":
            write("apply_started", digest=plan.digest)
            write("step_started", step="reload", host="lb1", title="Reload the balancer")
            if not verdict:
                break
            outcome = "changed" if verdict == "succeeded" else "failed"
            write(
                "step_finished",
                step="reload",
                host="lb1",
                title="Reload the balancer",
                outcome=outcome,
                seconds=seconds,
                status=0,
                tail="done",
            )
            write("apply_finished", verdict=verdict, changes=1, why="")
        if role == "evidence":
            write("measured", p99_ms=p99_ms, failed=0)
        if role == "conclude":
            write("concluded", verdict=verdict, why="", digest=plan.digest)
        write("cell_finished", role=role, number=number, status="ok")
    if verdict:
        write("executor_returned", status="ok")
        write("run_closed", verdict=verdict, why="" if verdict == "succeeded" else "the step reload failed")
    (folder / "plan.json").write_text(json.dumps(plan.data(), indent=1))
    (folder / "hot_deploy.ipynb").write_text(json.dumps(notebook(outputs=f"run {run_id}\n"), indent=1))
    (folder / "probe").mkdir()
    (folder / "probe" / "summary.json").write_text(json.dumps({"p99_ms": p99_ms, "requests": 100}))
    (folder / "latency.png").write_bytes(b"\x89PNG\r\n\x1a\n" + run_id.encode())
    return folder


@dataclass(frozen=True)
class Keys:
    """An SSH key of a test's own, and the file that allows it."""

    key: Path
    trust: Trust


def make_key(folder: Path, name: str = "ada", *, passphrase: str = "") -> Path:
    """A new Ed25519 key without a passphrase."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", key], check=True, timeout=30)
    return key


def make_keys(folder: Path, name: str = "ada", options: str = "") -> Keys:
    """A key and `allowed_signers` with it alone."""
    key = make_key(folder, name)
    allowed = folder / f"allowed_signers_{name}"
    allowed.write_text(allowed_line(key, f"{name}@example.org", options))
    return Keys(key, Trust(allowed))


def allowed_line(key: Path, principal: str, options: str = "") -> str:
    """One line of a file of allowed signers."""
    kind, blob = Path(f"{key}.pub").read_text().split()[:2]
    return " ".join(filter(None, (principal, options, kind, blob))) + "\n"


def sealed(records: Path, keys: Keys | None, number: int, ledger: Ledger | None = None, **options: Any) -> list[Record]:
    """So many records of different runs, sealed one after the other."""
    made = []
    for i in range(number):
        start = BEGIN + timedelta(minutes=i)
        folder = run_folder(records, f"run{i:04}", now=clock(start), **options)
        at = clock(start + timedelta(seconds=30))
        made.append(seal(folder, ledger or open_ledger(records / "ledger"), sign_with=keys.key if keys else None, now=at))
    return made


def rechain(ledger: Path, texts: list[bytes]) -> None:
    """The ledger written anew with these entries, in this order; whoever can write there can do it, without a key."""
    for path in ledger.iterdir():
        path.unlink()
    previous = START
    for number, text in enumerate(texts, 1):
        data = canonical({**json.loads(text), "number": number, "previous": previous}) + b"\n"
        (ledger / f"{number:08}.json").write_bytes(data)
        previous = sha256_of(data)
