"""The loop: unit by unit, step by step, each announced in the journal before it is done.

A unit (an instance, say) is done whole or not at all: a failure or a request to stop undoes what the unit has done so
far, in reverse, and leaves the units before it as they are. Steps that the journal already has as finished are not done
again, so that a plan can be resumed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from balbook.command import Result
from balbook.engine.actions import holding, is_done, perform
from balbook.errors import BalbookError, StepFailed
from balbook.journal import Journal
from balbook.plan import Plan, Step
from balbook.transport import Transport, fan_out

GUARD_WITHIN_S = 5.0
TAIL_LINES = 8


class StopRequest:
    """A request to end in a safe state; the first reason stands."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.why = ""

    def ask(self, why: str) -> bool:
        """Ask to stop; False where somebody asked before."""
        if self._event.is_set():
            return False
        self.why = why
        self._event.set()
        return True

    @property
    def is_asked(self) -> bool:
        return self._event.is_set()


@dataclass
class Applied:
    """What applying a plan came to. `changes`: steps that changed something and stand."""

    verdict: str = "succeeded"
    changes: int = 0
    why: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)


class Loop:
    """Applies one plan. `on_phase` hears the phase of each step before it begins, `is_spent` may end the rollout."""

    def __init__(
        self,
        plan: Plan,
        transport: Transport,
        journal: Journal,
        stop: StopRequest,
        *,
        on_phase: Callable[[str], None] = lambda phase: None,
        is_spent: Callable[[], str] = lambda: "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._transport, self._journal, self._stop = plan, transport, journal, stop
        self._on_phase, self._is_spent, self._monotonic = on_phase, is_spent, monotonic
        self._finished = _finished(journal, plan.digest)
        self._begun: list[Step] = []
        self._result = Applied()

    def apply(self) -> Applied:
        """All units in order, until one fails or a stop is asked for."""
        for unit in _units(self._plan.steps):
            if self._must_end():
                break
            try:
                self._carry_out(unit)
            except BalbookError as exc:
                self._give_up(exc)
                break
        self._result.changes = sum(outcome == "changed" for outcome in self._result.outcomes.values())
        return self._result

    def _must_end(self) -> bool:
        why = self._stop.why if self._stop.is_asked else self._is_spent()
        if why:
            self._result.verdict, self._result.why = "failed", f"stopped: {why}"
        return bool(why)

    def _carry_out(self, unit: list[Step]) -> None:
        self._begun = []
        for batch in _batches(unit):
            if self._stop.is_asked and unit[0].unit:
                raise StepFailed(f"stopped: {self._stop.why}")
            if len(batch) == 1:
                self._step(batch[0])
            else:
                self._side_by_side(batch)

    def _side_by_side(self, batch: list[Step]) -> None:
        """Steps of one group: hosts at the same time, the steps of one host in their order."""

        def on_host(host: str) -> None:
            for step in batch:
                if step.host == host:
                    self._step(step)

        fan_out([step.host for step in batch], on_host).require()

    def _step(self, step: Step) -> None:
        if step.id in self._finished:
            self._result.outcomes[step.id] = self._finished[step.id]
            self._begun.append(step)
            return
        started = self._monotonic()
        try:
            if is_done(self._transport, step):
                self._finish(step, "already", started)
                return
            self._hold_floor(step)
            self._on_phase(step.phase)
            self._journal.append("step_started", step=step.id, host=step.host, title=step.title)
            self._begun.append(step)
            result = self._act(step)
        except BalbookError as exc:
            self._finish(step, "failed", started, status=getattr(exc, "status", None), tail=str(exc))
            raise
        self._finish(step, "changed", started, status=result.status, tail=result.tail(TAIL_LINES))

    def _act(self, step: Step) -> Result:
        result = Result(0)
        for action in step.actions:
            result = perform(self._transport, step.host, action, self._progress(step))
        for action in step.verify:
            perform(self._transport, step.host, action)
        return result

    def _hold_floor(self, step: Step) -> None:
        """Waits a moment for the guards; raises StepFailed where too few hold."""
        if not step.guards_needed:
            return
        deadline = self._monotonic() + GUARD_WITHIN_S
        while len(hosts := holding(self._transport, step.guards)) < step.guards_needed:
            if self._monotonic() > deadline:
                raise StepFailed(
                    f"{step.title}: capacity floor: {len(hosts)} of the other instances serve, {step.guards_needed} must",
                    advice="Nothing was taken out of service. Bring the others up first, or lower `capacity_floor`.",
                )
            time.sleep(0.2)

    def _progress(self, step: Step) -> Callable[[str, int, int], None]:
        """Announces uploads in bytes, about twice a second."""
        last = [self._monotonic()]

        def report(path: str, sent: int, total: int) -> None:
            if self._monotonic() - last[0] > 0.5:
                last[0] = self._monotonic()
                self._journal.append("progress", step=step.id, host=step.host, bytes=sent, total=total)

        return report

    def _finish(self, step: Step, outcome: str, started: float, *, status: int | None = 0, tail: str = "") -> None:
        self._result.outcomes[step.id] = outcome
        self._journal.append(
            "step_finished",
            step=step.id,
            host=step.host,
            title=step.title,
            outcome=outcome,
            seconds=round(self._monotonic() - started, 3),
            status=status,
            tail=tail[-4000:],
        )

    def _give_up(self, exc: BalbookError) -> None:
        self._result.verdict = "failed"
        self._result.why = str(exc)
        if not self._begun or not self._begun[0].unit:
            return
        undone = self._undo(list(reversed(self._begun)))
        unit = self._begun[0].unit
        state = f"{unit} was taken back to what it was" if undone else f"{unit} could NOT be taken back; look at it now"
        self._result.why = f"{exc}\n{state}"

    def _undo(self, steps: Sequence[Step]) -> bool:
        """Takes the steps back, each as far as it goes; False where one could not be undone."""
        is_whole = True
        for step in steps:
            if not step.undo:
                continue
            self._journal.append("undo_started", step=step.id, host=step.host)
            started = self._monotonic()
            outcome, tail = "undone", ""
            try:
                for action in step.undo:
                    tail = perform(self._transport, step.host, action).tail(TAIL_LINES)
            except BalbookError as exc:
                outcome, tail, is_whole = "undo_failed", str(exc), False
            self._finish(step, outcome, started, tail=tail)
        return is_whole


def _units(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Neighbours of one unit together; steps without a unit by group, or alone."""
    for _, group in groupby(steps, key=lambda s: ("unit", s.unit) if s.unit else ("group", s.group) if s.group else ("step", s.id)):
        yield list(group)


def _batches(unit: Sequence[Step]) -> Iterator[list[Step]]:
    for _, group in groupby(unit, key=lambda s: ("group", s.group) if s.group else ("step", s.id)):
        yield list(group)


def _finished(journal: Journal, digest: str) -> dict[str, str]:
    """Steps of this very plan that an earlier process finished, and whose effect stands."""
    outcomes: dict[str, str] = {}
    is_this_plan = False
    for event in journal.events():
        if event["event"] == "apply_started":
            is_this_plan = event.get("digest") == digest
        elif is_this_plan and event["event"] == "step_finished":
            outcomes[event["step"]] = event["outcome"]
    return {step: outcome for step, outcome in outcomes.items() if outcome in ("changed", "already")}
