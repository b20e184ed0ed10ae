"""The end of applying a plan: written to the journal, told to whom the inventory names, kept for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from balbook.engine import notify as notice
from balbook.engine.ending import Applied
from balbook.errors import ExitStatus
from balbook.inventory import Inventory
from balbook.plan.model import Plan
from balbook.record import events as ev
from balbook.record.history import History
from balbook.record.journal import Journal
from balbook.transport import Reveal


class Reporter:
    """Says that a run began and what came of it. Until `begin` it knows of no inventory and only writes the journal."""

    def __init__(self, journal: Journal, opened: ev.RunOpened | None) -> None:
        self._journal, self._opened = journal, opened
        self._began, self._position = time.monotonic(), journal.path.stat().st_size
        self._inventory: Inventory | None = None
        self._plan: Plan | None = None
        self._reveal: Reveal | None = None

    def begin(self, inventory: Inventory, plan: Plan, reveal: Reveal) -> None:
        """From here on others are told."""
        self._inventory, self._plan, self._reveal = inventory, plan, reveal
        self._tell("started", {"changes": len(plan.pending)})

    def end(self, applied: Applied, exit_status: int | None = None) -> None:
        """Writes `apply_finished`; then others are told, also where it cannot be written."""
        status = ExitStatus.of(applied.verdict) if exit_status is None else exit_status
        about: dict[str, Any] = {"verdict": applied.verdict, "changes": applied.changes, "why": applied.why, "units": applied.units}
        try:
            self._journal.append(ev.ApplyFinished(exit_status=status, **about))
        finally:
            self._tell_end(applied, about)

    def _tell_end(self, applied: Applied, about: Mapping[str, Any]) -> None:
        history = History.of(self._journal.follow(self._position)[0])
        if paused := history.paused:
            self._tell("paused", {"why": paused.why, "done": list(paused.done)})
        self._tell("verdict", {**about, "seconds": round(time.monotonic() - self._began, 3)})
        self._write_metrics(applied, history.measured)

    def _tell(self, what: str, about: Mapping[str, Any]) -> None:
        if self._inventory is None or self._plan is None or self._reveal is None:
            return
        opened = self._opened
        run = {"run_id": opened.run_id, "who": opened.who, "reason": opened.reason} if opened else {}
        subject = {"runbook": self._plan.runbook, "application": self._plan.application, "subject": dict(self._plan.subject)}
        notice.tell(self._inventory, self._journal, what, {**run, **subject, **about}, self._reveal)

    def _write_metrics(self, applied: Applied, measured: ev.Measured | None) -> None:
        if self._inventory is None or self._plan is None or not self._inventory.metrics_textfile:
            return
        path = self._inventory.resolve(self._inventory.metrics_textfile)
        try:
            notice.write_metrics(
                path,
                self._plan.application,
                self._plan.runbook,
                verdict=applied.verdict,
                seconds=time.monotonic() - self._began,
                failed=-1 if measured is None or measured.failed is None else measured.failed,
                at_s=time.time(),
            )
        except OSError as exc:
            self._journal.append(ev.Notified(what="metrics", channel=str(path), problem=f"{type(exc).__name__}: {exc}"))
