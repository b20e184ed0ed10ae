"""A runbook as a person runs it: form, plan, button, view, verdict; cells too early, twice, edited; errors; stops."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from balbook import transport
from balbook.engine import process
from balbook.errors import Failed, HostUnreachable, NotYet, Refused
from balbook.jupyter.forms import follower as forms_follower
from balbook.jupyter.forms import interactive, ongoing, panels, rescue, screen, view, watch
from balbook.jupyter.forms.apply_panel import OVER, RETIRED, WAITS
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.interactive import InteractiveRun
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.plan.model import Plan
from balbook.procedures import Check, hot_deploy
from balbook.record.seal import read_record
from balbook.run import Run
from balbook.run.closing import close_left
from balbook.testing import FakeFleet
from tests.journals import last, lines, made, verified
from tests.jupyter.forms.room import PATIENCE_S, Engine, Room
from tests.small_fleet import fleet_with, publish

SETUP = next(c.source for c in read_runbook(runbook_path("hot_deploy")).cells if c.role == "setup")


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    monkeypatch.setenv("BALBOOK_INVENTORY", str(fleet.inventory.path))
    return fleet


@pytest.fixture
def engine(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine(fleet)
    monkeypatch.setattr(process, "start", engine.start)
    monkeypatch.setattr(view.process, "ask_to_stop", engine.ask_to_stop)
    return engine


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HTML that the cells showed."""
    shown: list[str] = []
    for place in (interactive, watch):
        monkeypatch.setattr(place, "show", lambda html: shown.append(html.html))
    return shown


