"""The loop: unit by unit, step by step, each announced in the journal before it is done.

A unit (an instance, say) is done whole or not at all: a failure or a request to stop undoes what the unit has done so
far, in reverse. After a failure the units before it are taken back too, the last one first, where the plan says
`on_failure: rollback`; a request to stop leaves them as they are. Steps that the journal already has as finished are not
done again, so that a plan can be resumed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from balbook.commands.command import Result
from balbook.engine.actions import holding, is_done, perform
from balbook.engine.ending import Applied, StopRequest, defect
from balbook.engine.order import PROVE, batches, units_before, units_in_order
from balbook.errors import BalbookError, Failed, StepFailed
from balbook.facts.readers import OUTPUTS
from balbook.plan.model import Plan, Step
from balbook.probe.phases import IN_SERVICE, LEAVING, mark_name
from balbook.record import events as ev
from balbook.record.journal import Journal
from balbook.transport import Reveal, Transport, fan_out

GUARD_WITHIN_S = 5.0
TAIL_LINES = 60
MAX_TAIL = 4000


class _Ended(Failed):
    """The rollout ends between steps, or while something is only held: somebody asked for it, or its budget is spent."""


class Loop:
    """Applies one plan. `on_phase` hears the phase of each step before it begins, `is_spent` may end the rollout.

    `is_lost` says why another may be at work on the hosts by now; then they are left as they are, since nothing is ours to undo.
    `on_changed` is called once all is changed, before the release is marked as proven; it is not, where that fails `applied`.
    `reveal` reads the secrets of what is done on this machine; those of hosts are the transport's. `applied` is what it writes
    down what became of the plan in, as it goes on.
    """

    def __init__(
        self,
        plan: Plan,
        transport: Transport,
        journal: Journal,
        stop: StopRequest,
        *,
        on_phase: Callable[[str], None] = lambda phase: None,
        is_spent: Callable[[], str] = lambda: "",
        is_lost: Callable[[], str] = lambda: "",
        on_changed: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        reveal: Reveal | None = None,
        applied: Applied | None = None,
    ) -> None:
        self._plan, self._transport, self._journal, self._stop = plan, transport, journal, stop
        self._on_phase, self._is_spent, self._is_lost, self._monotonic, self._reveal = on_phase, is_spent, is_lost, monotonic, reveal
        self._on_changed = on_changed
        self._finished, self._interrupted = journal.history().earlier(plan.digest)
        self._begun: list[Step] = []
        self._unit: list[Step] = []
        self._completed: list[list[Step]] = []
        self._result = applied or Applied()
        self._result.units |= units_before(plan)

    def apply(self) -> Applied:
        """All units in order, until one fails or a stop is asked for; a defect is raised once the unit in hand was taken back."""
        try:
            for unit in units_in_order(self._plan.steps):
                if unit[0].group == PROVE and not self._is_good():
                    break
                self._carry_out(unit)
        except BalbookError as exc:
            self._give_up(str(exc))
        except Exception as exc:
            self._give_up(defect(exc))
            raise
        finally:
            self._result.changes = sum(outcome == "changed" for outcome in self._result.outcomes.values())
        return self._result

    def _is_good(self) -> bool:
        """Whether the release may be marked as proven."""
        self._go_on_or_end()
        self._on_changed()
        if self._result.verdict == "failed":
            self._result.fail("the release serves, but was not marked as proven")
        return self._result.verdict != "failed"

    def _carry_out(self, unit: list[Step]) -> None:
        self._begun, self._unit = [], unit
        for batch in batches(unit):
            self._go_on_or_end()
            if len(batch) == 1:
                self._step(batch[0])
            else:
                self._side_by_side(batch)
        if unit[0].unit:
            if not self._stop.is_asked:
                self._go_on_or_end()  # a canary's soak has just passed, say
            self._completed.append(self._begun)
            is_changed = any(self._result.outcomes.get(step.id) == "changed" for step in unit)
            self._result.units[unit[0].unit_name] = "changed" if is_changed else "already"

    def _go_on_or_end(self) -> None:
        if self._stop.is_asked:
            raise _Ended(self._stop.told)
        if why := self._is_spent():
            raise _Ended(f"stopped: {why}")

    def _side_by_side(self, batch: list[Step]) -> None:
        """Steps of one group: hosts and lanes at the same time, the steps of one lane in their order; a stop ends each lane."""
        lanes: dict[str, list[Step]] = {}
        for step in batch:
            lanes.setdefault(f"{step.host} {step.lane}".strip(), []).append(step)

        def in_lane(lane: str) -> None:
            for step in lanes[lane]:
                if self._stop.is_asked:
                    return
                self._step(step)

        fan_out(lanes, in_lane).require()
        if any(step.id not in self._result.outcomes for step in batch):
            raise _Ended(self._stop.told)

    def _step(self, step: Step) -> None:
        if step.id in self._finished:
            self._result.outcomes[step.id] = self._finished[step.id]
            if self._finished[step.id] == "changed":
                self._begun.append(step)
            return
        started = self._monotonic()
        try:
            if is_done(self._transport, step):
                self._found_done(step, started)
                return
            self._hold_floor(step)
            self._on_phase(mark_name(step.instances, step.phase))
            self._journal.append(ev.StepStarted(step=step.id, host=step.host, title=step.title))
            self._begun.append(step)
            result = self._act(step)
        except BalbookError as exc:
            outcome, whole = "stopped" if isinstance(exc, _Ended) else "failed", getattr(exc, "whole", "")
            exc.advice = exc.advice or OUTPUTS[step.reads](getattr(exc, "output", "")).advice
            self._finish(step, outcome, started, status=getattr(exc, "status", None), tail=_said_by(exc), whole=whole)
            raise
        self._finish(step, "changed", started, status=result.status, tail=result.tail(TAIL_LINES), whole=result.stdout)

    def _found_done(self, step: Step, started: float) -> None:
        """Nothing to do; what an earlier process of this run began, and could not write down, is this run's to undo."""
        if step.id in self._interrupted:
            self._begun.append(step)
        self._finish(step, "changed" if step.id in self._interrupted else "already", started)

    def _act(self, step: Step) -> Result:
        """The output of all actions, with the status of the last one."""
        progress, go_on = self._progress(step), self._go_on_or_end
        said = [perform(self._transport, step.host, action, progress, self._reveal, go_on) for action in step.actions]
        for action in step.verify:
            perform(self._transport, step.host, action)
        return Result(said[-1].status if said else 0, "".join(r.stdout for r in said), "".join(r.stderr for r in said))

    def _hold_floor(self, step: Step) -> None:
        """Waits a moment for the guards; raises StepFailed where too few hold."""
        if not step.guards_needed:
            return
        deadline = self._monotonic() + GUARD_WITHIN_S
        while len(hosts := holding(self._transport, step.guards)) < step.guards_needed:
            if self._monotonic() > deadline:
                raise StepFailed(
                    f"{step.title}: capacity floor: {len(hosts)} of the other instances serve, {step.guards_needed} are needed",
                    advice="Nothing was taken out of service. Bring the others up first, or lower `capacity_floor`.",
                )
            time.sleep(0.2)

    def _progress(self, step: Step) -> Callable[[str, int, int], None]:
        """Announces uploads in bytes, about twice a second."""
        last = [self._monotonic()]

        def report(path: str, sent: int, total: int) -> None:
            if self._monotonic() - last[0] > 0.5:
                last[0] = self._monotonic()
                self._journal.append(ev.UploadProgress(step=step.id, host=step.host, bytes=sent, total=total))

        return report

    def _finish(self, step: Step, outcome: str, started: float, *, status: int | None = 0, tail: str = "", whole: str = "") -> None:
        self._result.outcomes[step.id] = outcome
        self._journal.append(
            ev.StepFinished(
                step=step.id,
                host=step.host,
                title=step.title,
                outcome=outcome,
                seconds=round(self._monotonic() - started, 3),
                status=status,
                tail=_last_lines(tail),
                tests=OUTPUTS[step.reads](whole).tests,
            )
        )

    def _give_up(self, why: str) -> None:
        """Takes the unit in hand back, and the units before it where the plan wants that and nobody merely asked to stop."""
        self._result.fail(why)
        in_hand = self._begun if self._begun and self._begun[0].unit else []
        taken = [in_hand] if in_hand else []
        if self._plan.settings.rollout.on_failure == "rollback" and not self._stop.is_asked:
            taken += [unit for unit in reversed(self._completed) if unit and self._result.units[unit[0].unit_name] == "changed"]
        elif self._completed:
            self._note(ev.Paused(why=why, done=tuple(unit[0].unit_name for unit in self._completed if unit)))
        for unit in taken:
            name = unit[0].unit_name
            if lost := self._is_lost():
                self._result.units[name] = "NOT taken back" if unit is in_hand else "changed"
                self._result.why += f"\n{name} was left as it is: {lost}"
                break
            if (unit is not in_hand or self._is_in_service()) and (missing := self._missing_to_take_back(unit)):
                self._result.why += f"\n{name} was NOT taken back: {missing}"
                self._result.units[name] = "changed"
                break
            is_whole, service = self._undo(list(reversed(unit)))
            self._result.units[name] = "taken back" if is_whole else "NOT taken back"
            state = "was taken back to its earlier state" if is_whole else f"could NOT be taken back; look at this instance now{service}"
            self._result.why += f"\n{name} {state}"
            if not is_whole:
                break  # the others serve; one that does not is enough

    def _is_in_service(self) -> bool:
        """Whether the unit in hand is through with all that it can be taken back from: it serves, and failed afterwards."""
        return all(self._result.outcomes.get(step.id) in ("changed", "already") for step in self._unit if step.undo)

    def _missing_to_take_back(self, unit: Sequence[Step]) -> str:
        """Why a unit that serves cannot leave to be taken back: it may be the last one that does."""
        try:
            for step in unit:
                self._hold_floor(step)
        except StepFailed as exc:
            return exc.message.rpartition(": capacity floor: ")[2] + "; the unit keeps serving as it is"
        return ""

    def _undo(self, steps: Sequence[Step]) -> tuple[bool, str]:
        """Takes the steps back, each as far as it goes; whether all were, and else whether the unit is in service.

        What did not come back is not put back into service, unless nobody else serves.
        """
        is_whole, is_back, service = True, True, ""
        for step in steps:
            if not step.undo:
                continue
            if not is_back and step.phase == LEAVING:
                others = holding(self._transport, step.guards)
                service = (
                    "; the instance was left out of service" if others else "; the instance is in service, since no other instance serves"
                )
                if others:
                    continue
            if not self._undo_step(step):
                is_whole = False
                # One that does not leave the balancer may yet come back; all else is a part of what it was.
                is_back = is_back and step.phase in IN_SERVICE
        return is_whole, service

    def _undo_step(self, step: Step) -> bool:
        """Takes one step back; False where it could not be undone."""
        self._note(ev.UndoStarted(step=step.id, host=step.host))
        started = self._monotonic()
        outcome, tail = "undone", ""
        try:
            for action in step.undo:
                tail = perform(self._transport, step.host, action).tail(TAIL_LINES)
        except Exception as exc:  # whatever it is, the other steps are taken back
            outcome, tail = "undo_failed", str(exc) if isinstance(exc, BalbookError) else defect(exc)
        with contextlib.suppress(Failed):
            self._finish(step, outcome, started, tail=tail)
        return outcome == "undone"

    def _note(self, event: ev.Event) -> None:
        """Journals what is done to take something back; where the journal cannot be written, that goes on."""
        with contextlib.suppress(Failed):
            self._journal.append(event)


def _said_by(exc: BalbookError) -> str:
    """The error in a line with all that the command printed, where it was one; else the error with its advice."""
    output = getattr(exc, "output", "")
    return f"{exc.message.splitlines()[0]}\n{output}" if output else str(exc)


def _last_lines(text: str) -> str:
    """At most 4,000 characters at the end, whole lines only: half a secret would not be recognised by the scrubber."""
    return text if len(text) <= MAX_TAIL else text[-MAX_TAIL:].partition("\n")[2]
