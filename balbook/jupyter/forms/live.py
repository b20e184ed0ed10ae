"""The state of a run, folded from its plan and its journal: the same whoever started the run, and however late one looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from balbook.engine.ending import ON_REQUEST
from balbook.inventory import Inventory
from balbook.plan.model import Plan, Step
from balbook.record.events import ApplyFinished, ControllerGone, Event, LeaseTakenOver, Paused, ProbeFailed, StepFinished
from balbook.record.history import History, StepHistory

PENDING, RUNNING, TAKING_BACK = "to do", "started", "taking back"
SERVING, NOT_RUNNING = "serving", "not running"
NOT_STARTED = "not started"


@dataclass
class Span:
    """An instance in a state, from `start_s`; up to `end_s`, None: up to now."""

    start_s: float
    state: str
    end_s: float | None = None


@dataclass
class Live:
    """The state of one run. Times are seconds since the run began to apply."""

    plan: Plan
    steps: dict[str, Step]
    instances: dict[str, list[Span]]
    history: History = field(default_factory=History)
    lost_s: float | None = None
    """The time when the run's process was found gone although its journal has no end."""

    @classmethod
    def of(cls, plan: Plan, inventory: Inventory) -> Live:
        """The state before the first event."""
        application = inventory.applications.get(plan.application)
        names = [i.name for i in application.instances] if application and any(s.unit for s in plan.steps) else []
        leaving = {name for s in plan.steps if s.verb in ("drain", "stop") for name in s.instances}
        planned = {name for s in plan.steps for name in s.unit}
        starting = planned - leaving
        instances = {name: [Span(0.0, NOT_RUNNING if name in starting else SERVING)] for name in [*names, *sorted(planned)]}
        return cls(plan, {step.id: step for step in plan.steps}, instances)

    @property
    def began(self) -> datetime | None:
        """The time when the first process began to apply."""
        return self.history.first_begun.time if self.history.first_begun else None

    @property
    def verdict(self) -> str:
        """How the apply ended; empty while it goes on."""
        if self.lost_s is not None:
            return "lost" if self.began else NOT_STARTED
        applied = self.history.applied
        return applied.verdict if applied and not self.history.is_applying and not self.history.is_resuming else ""

    @property
    def outcomes(self) -> Mapping[str, str]:
        """The outcome of each unit, as the engine states it; empty before it does."""
        return self.history.applied.instances if self.history.applied and not self.history.is_applying else {}

    @property
    def failures(self) -> list[StepFinished]:
        """The ends of steps that failed, in their order; also of steps that were taken back since."""
        return [end for end in self.history.finished if end.outcome in ("failed", "undo_failed")]

    @property
    def stopped_by(self) -> str:
        """The reason why the run is to stop; empty where it is not."""
        return self.history.stopping.by if self.history.stopping else ""

    @property
    def is_stopped_on_request(self) -> bool:
        """True where a person asked for the end, by a button, a command or a signal."""
        return self.stopped_by.startswith(("asked", ON_REQUEST))

    @property
    def word(self) -> str:
        """`running`, `stopping`, or how the run ended."""
        return self.verdict or ("stopping" if self.stopped_by else "running")

    @property
    def outcome(self) -> str:
        """How the run ended, once it is over."""
        return "Nothing was applied" if self.verdict == NOT_STARTED else f"Applied: {self.verdict}"

    @property
    def doing(self) -> str:
        """The present activity, in a sentence."""
        if self.verdict:
            return self.outcome
        active = [(step, state) for step in self.steps.values() if (state := self.state_of(step)) in (RUNNING, TAKING_BACK)]
        said = "; ".join(f"{step.host}: {'taking back: ' if state == TAKING_BACK else ''}{step.title}" for step, state in active[:3])
        said += f"; and {len(active) - 3} more" if len(active) > 3 else ""
        if self.stopped_by:
            then = said or "the current step is over"
            why = "on request" if self.is_stopped_on_request else f"({self.stopped_by})"
            return f"Stopping {why}: the run finishes or takes back the current step, then ends in a safe state. Now: {then}."
        if said:
            return f"Now: {said}."
        if self.history.is_measuring and self.done in (0, len(self.steps)):
            return "Measuring after the last change." if self.done else "Measuring before anything changes."
        return "Between two steps." if self.began else "Reading the facts again before the first step."

    @property
    def done(self) -> int:
        """The number of steps that are over."""
        return sum(self.state_of(step) not in (PENDING, RUNNING, TAKING_BACK) for step in self.steps.values())

    def state_of(self, step: Step) -> str:
        """`to do`, `started`, `taking back`, or the step's outcome."""
        seen = self.seen(step)
        return seen.state if seen else PENDING

    def seen(self, step: Step) -> StepHistory | None:
        """The journal's events of this step, folded; None before the first one."""
        return self.history.steps.get(step.id)

    def since_start_s(self, now: datetime) -> float:
        """The duration of the run so far, or until its end."""
        if self.lost_s is not None or self.began is None:
            return self.lost_s or 0.0
        end = self.history.applied.time if self.history.applied and self.verdict else now
        return max(0.0, (end - self.began).total_seconds())

    def take(self, events: Iterable[Event]) -> None:
        """Goes on by these events."""
        for event in events:
            known = len(self.history.moves)
            self.history.take([event])
            at_s = (event.time - self.began).total_seconds() if self.began else 0.0
            for move in self.history.moves[known:]:
                if (step := self.steps.get(move.step)) and move.state in (RUNNING, TAKING_BACK):
                    names, state = (step.instances, step.phase) if move.state == RUNNING else (step.unit, TAKING_BACK)
                    self._enter(names, state, at_s)
            if isinstance(event, ApplyFinished):
                ends = {"taken back": SERVING, "NOT taken back": "NOT taken back"}
                for name, outcome in self.outcomes.items():
                    self._enter((name,), ends.get(outcome, ""), at_s)

    def _enter(self, names: Sequence[str], state: str, at_s: float) -> None:
        for spans in (self.instances[name] for name in names if state and name in self.instances):
            if spans[-1].state != state:
                spans[-1].end_s = at_s
                spans.append(Span(at_s, state))


def noted(event: ProbeFailed | LeaseTakenOver | ControllerGone | Paused) -> str:
    """A sentence about the event, for people who watch."""
    match event:
        case ProbeFailed(why=why):
            return f"Nothing is measured: {why}"
        case LeaseTakenOver(who=who, run_id=run_id):
            return f"The run took the lock over from {who} (run {run_id})."
        case Paused(done=done):
            return f"The rollout pauses here. Done: {', '.join(done) or 'nothing'}."
    return "The kernel that started this run is gone; the run stops in a safe state."
