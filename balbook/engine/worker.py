"""The run's process: `python -m balbook.engine.worker RUN_DIR [FD]`; at `FD` it has its secrets of the process that started it.

It takes the application's lease, measures from outside while it applies the plan, and writes everything to the journal.
SIGTERM, SIGINT, and the end of its standard input (its controller is gone) are one and the same request to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

from balbook import transport as transports
from balbook.engine import lease as lock
from balbook.engine.budget import Budget
from balbook.engine.downtime import note_downtime
from balbook.engine.ending import ON_REQUEST, Applied, StopRequest, defect
from balbook.engine.lease import held
from balbook.engine.loop import Loop
from balbook.engine.measure import Measurement, Unmeasured
from balbook.engine.order import units_before
from balbook.engine.process import TAKEN, find, is_stop_requested, take, write_pid
from balbook.engine.reporter import Reporter
from balbook.errors import BalbookError, ExitStatus, Refused
from balbook.inventory import read_inventory
from balbook.plan.model import Plan, secrets_of
from balbook.plan.reading import read_plan, require_current
from balbook.plan.settings import LeasePlace
from balbook.record import events as ev
from balbook.record.journal import Journal, opening_of
from balbook.secrets.references import Scrubber
from balbook.secrets.scrubbing import ScrubbedStream
from balbook.transport import Transport


def main(argv: list[str]) -> int:
    """Applies the plan of one run folder; what came of it stands in the journal."""
    run_dir, secrets_fd = Path(argv[0]), int(argv[1]) if argv[1:] else None
    scrubber = Scrubber()
    sys.stdout, sys.stderr = ScrubbedStream(sys.stdout, scrubber), ScrubbedStream(sys.stderr, scrubber)
    journal = Journal(run_dir / "journal.jsonl", clean=scrubber.data)
    if journal.history().is_closed:
        return ExitStatus.BAD_INPUT  # it is sealed: not even a refusal is added to it
    try:
        take(run_dir)
    except Refused as exc:
        print(exc, file=sys.stderr)
        return TAKEN
    stop = StopRequest()
    _listen(stop, journal)
    write_pid(run_dir)
    if is_stop_requested(run_dir):
        _ask(stop, journal, "asked before the first step")
    reporter = Reporter(journal, journal.history().opened)
    applied, exit_status, status = Applied(), None, ExitStatus.SUCCEEDED
    try:
        _apply(run_dir, secrets_fd, journal, stop, scrubber, reporter, applied)
    except BalbookError as exc:
        applied.fail(str(exc))
        exit_status = exc.exit_status
    except Exception as exc:
        # A defect of ours must end in a stated verdict too; the traceback is for whoever mends it.
        traceback.print_exc()
        applied.fail(defect(exc))
        status = ExitStatus.FAILED
    try:
        reporter.end(applied, exit_status)
    except BalbookError as exc:
        print(f"{applied.verdict}: {applied.why}\n{exc}", file=sys.stderr)  # the journal has no end: the run counts as lost
        status = ExitStatus.FAILED
    return status


def _apply(
    run_dir: Path, secrets_fd: int | None, journal: Journal, stop: StopRequest, scrubber: Scrubber, reporter: Reporter, applied: Applied
) -> None:
    """Applies the plan; what came of it stands in `applied`, also where this raises."""
    opened = _opened(journal)
    plan = read_plan(run_dir)
    _require_shown(plan, journal)
    applied.units |= units_before(plan)
    inventory = read_inventory(Path(opened.inventory["path"]))
    if secrets_fd is not None:
        inventory.secrets.take_over(secrets_fd)
    scrubber.learn(inventory.secrets.everything())  # a host may show what this plan does not need
    reveal = inventory.secrets.reveal
    for secret in secrets_of(plan):
        reveal(secret)  # one that cannot be read is bad input, as long as nothing was touched
    transport = transports.connect(inventory)
    try:
        journal.append(ev.ApplyStarted(digest=plan.digest, pid=os.getpid(), steps=len(plan.steps)))
        reporter.begin(inventory, plan, reveal)
        with leased(transport, plan, opened, journal, stop, run_dir) as lost, _measured(run_dir, plan, journal, opened) as measurement:
            rollout = plan.settings.rollout

            def measure() -> None:
                measurement.finish(applied, transport, rollout.max_p99_ratio)

            Loop(
                plan,
                transport,
                journal,
                stop,
                on_phase=measurement.phase,
                is_spent=Budget(rollout, measurement).is_spent,
                is_lost=lost,
                on_changed=measure,
                reveal=reveal,
                applied=applied,
            ).apply()
            measure()
            note_downtime(plan, journal)
    finally:
        transport.close()


def _opened(journal: Journal) -> ev.RunOpened:
    """How the run began; Refused where nothing says."""
    if opened := journal.history().opened:
        return opened
    raise Refused(f"{journal.path} does not say which run this is", advice="Nothing was touched. Make a new plan.")


def _require_shown(plan: Plan, journal: Journal) -> None:
    """The file is what was shown and agreed on: its digest stands in the journal."""
    history = journal.history()
    if not history.has_applied:
        require_current(plan)
    shown = history.planned.digest if history.planned else ""
    if plan.digest != shown:
        raise Refused(
            f"changed_plan: plan.json is not the plan that was shown: its digest is {plan.digest[:12]}…, the journal has {shown[:12]}…",
            advice="Nothing was touched. Make a new plan.",
        )


@contextlib.contextmanager
def leased(
    transport: Transport, plan: Plan, opened: ev.RunOpened, journal: Journal, stop: StopRequest, run_dir: Path
) -> Iterator[Callable[[], str]]:
    """Holds the application's lease, where the plan is about one and has something to do; yields what says whether it is lost."""
    place = plan.settings.lease
    if not place or not plan.pending:
        yield lambda: ""
        return
    who = f"{opened.who.get('user', '?')}@{opened.who.get('host', '?')}"
    holder = {"run_id": opened.run_id, "who": who, "since": opened.at, "reason": opened.reason}
    _release_dead(transport, place, opened, journal, run_dir)
    with held(transport, place, holder["run_id"], holder, on_lost=lambda why: _ask(stop, journal, why)) as mine:
        if taken_from := mine.taken_from:
            journal.append(ev.LeaseTakenOver(**vars(taken_from), why=f"a lock that nobody renews for {lock.STALE_S} s is stale"))
        yield mine.lost