@pytest.fixture
def room(engine: Engine, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> Room:
    """The parameters and the setup cell have run; the form stands there, with the mode `apply` chosen."""
    room = Room()
    monkeypatch.setattr(interactive, "running_shell", lambda: room)
    monkeypatch.setattr(interactive, "_current", None)
    room.cells("parameters")
    room.execution_count += 1
    room.user_ns["In"].append(SETUP)
    room.run = interactive.open_interactively("hot_deploy", {"application": ""})
    ended = SimpleNamespace(info=None, error_before_exec=None, error_in_exec=None, execution_count=2)
    room.events.tell("post_run_cell", ended)
    choose(room, mode="apply")
    return room


def choose(room: Room, **values: Any) -> None:
    for name, value in values.items():
        room.run._form.fields[name].control.value = value


def press(room: Room) -> None:
    room.run._applying.panel.button.click()


def applied(room: Room) -> None:
    press(room)
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end of applying")


def ended(room: Room) -> None:
    room.wait(lambda: room.run._is_closed and (room.run.dir / "statement.json").exists(), "the seal")


def names(run: InteractiveRun) -> list[str]:
    return [e["event"] for e in verified(run.dir / "journal.jsonl")]


def test_a_whole_run_ends_succeeded_with_a_notebook_and_a_seal(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    choose(room, reason="new prices", ticket="OPS-7")
    assert room.cells("preflight", "plan", "apply") is None
    assert "apply_started" not in names(room.run)
    applied(room)
    assert room.cells("verify", "evidence", "conclude") is None
    assert set(fleet.running("hotel").values()) == {room.plan.subject["release"]}
    record = read_record(room.run.dir)
    assert (record.verdict, record.predicate["reason"], record.predicate["ticket"]) == ("succeeded", "new prices", "OPS-7")
    assert record.predicate["parameters"]["release"] == "latest"
    assert "✔ succeeded" in shown[-2]
    assert "ledger" in shown[-1]
    cells = {c["id"]: c for c in json.loads((room.run.dir / "hot_deploy.ipynb").read_text())["cells"]}
    assert "reason = 'new prices'" in "".join(cells["injected-parameters"]["source"])
    assert [cells[i]["execution_count"] for i in ("parameters", "setup", "preflight", "conclude")] == [1, 2, 3, 8]


def test_running_all_cells_changes_nothing_and_waits_for_the_button(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    before = repr(fleet.hosts)
    error = room.cells("preflight", "plan", "apply", "verify", "evidence", "conclude")
    assert isinstance(error, NotYet)
    assert "Waiting for your Apply above." in shown[-1]
    assert repr(fleet.hosts) == before
    assert last(room.run.journal, "cell_finished")["status"] == "waiting"
    assert room.run._applying.panel.state == WAITS
    applied(room)
    assert room.cells("verify", "evidence", "conclude") is None
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_form_that_is_not_ready_opens_no_run(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    choose(room, serial=0)
    error = room.cells("preflight")
    assert isinstance(error, NotYet)
    assert "serial" in shown[-1]
    assert "is below 1" in shown[-1]
    assert not list(fleet.inventory.path.parent.glob("records/2*"))
    choose(room, serial=1)
    assert room.cells("preflight") is None
    assert [e["role"] for e in lines(room.run.journal) if e["event"] == "cell_started"] == ["parameters", "setup", "preflight"]


@pytest.mark.parametrize("environment", ["production", "Production", "prod"])
def test_in_production_the_button_needs_the_applications_name(room: Room, fleet: FakeFleet, environment: str) -> None:
    fleet.inventory.path.write_text(f"environment: {environment}\n" + fleet.inventory.path.read_text())
    choose(room, inventory=str(fleet.inventory.path))
    room.cells("preflight", "plan", "apply")
    panel = room.run._applying.panel
    assert panel.button.disabled
    for wrong in ("hotle", "HOTEL", ""):
        panel.confirmation.value = wrong
        panel.press()  # a front end that has enabled the button itself
        assert panel.state == WAITS
    panel.confirmation.value = "hote"
    assert "That is not hotel." in panel.told.value
    panel.confirmation.value = "hotel"
    assert not panel.button.disabled
    applied(room)
    assert last(room.run.journal, "apply_finished")["verdict"] == "succeeded"


def test_a_notebook_that_is_saved_meanwhile_says_that_the_run_applies(room: Room, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    twins: list[str] = []
    monkeypatch.setattr(screen, "update_display", lambda data, display_id, raw: twins.append(data["text/html"]))
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    assert f"Run {room.run.id} has been applying this plan since 20" in twins[-1]
    assert "Run the cell <code>setup</code> to see the run, or <code>balbook status hotel</code> to see the instances." in twins[-1]
    engine.may_go.set()
    room.wait(lambda: "Applied: succeeded" in twins[-1], "the end")


def test_the_keyboard_is_at_stop_once_apply_is_gone(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    focused: list[Any] = []
    monkeypatch.setattr(view.w.Button, "focus", lambda button: focused.append(button))
    room.cells("preflight", "plan", "apply")
    assert focused == []
    applied(room)
    assert focused == [room.run._applying.panel.view.stop]


def test_pressing_twice_applies_once(room: Room, engine: Engine) -> None:
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    press(room)
    engine.may_go.set()
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    assert names(room.run).count("apply_started") == 1


def test_cells_say_what_goes_on_while_the_plan_is_applied(room: Room, engine: Engine, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    for role in ("preflight", "plan", "apply", "verify", "conclude"):
        assert isinstance(room.cells(role), NotYet)
        assert "The run is applying its plan." in shown[-1]
    for begun in ("is applying its plan; the view above", "has applied its plan and is not concluded"):
        room.cells("parameters")
        error = room.cell("setup", lambda: interactive.open_interactively("hot_deploy", {}))
        assert begun in str(error)
        engine.may_go.set()
        room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    room.cells("verify", "evidence", "conclude")
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_stop_ends_in_a_stated_verdict_and_says_what_to_do(room: Room, engine: Engine) -> None:
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    room.wait(lambda: room.run._applying.live and room.run._applying.live.began, "the start")
    stop = room.run._applying.panel.view.stop
    stop.click()
    assert (stop.disabled, stop.description) == (True, "Stopping …")
    engine.may_go.set()
    ended(room)
    assert read_record(room.run.dir).verdict == "failed"
    page = room.run._applying.panel.view.page.value
    assert "<h4>Stop</h4><p>stopped on request (Stop safely)</p>" in page
    assert "Failure" not in page
    assert "SIGTERM" not in page
    assert last(room.run.journal, "run_closed")["why"].startswith("stopped on request (Stop safely)")
    assert "balbook status hotel" in page
    assert "✘ failed" in page


def test_an_interrupt_stops_the_run_under_its_own_name(room: Room, engine: Engine) -> None:
    room.kernel = SimpleNamespace(saved_sigint_handler=None, get_parent=lambda channel: {})
    interactive.on_idle_interrupt(room, lambda: room.run.stop("Interrupt"))
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    room.wait(lambda: room.run._applying.live and room.run._applying.live.began, "the start")
    room.kernel.saved_sigint_handler(2, None)
    engine.may_go.set()
    ended(room)
    assert last(room.run.journal, "apply_finished")["why"].startswith("stopped on request (Interrupt)")


def test_a_setup_cell_that_only_finds_the_run_again_is_not_out_of_order(room: Room, engine: Engine, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    for _ in range(2):  # while it applies, and once it has applied
        shown.clear()
        assert isinstance(room.cell("setup", lambda: interactive.open_interactively("hot_deploy", {})), NotYet)
        assert not [html for html in shown if "bb-warning" in html]
        engine.may_go.set()
        room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    assert room.cells("verify", "evidence", "conclude") is None
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_cell_right_behind_the_end_waits_until_it_is_written_down(room: Room, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    held, finished = threading.Event(), Run._finished

    def slow(run: Run, event: Any) -> None:
        held.wait(PATIENCE_S)
        finished(run, event)

    monkeypatch.setattr(Run, "_finished", slow)
    room.cells("preflight", "plan", "apply")
    press(room)
    room.wait(lambda: last(room.run.journal, "apply_finished"), "the last event")
    assert room.run.is_applying
    later = threading.Timer(0.3, held.set)
    later.start()
    assert room.cells("verify", "evidence", "conclude") is None
    later.join()
    assert read_record(room.run.dir).verdict == "succeeded"


def test_nothing_is_concluded_while_a_cell_before_it_only_waited(room: Room, engine: Engine, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    assert isinstance(room.cells("verify"), NotYet)
    engine.may_go.set()
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    for role in ("evidence", "conclude"):
        assert isinstance(room.cells(role), NotYet)
        assert "The cell <code>verify</code> came too early" in shown[-1]
    assert not room.run._is_closed
    assert room.cells("verify", "evidence", "conclude") is None
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_deployment_that_fails_says_what_where_and_what_next_and_is_sealed(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    fleet.sick.add(str(room.plan.subject["release"]))
    press(room)
    ended(room)
    page = room.run._applying.panel.view.page.value
    for heading in ("Failure", "Place", "State now", "Next step"):
        assert f"<h4>{heading}</h4>" in page
    assert "start 2.0.0" in page.partition("Failure")[2].partition("<h4>")[0]
    assert "(step <code>start app1:9090</code>)" in page
    assert "was taken back to its earlier release and serves" in page
    assert "was not changed" in page
    assert "balbook logs hotel" in page
    assert page.index("Failure") < page.index("Traceback")
    assert read_record(room.run.dir).verdict == "failed"
    assert isinstance(room.cells("verify"), NotYet)
    assert "has ended" in shown[-1]


def test_a_lost_process_names_the_command_that_goes_on(room: Room, engine: Engine) -> None:
    engine.is_lost = True
    room.cells("preflight", "plan", "apply")
    press(room)
    room.wait(lambda: room.run._is_closed and "balbook resume" in room.run._applying.panel.view.page.value, "the end")
    assert f"balbook resume {room.run.id}" in room.run._applying.panel.view.page.value


def test_an_error_in_a_cell_is_a_panel_and_ends_the_run(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    fleet.answers["inspect"] = HostUnreachable("app1", "no route", advice="Is it up?")
    error = room.cells("preflight")
    assert error is not None
    panel = next(html for html in shown if "bb-panel-error" in html)
    assert "no route" in panel
    assert panel.index("Failure") < panel.index("bb-traceback")
    assert read_record(room.run.dir).verdict == "failed"
    del fleet.answers["inspect"]
    first = room.run.id
    assert room.cells("preflight") is None
    assert room.run.id != first


@pytest.mark.parametrize(
    ("roles", "said", "why"),
    [
        (("preflight", "preflight", "plan"), "has run already", "out_of_order"),
        (("plan",), "Skipped before this cell", "skipped_cell"),
    ],
)
def test_cells_twice_or_skipped_are_warned_of_at_once_and_in_the_verdict(
    room: Room, shown: list[str], roles: tuple[str, ...], said: str, why: str
) -> None:
    room.cells(*roles)
    assert [html for html in shown if "bb-warning" in html and said in html]
    room.cells("apply")
    applied(room)
    room.cells("verify", "evidence", "conclude")
    record = read_record(room.run.dir)
    assert (record.verdict, record.predicate["why"].partition(":")[0]) == ("inconclusive", why)
    assert "? inconclusive" in shown[-2]


def test_a_cell_that_was_edited_is_warned_of_and_kept_as_it_ran(room: Room, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    room.cell("verify", lambda: room.run.verify(), source="run.verify()  # twice as sure")
    assert "was edited" in shown[-1] or "was edited" in shown[-2]
    room.cells("evidence", "conclude")
    assert read_record(room.run.dir).predicate["why"].startswith("edited_cell")
    assert "twice as sure" in (room.run.dir / "hot_deploy.ipynb").read_text()


def test_plan_mode_says_how_to_apply_and_a_new_run_takes_the_same_form(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    before = repr(fleet.hosts)
    choose(room, mode="plan")
    assert room.cells("preflight", "plan", "apply") is None
    assert "Plan mode: nothing was changed." in shown[-1]
    assert room.cells("verify", "evidence", "conclude") is None
    assert (read_record(room.run.dir).verdict, repr(fleet.hosts)) == ("planned", before)
    first = room.run.dir
    choose(room, mode="apply")
    room.cells("preflight", "plan", "apply")
    applied(room)
    room.cells("verify", "evidence", "conclude")
    assert room.run.dir != first
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_run_that_is_left_is_closed_and_sealed_as_never_concluded(room: Room) -> None:
    room.cells("preflight", "plan", "apply")
    left = room.run.dir
    room.run._form._again.click()
    assert read_record(left).verdict == "inconclusive"
    assert not room.run._form.fields["release"].control.disabled


@pytest.mark.parametrize("left_by", ["New run", "a second setup cell"])
def test_the_button_of_a_run_that_was_left_applies_nothing_any_more(room: Room, fleet: FakeFleet, left_by: str) -> None:
    room.cells("preflight", "plan", "apply")
    left, panel, before = room.run.dir, room.run._applying.panel, repr(fleet.hosts)
    if left_by == "New run":
        room.run._form._again.click()
    else:
        room.cells("parameters")
        room.cell("setup", lambda: setattr(room, "run", interactive.open_interactively("hot_deploy", {"mode": "apply"})))
    sealed = (left / "journal.jsonl").read_bytes()
    panel.button.click()
    panel.press()
    assert panel.state == RETIRED
    assert "The run was closed before this plan was applied." in panel.view.page.value
    assert ((left / "journal.jsonl").read_bytes(), repr(fleet.hosts)) == (sealed, before)
    assert room.cells("preflight") is None
    assert not room.run._is_closed


def test_a_run_is_not_closed_under_a_cell_that_runs(room: Room) -> None:
    def pressed_meanwhile() -> None:
        room.run.preflight()
        room.run._form._again.click()  # front ends with subshells need not wait for the cell

    assert room.cell("preflight", pressed_meanwhile) is None
    assert not room.run._is_closed
    assert "A cell is running" in room.run._form._state.value
    room.run._form._again.click()
    assert room.run._is_closed


def test_a_value_that_changes_while_the_run_is_opened_is_put_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = interactive.begin

    def slowly(*args: Any) -> Any:
        choose(room, reason="typed too late")
        return begin(*args)

    choose(room, reason="new prices")
    monkeypatch.setattr(interactive, "begin", slowly)
    assert room.cells("preflight") is None
    assert room.run.parameters["reason"] == "new prices"
    assert room.run._form.values()["reason"] == "new prices"


def test_a_form_whose_run_cannot_be_opened_can_be_changed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(request: Any) -> Path:
        raise Failed("no space left")

    monkeypatch.setattr(interactive, "new_run_dir", full)
    assert isinstance(room.cells("preflight"), Failed)
    assert not room.run._form.fields["reason"].control.disabled
    choose(room, reason="there is space now")
    assert room.run._form.values()["reason"] == "there is space now"


def test_a_run_that_was_sealed_elsewhere_applies_nothing_and_gets_no_event_by_the_click(room: Room, fleet: FakeFleet) -> None:
    room.cells("preflight", "plan", "apply")
    run, before = room.run._run, repr(fleet.hosts)
    close_left(run.dir)
    sealed = run.journal.path.read_bytes()
    press(room)
    room.wait(lambda: room.run._applying.panel.state == OVER, "the refusal")
    assert "is closed; nothing was changed" in room.run._applying.panel.view.page.value
    assert (run.journal.path.read_bytes(), repr(fleet.hosts)) == (sealed, before)
    assert room.cells("preflight") is None
    assert room.run.id != run.id


def test_a_plan_that_is_made_anew_after_the_apply_does_not_forget_that_one_was_applied(room: Room, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    room.cells("plan")
    assert isinstance(room.cells("apply"), NotYet)
    assert "has applied its plan already" in shown[-1]
    assert not room.run._is_closed


def test_an_error_of_a_run_that_was_left_does_not_close_the_one_that_is_open(room: Room) -> None:
    room.cells("preflight", "plan", "apply")
    left = room.run._run
    room.run._form._again.click()
    room.cells("preflight")
    room.run._applied(left, Failed("too late"), lambda html: None)
    assert not room.run._is_closed


@pytest.mark.parametrize("since", ["approvals are of the plan before", "a precondition is not met", "nothing is otherwise"])
def test_the_button_of_a_plan_that_was_made_anew_applies_nothing(
    room: Room, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    def require_approved(run: Run, plan: Plan) -> None:
        if plan.digest != approved:
            raise Refused("0 of 1 approvals")

    room.cells("preflight", "plan")
    approved = room.plan.digest
    monkeypatch.setattr(Run, "_require_approved", require_approved)
    room.cells("apply")
    old = room.run._applying.panel
    if since.startswith("approvals"):
        publish(fleet.inventory, "3.0.0")
    elif since.startswith("a precondition"):
        fleet.hosts["app1"].system = {"root_writable": "no"}
    before = repr(fleet.hosts)
    assert room.cells("plan") is None
    old.button.click()
    assert old.state == RETIRED
    assert "The plan was made anew" in old.view.page.value
    assert (repr(fleet.hosts), last(room.run.journal, "apply_started")) == (before, None)
    error = room.cells("apply")
    assert (error is None) == (since == "nothing is otherwise")
    if error is None:
        assert room.run._applying.panel.state == WAITS


def test_facts_that_change_before_the_click_are_seen_and_nothing_is_started(room: Room, fleet: FakeFleet) -> None:
    room.cells("preflight", "plan", "apply")
    publish(fleet.inventory, "3.0.0")
    before = repr(fleet.hosts)
    press(room)
    ended(room)
    page = room.run._applying.panel.view.page.value
    assert "the facts have changed since the plan was made" in page
    assert "Nothing was started. Run the cells again from <code>preflight</code>" in page
    assert "Nothing was applied" in page
    assert "lost" not in page
    assert (repr(fleet.hosts), last(room.run.journal, "apply_started")) == (before, None)
    assert read_record(room.run.dir).predicate["why"].startswith("changed_plan")


def test_a_plan_that_is_declined_is_concluded_as_never_applied(room: Room, shown: list[str]) -> None:
    room.cells("preflight", "plan", "apply")
    room.run._applying.panel.decline.click()
    assert isinstance(room.cells("verify"), NotYet)
    assert room.cells("conclude") is None
    record = read_record(room.run.dir)
    assert record.verdict == "inconclusive"


def test_a_plan_whose_preconditions_are_not_met_draws_no_button(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    fleet.hosts["app1"].system = {"root_writable": "no"}
    room.cells("preflight", "plan")
    error = room.cells("apply")
    assert isinstance(error, Refused)
    assert room.run._applying is None
    assert [html for html in shown if "balbook apply provision" in html]


def test_what_the_run_has_is_asked_of_it_and_before_that_waits(room: Room) -> None:
    with pytest.raises(NotYet):
        _ = room.run.dir
    with pytest.raises(AttributeError):
        _ = room.run.nothing_of_the_kind
    room.cells("preflight")
    assert room.run.mode == "apply"
    assert room.run.measurements() == {}


def test_an_unexpected_error_while_applying_ends_in_a_stated_verdict(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run_dir: Path, secrets: object) -> Any:
        raise OSError("no more processes")

    room.cells("preflight", "plan", "apply")
    monkeypatch.setattr(process, "start", broken)
    press(room)
    ended(room)
    assert "defect in balbook: OSError: no more processes" in room.run._applying.panel.view.page.value
    assert read_record(room.run.dir).verdict == "failed"


def test_a_fault_of_the_view_takes_neither_the_run_nor_its_stop_button(room: Room, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = [], Follower.look

    def broken_once(follower: Follower) -> panels.Html:
        looked.append(1)
        if len(looked) == 1:
            raise KeyError("x")
        return look(follower)

    monkeypatch.setattr(Follower, "look", broken_once)
    monkeypatch.setattr(forms_follower, "TICK_S", 0.3)
    room.cells("preflight", "plan", "apply")
    engine.may_go.clear()
    press(room)
    seen = room.run._applying.panel.view
    room.wait(lambda: "The view failed; the run goes on." in seen.page.value, "the fault")
    assert seen.stop.layout.display == ""
    room.wait(lambda: "data-state='running'" in seen.page.value, "the next page")
    engine.may_go.set()
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    assert "Applied: succeeded" in seen.page.value
    assert seen.stop.layout.display == "none"
    assert room.cells("verify", "evidence", "conclude") is None
    assert read_record(room.run.dir).verdict == "succeeded"


def test_a_view_that_always_fails_lets_the_run_end_as_it_ended(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(follower: Follower) -> panels.Html:
        raise KeyError("x")

    monkeypatch.setattr(Follower, "look", broken)
    monkeypatch.setattr(Follower, "twin", broken)
    room.cells("preflight", "plan", "apply")
    applied(room)
    assert room.cells("verify", "evidence", "conclude") is None
    assert read_record(room.run.dir).verdict == "succeeded"


@pytest.mark.parametrize("fault", ["the plan's file", "the view's thread", "the run's thread"])
def test_what_cannot_begin_to_apply_ends_the_run_and_keeps_no_cell_waiting(
    room: Room, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    room.cells("preflight", "plan", "apply")
    before, start = repr(fleet.hosts), threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == {"the view's thread": "balbook-view", "the run's thread": "balbook-apply"}.get(fault):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    if fault == "the plan's file":
        (room.run.dir / "plan.json").write_text("{")
    press(room)
    ended(room)
    room.wait(lambda: room.run._applying.panel.state == OVER, "the end")
    assert "Nothing was started." in room.run._applying.panel.view.page.value
    assert (repr(fleet.hosts), read_record(room.run.dir).verdict) == (before, "failed")
    assert room.cells("preflight") is None


def broken(*args: Any) -> Any:
    raise KeyError("no such field")


@pytest.mark.parametrize("role", ["verify", "evidence"])
def test_a_defect_behind_the_apply_is_a_panel_that_says_what_stands_and_how_to_go_back(
    room: Room, shown: list[str], monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    if role == "evidence":
        room.cells("verify")
    monkeypatch.setattr(hot_deploy, role, broken)
    assert isinstance(room.cells(role), KeyError)
    panel = next(html for html in shown if "bb-panel-error" in html)
    assert "KeyError" in panel.partition("<details class='bb-traceback'>")[0]
    assert "<li><code>app1:9090</code> serves the planned release.</li>" in panel
    for command in ("balbook status hotel", "balbook rollback hotel"):
        assert f"<code>{command}</code>" in panel
    assert room.tracebacks == []
    assert read_record(room.run.dir).verdict == "failed"


def test_an_error_of_ones_own_cell_keeps_its_traceback(room: Room, shown: list[str]) -> None:
    room.cells("preflight")
    error = room.cell("plan", broken, source="what['ever']")
    assert room.tracebacks == [error]
    assert not [html for html in shown if "bb-panel-error" in html]


def test_what_is_not_so_after_the_apply_says_what_stands_and_how_to_go_back(
    room: Room, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    monkeypatch.setattr(hot_deploy, "verify", lambda site, plan: [Check("answers as it should", False, "404")])
    room.cells("verify", "evidence", "conclude")
    assert read_record(room.run.dir).verdict == "failed"
    for said in ("<code>app2:9090</code> serves the planned release.", "The applied changes stand.", "balbook rollback hotel"):
        assert said in shown[-1]


def test_the_error_panel_never_begins_with_a_traceback() -> None:
    trouble = panels.Trouble("it broke", "app1", "one\ntwo", ["is up"], "mend it", ["balbook status"], "Traceback (most recent call last)")
    html = panels.error(trouble).html
    assert html.index("it broke") < html.index("app1") < html.index("two") < html.index("is up") < html.index("mend it")
    assert html.index("mend it") < html.index("<details class='bb-traceback'>")
    assert Failed("x").exit_status == 1


def test_a_plan_that_needs_approvals_waits_for_them_and_has_not_failed(room: Room, fleet: FakeFleet, shown: list[str]) -> None:
    data = yaml.safe_load(fleet.inventory.path.read_text())
    data["applications"]["hotel"]["approvals"] = 1
    fleet.inventory.path.write_text(yaml.safe_dump(data))
    room.cells("preflight", "plan")
    assert isinstance(room.cells("apply"), NotYet)
    assert f"balbook approve {room.run.id}" in shown[-1]
    assert last(room.run.journal, "error") is None
    assert room.run._applying is None


def test_a_run_whose_kernel_died_is_closed_from_its_journal(room: Room, fleet: FakeFleet, engine: Engine) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    run = room.run
    run._is_closed = True  # the kernel is gone, and with it whoever would close the run
    run.journal.append(made("controller_gone"))
    assert rescue.abandoned(run.dir.parent) == [run.dir]
    follower = Follower(run.dir, fleet.inventory)
    follower.follow(follower.has_ended, lambda page: None)
    said = rescue.rescue(follower, fleet.inventory)
    assert "✘ failed" in said[0].html
    record = read_record(run.dir)
    assert record.predicate["why"].startswith("kernel_death")
    cells = {c["id"]: c for c in json.loads((run.dir / "hot_deploy.ipynb").read_text())["cells"]}
    assert "Applied: succeeded" in json.dumps(cells["apply"]["outputs"])
    assert cells["verify"]["execution_count"] is None
    assert rescue.rescue(follower, fleet.inventory) == []


def test_the_form_shows_a_run_that_goes_on(room: Room, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    room.cells("preflight", "plan", "apply")
    applied(room)
    monkeypatch.setattr(ongoing, "ongoing", lambda records: [room.run.dir])
    ongoing.show_ongoing(room.run._form)
    (line,) = room.run._form.notice.children
    told, button = line.children[0].children
    assert "is applying <b>hot_deploy hotel</b> now" in told.value
    button.click()
    room.wait(lambda: line.children[1].children and "Applied: succeeded" in line.children[1].children[0].children[1].value, "the view")
