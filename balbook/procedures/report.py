"""Report over all records: how often, how fast and how safely the fleet changes. Changes nothing; only records are read.

The counts and drawings are the report's own (`balbook.report`); this module finds the records and the time from which they count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from balbook.errors import BadInput, ParameterError
from balbook.plan.model import Plan
from balbook.procedures import Check
from balbook.procedures.parts.site import Site
from balbook.record.history import History
from balbook.record.journal import JOURNAL, history_of
from balbook.show.table import Table

DAYS = {"d": 1, "w": 7}
ADVICE = "Write a day such as 2026-01-31, or how long ago: 90d, 12w. Empty: from the first record on."


def since_of(text: str, now: datetime) -> datetime | None:
    """The time from which records count: a day (UTC), or days or weeks before `now`; None: all records count. Else ParameterError."""
    if not text:
        return None
    if found := re.fullmatch(r"([1-9][0-9]{0,3})([dw])", text):
        return now - timedelta(days=int(found[1]) * DAYS[found[2]])
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as exc:
        raise ParameterError(f"parameter since: {text!r} is not a day of the calendar", advice=ADVICE) from exc
    raise ParameterError(f"parameter since: {text!r} is neither a day nor a time ago", advice=ADVICE)


def preflight(site: Site) -> Table:
    """The records by runbook and verdict."""
    histories = filter(None, map(_history, _folders(site)))  # `verify` names the others
    counts = Counter((history.opened.runbook, history.verdict[0]) for history in histories if history.opened)
    rows = [(runbook, verdict, count) for (runbook, verdict), count in sorted(counts.items())]
    return Table(("runbook", "verdict", "runs"), rows, title=str(_folder(site)), note="" if rows else "No run is recorded here.")


def plan(site: Site) -> Plan:
    """No step: a report changes nothing."""
    since_of(str(site.parameters.get("since", "")), datetime.now(UTC))
    subject = {"since": str(site.parameters.get("since", "")), "include_lab": bool(site.parameters.get("include_lab", False))}
    return Plan("report", "", (), subject=subject)


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Every record can be read."""
    unreadable = [path.name for path in _folders(site) if not _history(path)]
    return [Check("every record has a journal that can be read", not unreadable, ", ".join(unreadable) or "all of them")]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """Nothing beside the page."""
    return []


def _history(path: Path) -> History | None:
    """The history of a record; None where its journal cannot be read."""
    with suppress(BadInput):
        history = history_of(path)
        return history if history.opened else None
    return None


def _folders(site: Site) -> list[Path]:
    return sorted(path for path in _folder(site).glob("*") if (path / JOURNAL).is_file())


def _folder(site: Site) -> Path:
    return site.inventory.resolve(site.inventory.records.path)