def _release_dead(transport: Transport, place: LeasePlace, opened: ev.RunOpened, journal: Journal, run_dir: Path) -> None:
    """A lease whose holder was a run of this machine, with its record beside ours, need not grow stale: its process is dead."""
    holder = lock.show(transport, place)
    if holder is None or holder.run_id == opened.run_id:
        return
    other = next((p for p in run_dir.parent.glob(f"*-{holder.run_id}") if p.is_dir()), None)
    began = opening_of(other) if other else None
    is_of_this_machine = began is not None and began.who.get("host") == opened.who.get("host")
    if other and is_of_this_machine and find(other) is None and lock.release(transport, place, holder.run_id):
        journal.append(ev.LeaseTakenOver(**vars(holder), why="the holder's process, on this machine, is dead"))


@contextlib.contextmanager
def _measured(run_dir: Path, plan: Plan, journal: Journal, opened: ev.RunOpened) -> Iterator[Unmeasured]:
    """Requests go on meanwhile, where something serves already and something is to be changed."""
    settings = plan.settings.probe
    if not settings or not plan.pending:
        yield Unmeasured()
        return
    name = opened.run_id
    if times := len(journal.history().resumes):
        settings = replace(settings, must_reach=())  # what was deployed before the crash may have served then
        name += f"r{times}"  # the process that died sent requests with these ids before
    with Measurement.begun(run_dir, settings, name, journal) as measurement:
        yield measurement


def _listen(stop: StopRequest, journal: Journal) -> None:
    """Signals, and the pipe to the controller."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Not in the handler: the journal's lock may be held by the code that it interrupts.
        threading.Thread(target=lambda: _ask(stop, journal, asked(journal, signal.Signals(number))), daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_watch_controller, args=(stop, journal), daemon=True).start()


def asked(journal: Journal, number: signal.Signals) -> str:
    """Why it is to stop: what somebody did, where the journal says so since it began to apply; else the signal."""
    said = journal.history().stop_asked
    return f"{ON_REQUEST} ({said.by})" if said else f"asked by {number.name}"


def _watch_controller(stop: StopRequest, journal: Journal) -> None:
    while os.read(0, 4096):
        pass
    try:
        journal.append(ev.ControllerGone())
    finally:
        _ask(stop, journal, "the controller is gone")


def _ask(stop: StopRequest, journal: Journal, why: str) -> None:
    if stop.ask(why):
        journal.append(ev.StopRequested(by=why))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
