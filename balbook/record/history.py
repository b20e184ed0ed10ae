"""The state of a run, folded from its events in one place; every question about a run is answered here.

A history can be taken up anywhere and goes on with `take`, so a live view and an auditor a year later read the same. Several
journals one after the other (a record with more than one) fold as one history; `openings` keeps each beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from balbook.record import events as ev
from balbook.record.events import Event

STANDS = ("changed", "already")
"""Outcomes of a step whose effect stands."""
INTERRUPTED = "interrupted"
WAITING = "waiting"
"""The status of a cell that could not run yet and did nothing."""


@dataclass
class StepHistory:
    """One step: `state` is `started`, `taking back` or its last outcome; times are UTC, ISO 8601, empty where unknown."""

    id: str
    host: str = ""
    title: str = ""
    state: str = "started"
    started_at: str = ""
    ended_at: str = ""
    seconds: float | None = None
    status: int | None = None
    tail: str = ""
    tests: Mapping[str, int] | None = None
    sent: tuple[int, int] = (0, 0)
    """Bytes of an upload that is under way, and how many it has."""


@dataclass(frozen=True)
class Move:
    """One change of a step's state (`started`, `taking back` or an outcome) while the plan of this digest was applied."""

    step: str
    state: str
    digest: str
    event: Event


