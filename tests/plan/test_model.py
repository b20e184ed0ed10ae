"""Plans: the digest, and the way to plain data and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balbook.commands.command import Command
from balbook.errors import BadInput
from balbook.plan.model import VERSION, Guard, Hold, Plan, Run, Step, Upload, Wait, plan_from, secrets_of, step_from
from balbook.secrets.secret_ref import SecretRef
from tests.commands.test_command import COMMAND, VARIABLE, WORD

SECONDS = st.one_of(st.integers(1, 900), st.floats(0.1, 900))
ACTION = st.one_of(
    st.builds(Run, COMMAND),
    st.builds(Wait, COMMAND, within_s=SECONDS, every_s=SECONDS),
    st.builds(Hold, COMMAND, SECONDS),
    st.builds(Upload, WORD, WORD, WORD, mode=st.sampled_from(["0644", "0755"]), is_privileged=st.booleans()),
)
ACTIONS = st.lists(ACTION, max_size=2).map(tuple)
STEP = st.builds(
    Step,
    id=WORD,
    host=WORD,
    title=WORD,
    actions=ACTIONS,
    unit=WORD,
    group=WORD,
    phase=WORD,
    done=st.none() | COMMAND,
    is_done=st.booleans(),
    verify=ACTIONS,
    undo=ACTIONS,
    diff=WORD,
    guards=st.lists(st.builds(Guard, WORD, COMMAND), max_size=2).map(tuple),
    guards_needed=st.integers(0, 3),
)
ROW = st.fixed_dictionaries({"what": WORD, "state": st.sampled_from(["met", "unmet", "left out"]), "found": WORD})
PLAN = st.builds(
    Plan,
    runbook=VARIABLE,
    application=WORD,
    steps=st.lists(STEP, max_size=3).map(tuple),
    subject=st.dictionaries(VARIABLE, WORD, max_size=2),
    settings=st.dictionaries(VARIABLE, st.integers() | WORD, max_size=2),
    preconditions=st.lists(ROW, max_size=2).map(tuple),
)


@given(PLAN)
def test_a_plan_comes_back_from_its_json_with_the_same_digest(plan: Plan) -> None:
    back = plan_from(json.loads(json.dumps(plan.data())))
    assert back == plan
    assert back.digest == plan.digest


@given(STEP)
def test_a_step_comes_back_from_its_data(step: Step) -> None:
    assert step_from(step.data()) == step


def a_plan(**changes: object) -> Plan:
    step = Step("one", "app1", "do it", (Run(Command(("true",))),))
    rows = ({"what": "disk", "state": "met", "found": "10 MB"},)
    return replace(Plan("hot_deploy", "hotel", (step,), preconditions=rows), **changes)  # type: ignore[arg-type]


def test_what_a_precondition_measured_is_not_in_the_digest() -> None:
    assert a_plan(preconditions=({"what": "disk", "state": "met", "found": "9 MB"},)).digest == a_plan().digest


def test_how_long_something_is_held_is_one_text_and_its_secrets_are_known() -> None:
    step = a_plan().steps[0]
    asks = Command(("ask",), stdin=(SecretRef("env:TOKEN"),))
    plans = [a_plan(steps=(replace(step, actions=(Hold(asks, seconds),)),)) for seconds in (60, 60.0, 61)]
    assert plans[0].digest == plans[1].digest != plans[2].digest
    assert secrets_of(plans[0]) == [SecretRef("env:TOKEN")]


def test_whether_a_precondition_is_met_is_in_the_digest() -> None:
    assert a_plan(preconditions=({"what": "disk", "state": "unmet", "found": "10 MB"},)).digest != a_plan().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"application": "inn"},
        {"subject": {"release": "2"}},
        {"steps": ()},
        {"steps": (replace(a_plan().steps[0], is_done=True),)},
        {"steps": (replace(a_plan().steps[0], guards_needed=1),)},
        {"steps": (replace(a_plan().steps[0], actions=(Run(Command(("false",))),)),)},
    ],
)
def test_whatever_would_be_done_is_in_the_digest(changes: dict[str, object]) -> None:
    assert a_plan(**changes).digest != a_plan().digest


def test_a_floor_survives_where_no_other_instance_could_hold_it() -> None:
    lonely = Step("drain", "lb1", "take the only one out", (Run(Command(("true",))),), guards=(), guards_needed=1)
    assert step_from(lonely.data()).guards_needed == 1


def test_what_was_left_out_for_want_of_privilege_is_not_unmet() -> None:
    plan = a_plan(preconditions=tuple({"what": s, "state": s} for s in ("met", "left out", "unmet", "met by runbook provision")))
    assert [p["what"] for p in plan.unmet] == ["unmet", "met by runbook provision"]


def test_only_steps_that_are_not_done_are_pending() -> None:
    done, todo = replace(a_plan().steps[0], id="done", is_done=True), a_plan().steps[0]
    assert [s.id for s in a_plan(steps=(done, todo)).pending] == ["one"]
    assert [s.id for s in a_plan(steps=(done, todo)).restricted_to({"done"}).steps] == ["done"]


def test_a_plan_of_a_newer_version_is_refused_with_advice() -> None:
    with pytest.raises(BadInput) as caught:
        plan_from(a_plan().data() | {"version": VERSION + 1})
    assert "newer balbook" in caught.value.advice
