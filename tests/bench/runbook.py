"""What a runbook costs beside its remote work, against bare papermill on an empty notebook: `runbook.py [ROUNDS]`.

On a loopback lab: `balbook plan` of a runbook, less the time that the same facts and plan take without a notebook; and
`papermill` on a notebook of one empty cell. Each is a new process; the rounds alternate and medians are compared. Exits 1
naming the row whose overhead is more than 1.5 times papermill's time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from balbook import procedures  # noqa: E402 - a script finds its parts itself
from balbook import transport as transports  # noqa: E402
from balbook.inventory import read_inventory  # noqa: E402
from balbook.lab import loopback  # noqa: E402
from balbook.procedures.parts.site import Site  # noqa: E402

MOST = 1.5
EMPTY = {
    "cells": [{"cell_type": "code", "id": "empty", "metadata": {}, "source": "", "outputs": [], "execution_count": None}],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def main() -> int:
    rounds = int((sys.argv[1:] or ["5"])[0])
    with tempfile.TemporaryDirectory(prefix="balbook-bench-") as folder:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environ = {**os.environ, "BALBOOK_LAB_HOME": folder, "PATH": path, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
        lab = loopback.up("bench", environ=environ)
        try:
            rows = measure(lab.inventory, Path(folder), environ, rounds)
        finally:
            loopback.down("bench", environ=environ)
    bare = rows.pop("papermill, empty notebook")
    print(f"{rounds} rounds, medians\n{'what':<28}{'seconds':>9}{'ratio':>8}\n{'papermill, empty notebook':<28}{bare:>9.2f}{1:>8.2f}")
    missed = []
    for name, seconds in rows.items():
        is_judged = name.startswith("overhead")
        print(f"{name:<28}{seconds:>9.2f}{seconds / bare if is_judged else 0:>8.2f}" if is_judged else f"{name:<28}{seconds:>9.2f}")
        if is_judged and seconds > MOST * bare:
            missed.append(f"{name}: {seconds / bare:.2f} times papermill's {bare:.2f} s, {MOST} may be")
    for row in missed:
        print(f"missed: {row}")
    return 1 if missed else 0


def measure(inventory: Path, folder: Path, environ: dict[str, str], rounds: int) -> dict[str, float]:
    """Medians by row; the overhead is that of each round."""
    empty = folder / "empty.ipynb"
    empty.write_text(json.dumps(EMPTY))
    balbook = [sys.executable, "-m", "balbook", "plan", "provision", "-i", str(inventory), "--json"]
    papermill = [sys.executable, "-m", "papermill", str(empty), str(folder / "out.ipynb"), "--no-progress-bar"]
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        bare, whole, remote = timed(papermill, environ), timed(balbook, environ), remote_work(inventory)
        row = {"papermill, empty notebook": bare, "balbook plan provision": whole, "its remote work": remote, "overhead": whole - remote}
        for name, value in row.items():
            seconds.setdefault(name, []).append(value)
    return {name: median(values) for name, values in seconds.items()}


def timed(argv: list[str], environ: dict[str, str]) -> float:
    started = time.monotonic()
    done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv[1:4])} ended with {done.returncode}:\n{done.stderr}")
    return time.monotonic() - started


def remote_work(path: Path) -> float:
    """The same facts and plan without a notebook: what the runbook's cells ask of the hosts, in their order."""
    inventory, procedure = read_inventory(path), procedures.procedure("provision")
    started = time.monotonic()
    site = Site(inventory, transports.connect(inventory), {"hosts": []})
    try:
        procedure.preflight(site)
        plan = procedure.plan(site)
        procedure.evidence(site, plan, path.parent)
    finally:
        site.transport.close()
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
