"""Follows one run by its folder alone, whoever started the run, and makes the page of the moment."""

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
GOES_ON = "The view is drawn again in a moment. **Stop safely** works; so does `balbook status`."


class Follower:
    """Looks at a run's journal and its probe's samples; each look reads only what is new."""

    def __init__(self, run_dir: Path, inventory: Inventory) -> None:
        self.run_dir = run_dir
        self.live = Live.of(read_plan(run_dir), inventory)
        self._journal, self._position = Journal(run_dir / "journal.jsonl"), 0
        self._events: list[Event] = []
        self._samples: Samples | None = None
        self._lock = threading.Lock()

    def look(self) -> Html:
        """The page of this moment."""
        with self._lock:
            events, self._position = self._journal.follow(self._position)
            self._events += events
            while self._events:  # an event that cannot be understood costs one look, not the next
                self.live.take([self._events.pop(0)])
            probe = newest_probe(self.run_dir)
            if probe and (self._samples is None or self._samples.folder != probe):
                self._samples = Samples(probe)
            if self._samples:
                self._samples.look()
            started = self._samples.started_at_s() if self._samples else None
            offset_s = started - self.live.began.timestamp() if started and self.live.began else 0.0
            return live_page(self.live, self._samples, self._now_s(), offset_s)

    def twin(self) -> Html:
        """The page that stays in the notebook."""
        return static_page(self.live, self._now_s())

    def follow(self, is_over: Callable[[], bool], on_page: Callable[[Html], None]) -> None:
        """Hands on a page about twice a second until the run is over, and a last one. A fault of the view costs only a page."""
        pause = threading.Event()
        while not is_over():
            self._show(on_page)
            pause.wait(TICK_S)
        has_seen_all = any(self._show(on_page) for _ in range(LAST_LOOKS))
        if has_seen_all and not self.live.verdict:
            self.live.lost_s = self._now_s()
            self._show(on_page)

    def _show(self, on_page: Callable[[Html], None]) -> bool:
        """Hands on one page, or a sentence where the page fails; False then."""
        try:
            on_page(self.look())
            return True
        except Exception as exc:
            with contextlib.suppress(Exception):
                on_page(panels.warning(f"The view failed; the run goes on. {type(exc).__name__}: {exc}", GOES_ON))
            return False

    def has_ended(self) -> bool:
        """True once the run's process is gone; for a run that somebody else controls."""
        return process.find(self.run_dir) is None

    def _now_s(self) -> float:
        return self.live.since_start_s(datetime.now(UTC))


def ongoing(records: Path) -> list[Path]:
    """The folders of this machine's runs that apply a plan now, oldest first. A pipeline has no plan and is left out."""
    found = [p.parent for p in sorted(records.glob(f"*/{process.PID_FILE}"))]
    return [run_dir for run_dir in found if (run_dir / FILE).is_file() and process.find(run_dir) is not None]
