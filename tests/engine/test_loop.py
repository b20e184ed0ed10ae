"""The loop: what it does, in which order, and how it ends when something fails, stops it or kills it."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from balbook.commands.command import Command, Result
from balbook.engine import loop
from balbook.engine.ending import Applied, StopRequest
from balbook.engine.loop import Loop
from balbook.errors import HostUnreachable
from balbook.plan.model import Guard, Hold, Plan, Run, Step, Upload, Wait
from balbook.plan.settings import RolloutSettings, Settings
from balbook.record.events import Event, StepStarted
from balbook.record.journal import Journal
from balbook.testing import Died, DyingJournal, FakeFleet, FakeTransport
from tests.journals import lines, made, verified
from tests.small_fleet import carry_out, fleet_with, make_plan, outcomes, publish


def step(name: str, *, host: str = "app1", done: bool = False, undo: bool = True, **fields: Any) -> Step:
    """A step `name` whose commands are `NAME`, `NAME?` (done), `NAME!` (verify) and `un-NAME`."""
    return Step(
        verb=name,
        id=name,
        host=host,
        title=f"do {name}",
        actions=fields.pop("actions", (Run(Command((name,))),)),
        done=Command((f"{name}?",)) if done else None,
        verify=(Run(Command((f"{name}!",))),),
        undo=(Run(Command((f"un-{name}",))),) if undo else (),
        **fields,
    )


def apply(transport: FakeTransport, steps: Sequence[Step], path: Path, stop: StopRequest | None = None, **options: Any) -> Applied:
    settings = Settings(rollout=RolloutSettings(on_failure=options.pop("on_failure", "pause")))
    plan = Plan("hot_deploy", "hotel", tuple(steps), settings=settings)
    journal = options.pop("journal", None) or Journal(path)
    journal.append(made("apply_started", digest=plan.digest))
    return Loop(plan, transport, journal, stop or StopRequest(), **options).apply()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_a_step_is_checked_done_and_verified_and_each_is_announced_before(path: Path) -> None:
    transport = FakeTransport({"one?": 1})
    applied = apply(transport, [step("one", done=True)], path)
    assert transport.names() == ["one?", "one", "one!"]
    assert (applied.verdict, applied.changes, applied.outcomes) == ("succeeded", 1, {"one": "changed"})
    assert [e["event"] for e in verified(path)] == ["apply_started", "step_started", "step_finished"]


def test_what_is_so_already_is_left_alone_and_counts_as_no_change(path: Path) -> None:
    transport = FakeTransport()
    applied = apply(transport, [step("one", done=True)], path)
    assert transport.names() == ["one?"]
    assert (applied.changes, applied.outcomes) == (0, {"one": "already"})


def test_a_failure_undoes_the_unit_in_reverse_and_ends_there(path: Path) -> None:
    transport = FakeTransport({"three": Result(7, "", "no luck")})
    units = [step("zero", unit=("a",)), *(step(n, unit=("b",)) for n in ("one", "two", "three", "four")), step("five", unit=("c",))]
    applied = apply(transport, units, path)
    assert transport.names() == ["zero", "zero!", "one", "one!", "two", "two!", "three", "un-three", "un-two", "un-one"]
    assert applied.verdict == "failed"
    assert "no luck" in applied.why
    assert applied.outcomes == {"zero": "changed", "one": "undone", "two": "undone", "three": "undone"}
    assert applied.changes == 1


def test_a_step_whose_verification_fails_is_undone_too(path: Path) -> None:
    transport = FakeTransport({"one!": 1})
    assert apply(transport, [step("one", unit=("a",))], path).verdict == "failed"
    assert transport.names() == ["one", "one!", "un-one"]


class FullDisk(Journal):
    """Nothing can be written any more once `step` is to begin."""

    def __init__(self, path: Path, step: str) -> None:
        super().__init__(path)
        self.step, self.is_full = step, False

    def _append(self, event: Event) -> Event:
        self.is_full = self.is_full or (isinstance(event, StepStarted) and event.step == self.step)
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super()._append(event)


def test_a_unit_is_undone_where_its_journal_cannot_be_written_any_more(path: Path) -> None:
    transport = FakeTransport()
    applied = apply(transport, [step(n, unit=("a",)) for n in ("one", "two", "three")], path, journal=FullDisk(path, "three"))
    assert transport.names() == ["one", "one!", "two", "two!", "un-two", "un-one"]
    assert (applied.verdict, applied.changes, applied.units) == ("failed", 0, {"a": "taken back"})
    assert "No space left on device" in applied.why


def test_a_unit_is_undone_where_a_defect_ends_it_and_the_defect_is_raised(path: Path) -> None:
    transport = FakeTransport({"two": lambda host, command: {}["nobody"]})
    applied = Applied()
    with pytest.raises(KeyError):
        apply(transport, [step(n, unit=("a",)) for n in ("one", "two")], path, applied=applied)
    assert transport.names() == ["one", "one!", "two", "un-two", "un-one"]
    assert (applied.verdict, applied.units) == ("failed", {"a": "taken back"})
    assert applied.why == "defect in balbook: KeyError: 'nobody'\na was taken back to its earlier state"


def test_a_defect_in_undoing_does_not_keep_the_others_from_being_undone(path: Path) -> None:
    transport = FakeTransport({"three": 1, "un-two": lambda host, command: {}["nobody"]})
    applied = apply(transport, [step(n, unit=("a",)) for n in ("one", "two", "three")], path)
    assert applied.outcomes == {"three": "undone", "two": "undo_failed", "one": "undone"}


def test_what_was_so_before_is_not_undone(path: Path) -> None:
    transport = FakeTransport({"two": 1})
    apply(transport, [step("one", unit=("a",), done=True), step("two", unit=("a",))], path)
    assert transport.names() == ["one?", "two", "un-two"]


def test_an_undo_that_fails_does_not_keep_the_others_from_being_undone(path: Path) -> None:
    transport = FakeTransport({"three": 1, "un-two": HostUnreachable("app1", "no route")})
    applied = apply(transport, [step(n, unit=("a",)) for n in ("one", "two", "three")], path)
    assert applied.outcomes == {"three": "undone", "two": "undo_failed", "one": "undone"}
    assert "could NOT be taken back" in applied.why


def test_steps_that_belong_to_no_unit_stay_as_far_as_they_got(path: Path) -> None:
    transport = FakeTransport({"two": 1})
    applied = apply(transport, [step("one"), step("two")], path)
    assert transport.names() == ["one", "one!", "two"]
    assert applied.outcomes == {"one": "changed", "two": "failed"}


def test_units_before_the_one_that_failed_are_taken_back_only_where_the_plan_says_so(path: Path) -> None:
    for on_failure, undone in (("pause", ["un-two"]), ("rollback", ["un-two", "un-one"])):
        transport = FakeTransport({"two": 1})
        path.unlink(missing_ok=True)
        apply(transport, [step("one", unit=("a",)), step("two", unit=("b",))], path, on_failure=on_failure)
        assert [n for n in transport.names() if n.startswith("un-")] == undone


def test_a_unit_that_changed_nothing_is_not_taken_back(path: Path) -> None:
    transport = FakeTransport({"two": 1})
    steps = [step("one", unit=("a",), done=True), step("two", unit=("b",))]
    assert apply(transport, steps, path, on_failure="rollback").verdict == "failed"
    assert "un-one" not in transport.names()


def test_what_another_may_be_working_on_is_left_as_it_is(path: Path) -> None:
    transport = FakeTransport({"three": 1})
    steps = [step("one", unit=("a",)), step("two", unit=("b",)), step("three", unit=("b",))]
    applied = apply(transport, steps, path, on_failure="rollback", is_lost=lambda: "the lock on hotel is held by eve (run r2)")
    assert [n for n in transport.names() if n.startswith("un-")] == []
    assert applied.units == {"a": "changed", "b": "NOT taken back"}
    assert applied.why.endswith("b was left as it is: the lock on hotel is held by eve (run r2)")


# Stopping ----------------------------------------------------------------------------------------------------------------------


def asking(stop: StopRequest) -> FakeTransport:
    """Somebody asks to stop while `two` runs."""
    return FakeTransport({"two": lambda host, command: Result(0, str(stop.ask("asked by SIGTERM")))})


def test_a_stop_in_the_middle_of_a_unit_undoes_the_unit(path: Path) -> None:
    stop = StopRequest()
    transport = asking(stop)
    applied = apply(transport, [step(n, unit=("a",)) for n in ("one", "two", "three")], path, stop)
    assert transport.names() == ["one", "one!", "two", "two!", "un-two", "un-one"]
    assert (applied.verdict, applied.changes) == ("failed", 0)
    assert "stopped: asked by SIGTERM" in applied.why


def test_a_stop_that_somebody_asked_for_is_said_to_be_on_request() -> None:
    stop = StopRequest()
    assert stop.ask("on request (Stop safely)")
    assert not stop.ask("asked by SIGTERM")
    assert stop.told == "stopped on request (Stop safely)"


def test_a_stop_at_the_end_of_a_unit_leaves_it_and_begins_no_other(path: Path) -> None:
    stop = StopRequest()
    transport = asking(stop)
    applied = apply(transport, [step("one", unit=("a",)), step("two", unit=("a",)), step("three", unit=("b",))], path, stop)
    assert transport.names() == ["one", "one!", "two", "two!"]
    assert (applied.verdict, applied.changes) == ("failed", 2)


def test_a_stop_before_the_first_step_touches_nothing(path: Path) -> None:
    stop = StopRequest()
    stop.ask("asked before")
    transport = FakeTransport()
    assert apply(transport, [step("one")], path, stop).verdict == "failed"
    assert transport.names() == []


def test_the_first_reason_to_stop_stands() -> None:
    stop = StopRequest()
    assert [stop.ask("one"), stop.ask("two")] == [True, False]
    assert stop.why == "one"


def test_a_rollout_whose_budget_is_spent_ends(path: Path) -> None:
    transport = FakeTransport()
    spent = iter(["", "9 requests failed (limit 0)", "9 requests failed (limit 0)", "9 requests failed (limit 0)"])
    applied = apply(transport, [step("one", unit=("a",)), step("two", unit=("b",))], path, is_spent=lambda: next(spent))
    assert applied.verdict == "failed"
    assert "9 requests failed" in applied.why
    assert "two" not in transport.names()


# The floor, groups, waits ------------------------------------------------------------------------------------------------------


def guarded(count: int, needed: int) -> Step:
    guards = tuple(Guard(f"app{n}", Command(("healthy",))) for n in range(2, 2 + count))
    return step("drain", host="lb1", unit=("a",), guards=guards, guards_needed=needed)


@pytest.mark.parametrize(("count", "needed", "sick"), [(0, 1, ()), (1, 1, ("app2",)), (2, 2, ("app3",)), (2, 1, ("app2", "app3"))])
def test_nothing_is_taken_out_of_service_where_too_few_others_serve(
    path: Path, monkeypatch: pytest.MonkeyPatch, count: int, needed: int, sick: tuple[str, ...]
) -> None:
    monkeypatch.setattr(loop, "GUARD_WITHIN_S", 0)
    transport = FakeTransport({(host, "healthy"): HostUnreachable(host, "no route") for host in sick})
    applied = apply(transport, [guarded(count, needed)], path)
    assert applied.verdict == "failed"
    assert "capacity floor" in applied.why
    assert not {"drain", "un-drain"} & set(transport.names())


def test_the_floor_is_waited_for_a_moment(path: Path) -> None:
    looks = iter([1, 1, 0])
    transport = FakeTransport({"healthy": lambda host, command: next(looks)})
    assert apply(transport, [guarded(1, 1)], path).verdict == "succeeded"
    assert transport.names() == ["healthy"] * 3 + ["drain", "drain!"]


def test_steps_of_a_group_run_side_by_side_those_of_one_host_in_their_order(path: Path) -> None:
    both = threading.Barrier(2, timeout=20)
    seen: list[str] = []

    class Together(FakeTransport):
        def execute(self, host: str, command: Command) -> Result:
            if command.argv[0].startswith("first"):
                both.wait()  # passes only where both hosts are here at the same time
            seen.append(f"{host} {command.argv[0]}")
            return Result(0)

    steps = [step(f"{n} {host}", host=host, group="stage") for host in ("app1", "app2") for n in ("first", "second")]
    assert apply(Together(), steps, path).changes == 4
    for host in ("app1", "app2"):
        own = [name for name in seen if name.startswith(host)]
        assert own == [f"{host} {n} {host}{mark}" for n in ("first", "second") for mark in ("", "!")]


def test_one_host_of_a_group_that_fails_does_not_keep_the_others_from_finishing(path: Path) -> None:
    transport = FakeTransport({("app1", "one"): 1})
    applied = apply(transport, [step("one", group="g"), step("two", host="app2", group="g")], path)
    assert applied.outcomes == {"one": "failed", "two": "changed"}
    assert applied.verdict == "failed"


def test_a_wait_asks_again_until_it_is_so_and_gives_up_in_time(path: Path) -> None:
    looks = iter([1, 1, 0])
    wait = Wait(Command(("ready",)), within_s=5, every_s=0.01)
    assert apply(FakeTransport({"ready": lambda host, command: next(looks)}), [step("one", actions=(wait,))], path).verdict == "succeeded"
    hopeless = step("two", unit=("a",), actions=(Wait(Command(("ready",)), within_s=0.02, every_s=0.01),))
    applied = apply(FakeTransport({"ready": Result(1, "port 9090: nothing listens")}), [hopeless], path)
    assert applied.verdict == "failed"
    assert "app1: ready did not succeed within 0.02 s" in applied.why
    assert "nothing listens" in applied.why


def held(seconds: float) -> list[Step]:
    return [
        step("one", unit=("a",)),
        Step("soak", "app1", "soak", (Hold(Command(("healthy",)), seconds),), unit=("a",), id="soak"),
        step("two", unit=("b",)),
    ]


def test_what_must_hold_is_looked_at_throughout_and_the_first_look_that_fails_ends_it(path: Path) -> None:
    transport = FakeTransport()
    began = time.monotonic()
    assert apply(transport, held(0.7), path).verdict == "succeeded"
    assert 0.7 <= time.monotonic() - began < 5
    assert transport.names().count("healthy") >= 3
    path.unlink()
    looks = iter([0, 1])
    applied = apply(FakeTransport({"healthy": lambda host, command: next(looks)}), held(60), path)
    assert applied.outcomes == {"one": "undone", "soak": "failed"}


def test_a_stop_is_heard_while_something_is_only_held(path: Path) -> None:
    stop = StopRequest()
    threading.Timer(0.3, stop.ask, ("on request (Stop safely)",)).start()
    began = time.monotonic()
    applied = apply(FakeTransport(), held(60), path, stop)
    assert time.monotonic() - began < 2
    assert applied.outcomes == {"one": "undone", "soak": "stopped"}
    assert applied.why == "stopped on request (Stop safely)\na was taken back to its earlier state"


def test_a_spent_budget_ends_what_is_only_held_and_the_canary_is_taken_back(path: Path) -> None:
    began = time.monotonic()
    why = "9 requests failed (limit 0)"
    applied = apply(FakeTransport(), held(60), path, is_spent=lambda: why if time.monotonic() - began > 0.3 else "")
    assert time.monotonic() - began < 2.3
    assert applied.units == {"a": "taken back", "b": "not reached"}
    assert why in applied.why


def test_an_upload_is_a_step_like_any_other(path: Path) -> None:
    transport = FakeTransport()
    assert apply(transport, [step("one", actions=(Upload("app.jar", "ab", "/opt/app.jar"),))], path).changes == 1
    assert [upload.path for _, upload in transport.uploads] == ["/opt/app.jar"]


def test_what_is_kept_of_a_long_output_are_whole_lines(path: Path) -> None:
    said = [f"{n} " + "x" * 150 for n in range(100)]
    apply(FakeTransport({"one": "\n".join(said)}), [step("one")], path)
    kept = lines(path)[-1]["tail"].splitlines()
    assert kept
    assert set(kept) <= set(said)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_release_is_not_marked_as_proven_where_what_came_after_failed(path: Path, is_good: bool) -> None:
    applied = Applied()

    def measured() -> None:
        assert applied.units == {"a": "changed"}
        if not is_good:
            applied.fail("3 requests failed (limit 0)")

    transport = FakeTransport()
    steps = [step("one", unit=("a",)), *(step(f"prove {host}", host=host, group="prove") for host in ("app1", "app2")), step("prune")]
    apply(transport, steps, path, on_failure="rollback", applied=applied, on_changed=measured)
    assert ("prove app1" in transport.names()) == ("prune" in transport.names()) == is_good
    why = "3 requests failed (limit 0)\nthe release serves, but was not marked as proven"
    assert (applied.verdict, applied.why) == (("succeeded", "") if is_good else ("failed", why))
    assert "un-one" not in transport.names(), "it goes on serving"


# Going on ----------------------------------------------------------------------------------------------------------------------


def test_a_resumed_run_skips_what_was_finished(path: Path) -> None:
    steps = [step(n, unit=("a",)) for n in ("one", "two", "three")]
    with pytest.raises(Died):
        apply(FakeTransport(dies_after=3), steps, path)  # dies in `two`
    transport = FakeTransport()
    applied = apply(transport, steps, path)
    assert transport.names() == ["two", "two!", "three", "three!"]
    assert (applied.verdict, applied.changes) == ("succeeded", 3)


def test_a_resumed_run_that_fails_undoes_what_the_earlier_process_did(path: Path) -> None:
    steps = [step("zero", unit=("a",), done=True), *(step(n, unit=("a",), done=True) for n in ("one", "two", "three"))]
    with pytest.raises(Died):
        apply(FakeTransport({"one?": 1, "two?": 1}, dies_after=6), steps, path)  # `zero` was so; dies in `two`
    transport = FakeTransport({"three?": 1, "three": 1})  # `two` had its effect
    applied = apply(transport, steps, path)
    assert transport.names() == ["two?", "three?", "three", "un-three", "un-two", "un-one"]
    assert applied.outcomes["zero"] == "already"


def test_a_resumed_run_does_again_what_the_earlier_process_was_undoing(path: Path) -> None:
    steps = [step(n, unit=("a",)) for n in ("one", "two")]
    with pytest.raises(Died):
        apply(FakeTransport({"two": 1}, dies_after=5), steps, path)  # dies in `un-one`
    transport = FakeTransport()
    assert apply(transport, steps, path).verdict == "succeeded"
    assert transport.names() == ["one", "one!", "two", "two!"]


def test_what_was_finished_of_another_plan_does_not_count(path: Path) -> None:
    apply(FakeTransport(), [step("one"), step("other")], path)
    transport = FakeTransport()
    apply(transport, [step("one")], path)
    assert transport.names() == ["one", "one!"]


def killed_and_resumed(fleet: FakeFleet, folder: Path, kill: str, number: int) -> bool:
    """Kills a rollout to 2.0.0 after event or call `number`, resumes it, and holds what came of it; False where it had ended."""
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    path = folder / f"{kill}-{number}.jsonl"
    journal: Journal = DyingJournal(path, fleet, number) if kill == "event" else Journal(path)
    fleet.dies_after = fleet.calls + number if kill == "call" else None
    try:
        carry_out(fleet, plan, journal)
    except Died:
        fleet.is_dead, fleet.dies_after = False, None
    else:
        return False
    fleet.hold_invariants("the death of the controller")
    resumed = carry_out(fleet, plan, Journal(path))
    release = plan.subject["release"]
    assert (resumed.verdict, resumed.why) == ("succeeded", "")
    assert fleet.running("hotel") == {"app1:9090": release, "app2:9090": release}
    assert fleet.serving("hotel") == ["app1:9090", "app2:9090"]
    assert set(outcomes(Journal(path)).values()) <= {"changed", "already"}
    assert make_plan(fleet).pending == ()
    verified(path)
    return True


@pytest.mark.integration  # a rollout for each moment at which it can die: too dear for `make check`
@pytest.mark.parametrize("kill", ["event", "call"])
def test_a_rollout_that_is_killed_anywhere_is_resumed_to_its_end(tmp_path: Path, kill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every event of the journal, and after every command whose answer never arrived; the fleet watches the floor."""
    monkeypatch.setattr("balbook.record.journal.os.fsync", lambda fd: None)  # no machine dies here, only its controller
    killed = 0
    for number in range(1, 400):
        folder = tmp_path / str(number)
        if not killed_and_resumed(fleet_with(folder, "1.0.0"), folder, kill, number):
            break
        killed = number
        shutil.rmtree(folder)
    assert 25 < killed < 399
