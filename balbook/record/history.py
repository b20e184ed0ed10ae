"""The state of a run, folded from its events once; all that is asked about a run is answered here.

A history can be taken up anywhere and goes on with `take`, so a live view and an auditor a year later read the same. Several
journals one after the other (a record with more than one) fold as one history; `openings` keeps each beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from balbook.record import events as ev
from balbook.record.events import Event

STANDS = ("changed", "already")
"""Outcomes of a step whose effect stands."""
INTERRUPTED = "interrupted"
WAITING = "waiting"
"""The status of a cell that could not be run yet; it did nothing."""


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
    """A step came into another state, `started`, `taking back` or an outcome, while the plan of this digest was applied."""

    step: str
    state: str
    digest: str
    event: Event


@dataclass
class History:
    """What has happened in a run so far. Of what can happen again, the last is kept, unless a list says otherwise."""

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
    """A process has begun to apply and not said how it ended."""
    is_resuming: bool = False
    """Resumed, and no process has begun since."""
    applied: ev.ApplyFinished | None = None
    steps: dict[str, StepHistory] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    finished: list[ev.StepFinished] = field(default_factory=list)
    stop_asked: ev.StopAsked | None = None
    """Who asked for the end, since the last process began."""
    stopping: ev.StopRequested | None = None
    """Why it is to stop, since the last process began."""
    is_controller_gone: bool = False
    paused: ev.Paused | None = None
    notes: list[ev.ProbeFailed | ev.LeaseTakenOver | ev.ControllerGone | ev.Paused] = field(default_factory=list)
    """What somebody who watches must be told of."""
    is_measuring: bool = False
    figures: list[ev.Measured] = field(default_factory=list)
    timed: ev.Timed | None = None
    last_figures: ev.Measured | ev.Timed | None = None
    """What was measured or timed last."""
    verified: ev.Verified | None = None
    error: ev.ErrorRaised | None = None
    exit_status: int | None = None
    """The last one that anybody named."""
    concluded: ev.Concluded | None = None
    returned: ev.ExecutorReturned | None = None
    closed: ev.RunClosed | None = None
    is_closed: bool = False
    """Closed, and not resumed since: it may be sealed, and gets no more events."""
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
        """Goes on by these events."""
        for event in happened:
            self.first, self.last, self.count = self.first or event, event, self.count + 1
            self._take(event)

    # What is asked ----------------------------------------------------------------------------------------------------------

    @property
    def measured(self) -> ev.Measured | None:
        """What was measured last; None where nothing was."""
        return self.figures[-1] if self.figures else None

    @property
    def has_applied(self) -> bool:
        """Whether a process has begun to apply."""
        return self.begun is not None

    @property
    def has_changed_hosts(self) -> bool:
        """Whether any step has begun to change something."""
        return any(move.state == "started" for move in self.moves)

    @property
    def is_lost(self) -> bool:
        """Something was applied whose end nobody wrote down; so it is, too, while a process applies it."""
        return self.is_applying

    @property
    def is_cut_off(self) -> bool:
        """Something was applied and then nobody was left to end it: the run's process died, or who followed it did.

        In the latter case the process has reached a safe state, and what it says it came to is not what anybody decided.
        """
        return self.is_lost or (self.has_applied and self.is_controller_gone and not self._is_ended)

    @property
    def is_abandoned(self) -> bool:
        """It has ended after its controller had died, and nobody has closed it."""
        return self.is_controller_gone and self.applied is not None and self.closed is None

    @property
    def is_open(self) -> bool:
        """It goes on in a notebook or was left there: nobody has closed it, and no process of it was lost."""
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
        """Seconds of all steps together; None where none is over."""
        return round(sum(step.seconds for step in self.finished), 3) if self.finished else None

    @property
    def cells_that_ran(self) -> list[ev.CellStarted]:
        """Every cell that began, but those that only said what has to be done first."""
        waited = {end.number for end in self.ends if end.status == WAITING}
        return [cell for cell in self.cells if cell.number not in waited]

    @property
    def failed_cell(self) -> ev.CellFinished | None:
        """The first cell that ended with an error."""
        return next((end for end in self.ends if end.status == "error"), None)

    def measurements(self) -> dict[str, Any]:
        """All figures of the run; of one that was measured again, the last."""
        return {key: value for measured in self.figures for key, value in measured.payload().items()}

    def earlier(self, digest: str) -> tuple[dict[str, str], set[str]]:
        """Steps of the plan of this digest by earlier processes: outcomes that stand, and the steps that a process died in."""
        outcomes: dict[str, str] = {}
        for move in self.moves:
            if move.digest == digest:
                outcomes[move.step] = INTERRUPTED if move.state in ("started", "taking back") else move.state
        standing = {step: outcome for step, outcome in outcomes.items() if outcome in STANDS}
        return standing, {step for step, outcome in outcomes.items() if outcome == INTERRUPTED}

    # The fold ---------------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case ev.RunOpened():
                self.opened, self.is_closed = self.opened or event, False
                self.openings.append(event)
            case ev.Resumed():
                self.resumes.append(event)
                self.is_closed, self.is_resuming, self.stop_asked, self.stopping = False, True, None, None
            case ev.Planned():
                self.planned = event
                self.shown.append(event)
            case ev.Versions():
                self.versions = event
            case ev.Approved():
                self.approval = event
                self.approvals_of.add(event.run)
            case ev.NotApproved():
                self.approval = event
            case ev.CellStarted():
                self.cells.append(event)
            case ev.CellFinished():
                self.ends.append(event)
            case ev.Verified():
                self.verified = event
            case ev.Timed():
                self.timed = self.last_figures = event
            case ev.RunbookFinished():
                self.runbooks.append(event)
            case ev.ErrorRaised() | ev.Concluded() | ev.ExecutorReturned() | ev.RunClosed():
                self._end(event)
            case _:
                self._apply(event)

    def _end(self, event: Event) -> None:
        match event:
            case ev.ErrorRaised(exit_status=status):
                self.error, self.exit_status = event, status
            case ev.Concluded():
                self.concluded, self._is_ended = event, True
            case ev.ExecutorReturned():
                self.returned = event
            case ev.RunClosed():
                self.closed, self.is_closed, self._is_ended = event, True, True

    def _apply(self, event: Event) -> None:
        """What the run's own process says."""
        match event:
            case ev.ApplyStarted():
                self.begun, self.first_begun = event, self.first_begun or event
                self.is_applying, self.is_resuming, self.stop_asked, self.stopping = True, False, None, None
                self.is_controller_gone = self._is_ended = False
                self.shown.append(event)
            case ev.StepStarted() | ev.UndoStarted() | ev.StepFinished() | ev.UploadProgress():
                self._step(event)
            case ev.StopAsked():
                self.stop_asked = event
            case ev.StopRequested():
                self.stopping = event
            case ev.ProbeStarted():
                self.is_measuring = True
            case ev.Measured():
                self.figures.append(event)
                self.last_figures, self.is_measuring = event, False
            case ev.ProbeFailed() | ev.LeaseTakenOver():
                self.notes.append(event)
            case ev.ControllerGone():
                self.is_controller_gone = True
                self.notes.append(event)
            case ev.Paused():
                self.paused = event
                self.notes.append(event)
            case ev.ApplyFinished():
                self.applied, self.is_applying, self.exit_status = event, False, event.exit_status

    def _step(self, event: ev.StepStarted | ev.UndoStarted | ev.StepFinished | ev.UploadProgress) -> None:
        step = self.steps.setdefault(event.step, StepHistory(event.step, event.host))
        match event:
            case ev.StepStarted():
                step.title, step.started_at, step.seconds, step.status = event.title, event.at, None, None
                self._move(event, "started")
            case ev.UndoStarted():
                step.started_at = event.at
                self._move(event, "taking back")
            case ev.UploadProgress():
                step.sent = (event.bytes, event.total)
            case ev.StepFinished():
                step.title, step.ended_at, step.seconds, step.status = event.title, event.at, event.seconds, event.status
                step.tail, step.tests, step.sent = event.tail, event.tests, (0, 0)
                self.finished.append(event)
                self._move(event, event.outcome)

    def _move(self, event: ev.StepStarted | ev.UndoStarted | ev.StepFinished, state: str) -> None:
        self.steps[event.step].state = state
        self.moves.append(Move(event.step, state, self.begun.digest if self.begun else "", event))
