"""Telling others what a run does: a webhook or a command at its beginning, pause and end; and a file for Prometheus.

None of it decides on anything: a webhook that does not answer is a line in the journal, never the end of a rollout.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from balbook.errors import Failed
from balbook.inventory.models import Inventory
from balbook.local.atomic_files import write_text
from balbook.local.http import ask
from balbook.record.events import Notified
from balbook.record.journal import Journal
from balbook.secrets.secret_ref import SecretRef
from balbook.transport import Reveal

DEADLINE_S = 5.0
VERDICTS = ("succeeded", "failed", "inconclusive")
HEAD = {
    "balbook_last_run_verdict": "Verdict of the last run that applied something: 1 for its verdict, 0 for the others.",
    "balbook_last_run_duration_seconds": "Duration of the last run in seconds.",
    "balbook_last_run_failed_requests": "Failed requests that its probe saw; -1 where nothing was measured.",
    "balbook_last_run_end_timestamp_seconds": "When the last run ended, in seconds since 1970.",
}
LINE = re.compile(r'(?P<name>\w+)\{application="(?P<application>[^"]*)",runbook="(?P<runbook>[^"]*)"')


def tell(inventory: Inventory, journal: Journal, what: str, about: Mapping[str, Any], reveal: Reveal) -> None:
    """Tells the inventory's webhook and command that a run has begun, paused or ended; failures go to the journal alone.

    `what`: `started`, `paused`, `verdict`. They get one line of JSON: `what` and the fields of `about`.
    """
    notify = inventory.notify
    line = json.dumps({"what": what, **about}, sort_keys=True, default=str)
    if notify.webhook:
        token = reveal(SecretRef(notify.token)) if notify.token else ""
        _noted(journal, what, "webhook", _post(str(notify.webhook), line, token))
    if notify.command:
        _noted(journal, what, "command", _run(notify.command, line, inventory.path.parent, journal.clean))


def write_metrics(path: Path, application: str, runbook: str, *, verdict: str, seconds: float, failed: int, at_s: float) -> None:
    """Puts the figures of this run into the textfile, beside those of other applications and runbooks; written and moved."""
    kept = [line for line in _lines(path) if not _is_about(line, application, runbook)]
    label = f'application="{application}",runbook="{runbook}"'
    kept += [f'balbook_last_run_verdict{{{label},verdict="{word}"}} {int(word == verdict)}' for word in VERDICTS]
    kept.append(f"balbook_last_run_duration_seconds{{{label}}} {seconds:.3f}")
    kept.append(f"balbook_last_run_failed_requests{{{label}}} {failed}")
    kept.append(f"balbook_last_run_end_timestamp_seconds{{{label}}} {at_s:.3f}")
    text = ""
    for name, about in HEAD.items():
        rows = sorted(line for line in kept if line.startswith(f"{name}{{"))
        text += f"# HELP {name} {about}\n# TYPE {name} gauge\n" + "".join(f"{row}\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, mode=0o644)  # the collector runs as another user


def _post(url: str, line: str, token: str) -> str:
    """Why it could not be delivered; empty where it was."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        with ask("POST", url, within_s=DEADLINE_S, failed=Failed, content=line.encode(), headers=headers) as answer:
            return "" if answer.status < 300 else f"the webhook answered {answer.status} {answer.reason}"
    except Failed as exc:
        return exc.message


def _run(command: list[str], line: str, folder: Path, clean: Callable[[str], str]) -> str:
    try:
        done = subprocess.run(command, input=line + "\n", text=True, capture_output=True, timeout=DEADLINE_S, check=False, cwd=folder)
    except (OSError, subprocess.SubprocessError) as exc:
        return f"{type(exc).__name__}: {exc}"
    return "" if done.returncode == 0 else f"status {done.returncode}: {clean(done.stderr.strip())[-200:]}"


def _noted(journal: Journal, what: str, channel: str, problem: str) -> None:
    journal.append(Notified(what=what, channel=channel, problem=problem))


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if LINE.match(line)]
    except OSError:
        return []


def _is_about(line: str, application: str, runbook: str) -> bool:
    found = LINE.match(line)
    return found is not None and (found["application"], found["runbook"]) == (application, runbook)
