"""Follows one run by its folder alone, whoever started it, and makes the page of the moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from balbook.engine import process
from balbook.forms.live import Live
from balbook.forms.live_page import live_page, static_page
from balbook.forms.panels import Html
from balbook.forms.samples import Samples, newest_probe
from balbook.inventory import Inventory
from balbook.journal import Journal
from balbook.plan import plan_from

TICK_S = 0.5


class Follower:
    """Looks at a run's journal and its probe's samples; each look reads only what is new."""

    def __init__(self, run_dir: Path, inventory: Inventory) -> None:
        self.run_dir = run_dir
        plan = plan_from(json.loads((run_dir / "plan.json").read_text(encoding="utf-8")))
        self.live = Live.of(plan, inventory)
        self._journal, self._position = Journal(run_dir / "journal.jsonl"), 0
        self._samples: Samples | None = None
        self._lock = threading.Lock()

    def look(self) -> Html:
        """The page of this moment."""
        with self._lock:
            events, self._position = self._journal.follow(self._position)
            self.live.take(events)
            probe = newest_probe(self.run_dir)
            if probe and (self._samples is None or self._samples.folder != probe):
                self._samples = Samples(probe)
            if self._samples:
                self._samples.look()
            return live_page(self.live, self._samples, self._now_s(), self._offset_s())

    def twin(self) -> Html:
        """What stays in the notebook."""
        return static_page(self.live, self._now_s())

    def follow(self, is_over: Callable[[], bool], on_page: Callable[[Html], None]) -> None:
        """A page about twice a second until it is over, and one more."""
        pause = threading.Event()
        while not is_over():
            on_page(self.look())
            pause.wait(TICK_S)
        self.look()
        if not self.live.is_over:
            self.live.lose(self._now_s())
        on_page(self.look())

    def has_ended(self) -> bool:
        """Whether its process is gone; of a run that somebody else controls."""
        return process.find(self.run_dir) is None

    def _now_s(self) -> float:
        return self.live.since_start_s(datetime.now(UTC))

    def _offset_s(self) -> float:
        started = self._samples.started_at_s() if self._samples else None
        return started - self.live.began.timestamp() if started and self.live.began else 0.0


def ongoing(records: Path) -> list[Path]:
    """The folders of the runs on this machine whose process is alive, oldest first; pipelines, which have no plan, left out."""
    found = [p.parent for p in sorted(records.glob(f"*/{process.PID_FILE}")) if process.find(p.parent) is not None]
    return [run_dir for run_dir in found if (run_dir / "plan.json").is_file()]