@dataclass
class History:
    """All that has happened in a run so far. Of an event that repeats, the last is kept; the lists keep every one.

    The types are the rule: a field of a kind keeps the last event of that kind (`opened` and `first_begun` the first), a list keeps all.
    """

    opened: ev.RunOpened | None = None
    openings: list[ev.RunOpened] = field(default_factory=list)
    first: Event | None = None
    last: Event | None = None
    count: int = 0
    planned: ev.Planned | None = None
    shown: list[ev.Planned | ev.ApplyStarted] = field(default_factory=list)
    """The events that name the digest of a plan."""
    versions: ev.Versions | None = None
    approval: ev.Approved | ev.NotApproved | None = None
    approvals_of: set[str] = field(default_factory=set)
    """The runs whose approved plans were used."""
    begun: ev.ApplyStarted | None = None
    """The start of the last process that applied."""
    first_begun: ev.ApplyStarted | None = None
    is_applying: bool = False
    """A process has begun to apply and has not written its end."""
    is_resuming: bool = False
    """Resumed, and no process has begun since."""
    applied: ev.ApplyFinished | None = None
    steps: dict[str, StepHistory] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    finished: list[ev.StepFinished] = field(default_factory=list)
    stop_asked: ev.StopAsked | None = None
    """The request to stop since the last process began."""
    stopping: ev.StopRequested | None = None
    """The request to stop as the last process received it."""
    is_controller_gone: bool = False
    paused: ev.Paused | None = None
    notes: list[ev.ProbeFailed | ev.LeaseTakenOver | ev.ControllerGone | ev.Paused] = field(default_factory=list)
    """The events that a person who watches must be told of."""
    is_measuring: bool = False
    figures: list[ev.Measured] = field(default_factory=list)
    timed: ev.Timed | None = None
    last_figures: ev.Measured | ev.Timed | None = None
    """The last measurement or timing."""
    verified: ev.Verified | None = None
    error: ev.ErrorRaised | None = None
    exit_status: int | None = None
    """The last exit status that an event names."""
    concluded: ev.Concluded | None = None
    closed: ev.RunClosed | None = None
    is_closed: bool = False
    """Closed, and not resumed since: the run may be sealed and gets no more events."""
    resumes: list[ev.Resumed] = field(default_factory=list)
    cells: list[ev.CellStarted] = field(default_factory=list)
    ends: list[ev.CellFinished] = field(default_factory=list)
    runbooks: list[ev.RunbookFinished] = field(default_factory=list)
    _is_ended: bool = False
    """Concluded or closed since the last process began."""

    @classmethod
    def of(cls, happened: Iterable[Event]) -> History:
        """The history of these events."""
        history = cls()
        history.take(happened)
        return history

    def take(self, happened: Iterable[Event]) -> None:
        """Adds these events."""
        for event in happened:
            self.first, self.last, self.count = self.first or event, event, self.count + 1
            self._take(event)

    # Questions ----------------------------------------------------------------------------------------------------------

    @property
    def measured(self) -> ev.Measured | None:
        """The last measurement; None where nothing was measured."""
        return self.figures[-1] if self.figures else None

    @property
    def has_applied(self) -> bool:
        """True where a process has begun to apply."""
        return self.begun is not None

    @property
    def has_changed_hosts(self) -> bool:
        """True where any step has begun to change something."""
        return any(move.state == "started" for move in self.moves)

    @property
    def is_lost(self) -> bool:
        """True where a process began to apply and its end is not in the journal; also true while that process still runs."""
        return self.is_applying

    @property
    def is_cut_off(self) -> bool:
        """True where applying began and nobody was left to end the run: the run's process died, or its follower did.

        Where the follower died, the process stopped in a safe state; its verdict is not one that a person decided.
        """
        return self.is_lost or (self.has_applied and self.is_controller_gone and not self._is_ended)

    @property
    def is_abandoned(self) -> bool:
        """True where the run's process ended after its controller had died, and the run was not closed."""
        return self.is_controller_gone and self.applied is not None and self.closed is None

    @property
    def is_open(self) -> bool:
        """True where the run still goes on in a notebook or was left there: it is not closed, and its process was not lost."""
        return self.count > 0 and self.closed is None and not self.is_lost

    @property
    def verdict(self) -> tuple[str, str]:
        """The stated verdict and why; a run that was not closed is `inconclusive`."""
        if self.closed is not None:
            return self.closed.verdict, self.closed.why
        if self.concluded is not None:
            return "inconclusive", f"concluded as {self.concluded.verdict}, but not closed: run balbook seal NOTEBOOK"
        return "inconclusive", "lost_run: the run was not closed, its process is gone"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the run; empty before it is opened."""
        return self.opened.parameters if self.opened else {}

    @property
    def run_id(self) -> str:
        """The id of the run; empty before it is opened."""
        return self.opened.run_id if self.opened else ""

    @property
    def seconds(self) -> float:
        """From the first to the last event."""
        return (self.last.time - self.first.time).total_seconds() if self.first and self.last else 0.0

    @property
    def steps_seconds(self) -> float | None:
        """The seconds of all steps together; None where no step has ended."""
        return round(sum(step.seconds for step in self.finished), 3) if self.finished else None

    @property
    def cells_that_ran(self) -> list[ev.CellStarted]:
        """Every cell that began, except those that only said what has to be done first."""
        waited = {end.number for end in self.ends if end.status == WAITING}
        return [cell for cell in self.cells if cell.number not in waited]

    @property
    def failed_cell(self) -> ev.CellFinished | None:
        """The first cell that ended with an error."""
        return next((end for end in self.ends if end.status == "error"), None)

    def measurements(self) -> dict[str, Any]:
        """All figures of the run; of a figure that was measured again, the last value."""
        return {key: value for measured in self.figures for key, value in measured.payload().items()}

    def earlier(self, digest: str) -> tuple[dict[str, str], set[str]]:
        """The steps that earlier processes did of the plan of this digest: outcomes that stand, and the steps in which a process died."""
        outcomes: dict[str, str] = {}
        for move in self.moves:
            if move.digest == digest:
                outcomes[move.step] = INTERRUPTED if move.state in ("started", "taking back") else move.state
        standing = {step: outcome for step, outcome in outcomes.items() if outcome in STANDS}
        return standing, {step for step, outcome in outcomes.items() if outcome == INTERRUPTED}

    # The fold ---------------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        for name in _KEPT.get(type(event), ()):
            kept = getattr(self, name)
            if isinstance(kept, list):
                kept.append(event)
            elif kept is None or name not in _FIRST:
                setattr(self, name, event)
        match event:
            case ev.RunOpened():
                self.is_closed = False
            case ev.Resumed():
                self.is_closed, self.is_resuming, self.stop_asked, self.stopping = False, True, None, None
            case ev.Approved():
                self.approvals_of.add(event.run)
            case ev.ApplyStarted():
                self.is_applying, self.is_resuming, self.stop_asked, self.stopping = True, False, None, None
                self.is_controller_gone = self._is_ended = False
            case ev.StepStarted() | ev.UndoStarted() | ev.StepFinished() | ev.UploadProgress():
                self._step(event)
            case ev.ProbeStarted() | ev.Measured():
                self.is_measuring = isinstance(event, ev.ProbeStarted)
            case ev.ControllerGone():
                self.is_controller_gone = True
            case ev.ApplyFinished():
                self.is_applying, self.exit_status = False, event.exit_status
            case ev.ErrorRaised():
                self.exit_status = event.exit_status
            case ev.Concluded():
                self._is_ended = True
            case ev.RunClosed():
                self.is_closed = self._is_ended = True

    def _step(self, event: ev.StepStarted | ev.UndoStarted | ev.StepFinished | ev.UploadProgress) -> None:
        step = self.steps.setdefault(event.step, StepHistory(event.step, event.host))
        match event:
            case ev.UploadProgress():
                step.sent = (event.bytes, event.total)
                return
            case ev.StepStarted():
                step.state, step.title, step.started_at, step.seconds, step.status = "started", event.title, event.at, None, None
            case ev.UndoStarted():
                step.state, step.started_at = "taking back", event.at
            case ev.StepFinished():
                step.state, step.title, step.ended_at, step.seconds = event.outcome, event.title, event.at, event.seconds
                step.status, step.tail, step.tests, step.sent = event.status, event.tail, event.tests, (0, 0)
        self.moves.append(Move(event.step, step.state, self.begun.digest if self.begun else "", event))


def _kept() -> Mapping[type[Event], list[str]]:
    """The fields of a history that keep events, by kind, as their types declare it."""
    kept: dict[type[Event], list[str]] = {}
    for name, hint in get_type_hints(History).items():
        kinds = [kind for part in (hint, *get_args(hint)) for kind in get_args(part)]
        for kind in (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event):
            kept.setdefault(kind, []).append(name)
    return kept


_KEPT = _kept()
_FIRST = ("opened", "first_begun")
