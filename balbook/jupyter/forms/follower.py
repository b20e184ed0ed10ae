"""Follows one run by its folder alone, whoever started it, and makes the page of the moment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from balbook.engine import process
from balbook.inventory import Inventory
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.live import Live
from balbook.jupyter.forms.live_page import live_page, static_page
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.sample_bins import Samples, newest_probe
from balbook.plan.reading import FILE, read_plan
from balbook.record.events import Event
from balbook.record.journal import Journal

TICK_S = 0.5
LAST_LOOKS = 5
"""Tries for the last page, of a view that fails."""
GOES_ON = "It is drawn again in a moment. **Stop safely** works; so does `balbook status`."


class Follower:
    """Looks at a run's journal and its probe's samples; each look reads only what is new."""

    def __init__(self, run_dir: Path, inventory: Inventory) -> None:
        self.run_dir = run_dir
        plan = read_plan(run_dir)
        self.live = Live.of(plan, inventory)
        self._journal, self._position = Journal(run_dir / "journal.jsonl"), 0
        self._events: list[Event] = []
        self._samples: Samples | None = None
        self._lock = threading.Lock()

    def look(self) -> Html:
        """The page of this moment."""
        with self._lock:
            events, self._position = self._journal.follow(self._position)
            self._events += events
            while self._events:  # one that cannot be understood costs itself alone
                self.live.take([self._events.pop(0)])
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
        """A page about twice a second until it is over, and one more. A fault of the view costs a page, not the following."""
        pause = threading.Event()
        while not is_over():
            self._show(on_page)
            pause.wait(TICK_S)
        has_seen_all = any(self._show(on_page) for _ in range(LAST_LOOKS))
        if has_seen_all and not self.live.is_over:
            self.live.lose(self._now_s())
            self._show(on_page)

    def _show(self, on_page: Callable[[Html], None]) -> bool:
        """One page; where that fails, a sentence instead. Whether it did not."""
        try:
            on_page(self.look())
            return True
        except Exception as exc:
            with contextlib.suppress(Exception):
                on_page(panels.warning(f"The view failed; the run goes on. {type(exc).__name__}: {exc}", GOES_ON))
            return False

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
    return [run_dir for run_dir in found if (run_dir / FILE).is_file()]
