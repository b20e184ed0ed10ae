"""What a run is doing, folded from its plan and its journal: the same whoever started it, and however late one looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from balbook.engine.ending import ON_REQUEST
from balbook.inventory import Inventory
from balbook.plan.model import Plan, Step
from balbook.record.events import ApplyFinished, ApplyStarted, ControllerGone, Event, LeaseTakenOver, Paused, ProbeFailed, StepFinished
from balbook.record.history import History, Move

PENDING, RUNNING, TAKING_BACK = "to do", "running", "taking back"
SERVING, NOT_RUNNING = "serving", "not running"
NOT_STARTED = "not started"
OVER = ("succeeded", "failed", "inconclusive", "lost", NOT_STARTED)


@dataclass
class StepView:
    """A step on the screen. `state`: `to do`, `running`, `taking back`, or the outcome; times in seconds since the start."""

    step: Step
    state: str = PENDING
    started_s: float | None = None
    seconds: float | None = None
    tail: str = ""


@dataclass
class Span:
    """An instance in a state, from `start_s`; up to `end_s`, None: up to now."""

    start_s: float
    state: str
    end_s: float | None = None


@dataclass
class Live:
    """The state of one run. Times are seconds since it began to apply."""

    plan: Plan
    steps: dict[str, StepView] = field(default_factory=dict)
    instances: dict[str, list[Span]] = field(default_factory=dict)
    history: History = field(default_factory=History)
    ended_s: float | None = None
    verdict: str = ""
    why: str = ""
    failures: list[StepView] = field(default_factory=list)
    """The steps that did not work, in the order in which they failed; also those that were taken back since."""

    @classmethod
    def of(cls, plan: Plan, inventory: Inventory) -> Live:
        """Before anything has happened."""
        application = inventory.applications.get(plan.application)
        names = [i.name for i in application.instances] if application and any(s.unit for s in plan.steps) else []
        leaving = {name for s in plan.steps if s.verb in ("drain", "stop") for name in s.instances}
        planned = {name for s in plan.steps for name in s.unit}
        names += sorted(planned - set(names))
        begun = {name: SERVING if name in leaving or name not in planned else NOT_RUNNING for name in names}
        return cls(plan, {step.id: StepView(step) for step in plan.steps}, {name: [Span(0.0, state)] for name, state in begun.items()})

    @property
    def began(self) -> datetime | None:
        """When the first process began to apply."""
        return self.history.first_begun.time if self.history.first_begun else None

    @property
    def outcomes(self) -> Mapping[str, str]:
        """What became of each unit, as the engine says; empty before it does."""
        return self.history.applied.instances if self.history.applied and not self.history.is_applying else {}

    @property
    def stopped_by(self) -> str:
        """Why it is to stop; empty: it is not."""
        return self.history.stopping.by if self.history.stopping else ""

    @property
    def is_measuring(self) -> bool:
        """Whether requests are sent from outside."""
        return self.history.is_measuring

    @property
    def notes(self) -> list[str]:
        """Sentences for who watches."""
        return [_noted(event) for event in self.history.notes]

    @property
    def is_stopped_on_request(self) -> bool:
        """Whether a person asked for the end, by a button, a command or a signal."""
        return self.stopped_by.startswith(("asked", ON_REQUEST))

    @property
    def is_over(self) -> bool:
        return self.verdict in OVER

    @property
    def word(self) -> str:
        """`running`, `stopping`, or how it ended."""
        return self.verdict or ("stopping" if self.stopped_by else "running")

    @property
    def outcome(self) -> str:
        """How it ended, once it is over."""
        return "Nothing was applied" if self.verdict == NOT_STARTED else f"Applied: {self.verdict}"

    @property
    def doing(self) -> str:
        """What it does now, in a sentence."""
        active = [v for v in self.steps.values() if v.state in (RUNNING, TAKING_BACK)]
        said = "; ".join(f"{v.step.host}: {'taking back: ' if v.state == TAKING_BACK else ''}{v.step.title}" for v in active[:3])
        said += f"; and {len(active) - 3} more" if len(active) > 3 else ""
        if self.is_over:
            return self.outcome
        if self.stopped_by:
            then = said or "the step in hand is over"
            why = "on request" if self.is_stopped_on_request else f"({self.stopped_by})"
            return f"Stopping {why}: finishes or takes back the step in hand, then ends in a safe state. Now: {then}."
        if not said and self.is_measuring and self.done == 0:
            return "Measuring before anything changes."
        if not said and self.done == len(self.steps) and self.is_measuring:
            return "Measuring after the last change."
        return f"Now: {said}." if said else "Looking at the facts again, then starting." if self.began is None else "Between two steps."

    @property
    def done(self) -> int:
        """Steps that are over."""
        return sum(v.state not in (PENDING, RUNNING, TAKING_BACK) for v in self.steps.values())

    def since_start_s(self, now: datetime) -> float:
        """How long it has been going on."""
        if self.ended_s is not None:
            return self.ended_s
        return max(0.0, (now - self.began).total_seconds()) if self.began else 0.0

    def take(self, events: Iterable[Event]) -> None:
        """Goes on by these events."""
        for event in events:
            history = self.history
            seen = len(history.moves)
            history.take([event])
            at_s = (event.time - history.first_begun.time).total_seconds() if history.first_begun else 0.0
            if history.is_resuming or isinstance(event, ApplyStarted):
                self.verdict, self.why, self.ended_s = "", "", None
            for move in history.moves[seen:]:
                self._move(move, at_s)
            if isinstance(event, ApplyFinished):
                self.verdict, self.why, self.ended_s = event.verdict, event.why, at_s
                self._settle(at_s)

    def lose(self, at_s: float) -> None:
        """Its process is gone, and has not said how it ended; or it never began."""
        if self.began is None:
            self.verdict, self.ended_s = NOT_STARTED, at_s
            return
        self.verdict, self.ended_s, self.why = "lost", at_s, "the run's process ended without a word"

    def _move(self, move: Move, at_s: float) -> None:
        view = self.steps.get(move.step)
        if view is None:
            return
        view.state = RUNNING if move.state == "started" else move.state
        if move.state == "started":
            view.started_s = at_s
            self._enter(view.step.instances, view.step.phase, at_s)
        elif move.state == TAKING_BACK:
            view.started_s = at_s
            self._enter(view.step.unit, TAKING_BACK, at_s)
        elif isinstance(move.event, StepFinished):
            view.seconds = move.event.seconds
            if move.state in ("failed", "undo_failed"):
                view.tail = move.event.tail
                self.failures.append(view)

    def progress_of(self, view: StepView) -> str:
        """How far its upload is; empty where it has none under way."""
        step = self.history.steps.get(view.step.id)
        sent, total = step.sent if step else (0, 0)
        return f"{sent / 1e6:.1f} of {total / 1e6:.1f} MB" if total else ""

    def _enter(self, subjects: Sequence[str], state: str, at_s: float) -> None:
        for name in subjects:
            spans = self.instances.get(name)
            if not spans or not state or spans[-1].state == state:
                continue
            spans[-1].end_s = at_s
            spans.append(Span(at_s, state))

    def _settle(self, at_s: float) -> None:
        """What became of each instance, as the engine says."""
        ends = {"taken back": SERVING, "NOT taken back": "NOT taken back"}
        for name, outcome in self.outcomes.items():
            self._enter((name,), ends.get(outcome, ""), at_s)


def _noted(event: ProbeFailed | LeaseTakenOver | ControllerGone | Paused) -> str:
    match event:
        case ProbeFailed(why=why):
            return f"Nothing is measured: {why}"
        case LeaseTakenOver(who=who, run_id=run_id):
            return f"The lock was taken over from {who} (run {run_id})."
        case Paused(done=done):
            return f"The rollout stops here; done: {', '.join(done) or 'nothing'}."
    return "The notebook's kernel that started it is gone; the run stops in a safe state."
