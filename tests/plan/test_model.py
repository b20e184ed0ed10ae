"""Plans: the digest, and the way to plain data and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balbook.commands.command import Command
from balbook.errors import BadInput
from balbook.plan.model import VERSION, Guard, Hold, Phase, Plan, Precondition, Run, Step, Upload, Wait, secrets_of
from balbook.plan.reading import plan_from
from balbook.plan.settings import LeasePlace, RolloutSettings, Settings
from balbook.secrets.secret_ref import SecretRef
from tests.commands.test_command import COMMAND, VARIABLE, WORD
from tests.engine.test_measure import settings

SECONDS = st.one_of(st.integers(1, 900), st.floats(0.1, 900))
ACTION = st.one_of(
    st.builds(Run, COMMAND),
    st.builds(Wait, COMMAND, within_s=SECONDS, every_s=SECONDS),
    st.builds(Hold, COMMAND, SECONDS),
    st.builds(Upload, WORD, WORD, WORD, mode=st.sampled_from(["0644", "0755"]), is_privileged=st.booleans()),
)
ACTIONS = st.lists(ACTION, max_size=2).map(tuple)
NAMES = st.lists(WORD, max_size=2).map(tuple)
STEP = st.builds(
    Step,
    verb=WORD,
    host=WORD,
    title=WORD,
    actions=ACTIONS,
    about=WORD,
    instances=NAMES,
    unit=NAMES,
    group=WORD,
    phase=st.sampled_from(get_args(Phase)),
    done=st.none() | COMMAND,
    is_done=st.booleans(),
    verify=ACTIONS,
    undo=ACTIONS,
    diff=WORD,
    guards=st.lists(st.builds(Guard, WORD, COMMAND), max_size=2).map(tuple),
    guards_needed=st.integers(0, 3),
    reads=st.sampled_from(["", "bal"]),
)
ROW = st.builds(Precondition, WORD, st.sampled_from(["met", "unmet", "left out"]), WORD, WORD)
PLAN = st.builds(
    Plan,
    runbook=VARIABLE,
    application=WORD,
    steps=st.lists(STEP, max_size=3).map(tuple),
    subject=st.dictionaries(VARIABLE, WORD, max_size=2),
    settings=st.builds(
        Settings,
        lease=st.none() | st.builds(LeasePlace, WORD, WORD, WORD),
        rollout=st.builds(RolloutSettings, st.sampled_from(["pause", "rollback"]), st.none() | SECONDS, st.none() | SECONDS),
        downtime=NAMES,
        on_resume=NAMES,
    ),
    preconditions=st.lists(ROW, max_size=2).map(tuple),
)


@given(PLAN)
def test_a_plan_comes_back_from_its_json_with_the_same_digest(plan: Plan) -> None:
    back = plan_from(json.loads(json.dumps(plan.data())))
    assert back == plan
    assert back.digest == plan.digest


def a_plan(**changes: object) -> Plan:
    step = Step("do", "app1", "do it", (Run(Command(("true",))),), id="one")
    rows = (Precondition("disk", "met", "10 MB"),)
    return replace(Plan("hot_deploy", "hotel", (step,), preconditions=rows), **changes)  # type: ignore[arg-type]


def test_what_a_precondition_measured_is_not_in_the_digest() -> None:
    assert a_plan(preconditions=(Precondition("disk", "met", "9 MB"),)).digest == a_plan().digest


def test_how_long_something_is_held_is_one_text_and_its_secrets_are_known() -> None:
    step = a_plan().steps[0]
    asks = Command(("ask",), stdin=(SecretRef("env:TOKEN"),))
    plans = [a_plan(steps=(replace(step, actions=(Hold(asks, seconds),)),)) for seconds in (60, 60.0, 61)]
    assert plans[0].digest == plans[1].digest != plans[2].digest
    assert secrets_of(plans[0]) == [SecretRef("env:TOKEN")]


def test_whether_a_precondition_is_met_is_in_the_digest() -> None:
    assert a_plan(preconditions=(Precondition("disk", "unmet", "10 MB"),)).digest != a_plan().digest


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
    assert plan_from(a_plan(steps=(lonely,)).data()).steps[0].guards_needed == 1


def test_what_was_left_out_for_want_of_privilege_is_not_unmet() -> None:
    rows = (
        Precondition("a", "met"),
        Precondition("b", "left out"),
        Precondition("c", "unmet"),
        Precondition("d", "unmet", "", "provision"),
    )
    assert [str(p) for p in a_plan(preconditions=rows).unmet] == ["c: unmet", "d: met by runbook provision"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"unit": ("app1:9090", "app2:9090")}, "do app1:9090+app2:9090"),
        ({"unit": ("app1:9090", "app2:9090"), "instances": ("app2:9090",)}, "do app2:9090"),
        ({"unit": ("app1:9090",), "about": "rooms"}, "do rooms"),
        ({}, "do lb1"),
    ],
)
def test_a_step_is_named_by_what_is_done_to_what(fields: dict[str, Any], name: str) -> None:
    assert Step("do", "lb1", "do it", (), **fields).id == name


def test_only_steps_that_are_not_done_are_pending() -> None:
    done, todo = replace(a_plan().steps[0], id="done", is_done=True), a_plan().steps[0]
    assert [s.id for s in a_plan(steps=(done, todo)).pending] == ["one"]


def test_what_is_left_of_a_plan_measures_nothing() -> None:
    steps = (replace(a_plan().steps[0], verb="hold"), replace(a_plan().steps[0], verb="repair"))
    left = a_plan(steps=steps, settings=Settings(LeasePlace("hotel", "lb1", "/locks"), probe=settings())).restricted_to(("repair",))
    assert [s.verb for s in left.steps] == ["repair"]
    assert (left.settings.probe, left.settings.lease is None) == (None, False)


def test_a_plan_of_a_newer_version_is_refused_with_advice() -> None:
    with pytest.raises(BadInput) as caught:
        plan_from(a_plan().data() | {"version": VERSION + 1})
    assert "newer balbook" in caught.value.advice


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["steps"][0].pop("host"), "this plan cannot be read: steps.0.host: Field required"),
        (lambda data: data["steps"][0].update(retries=3), "steps.0.retries: Unexpected"),
        (lambda data: data["steps"][0].update(guards_needed="1"), "steps.0.guards_needed: Input should be a valid integer"),
        (lambda data: data.update(settings={"rollout": {"on_failure": "ask"}}), "settings.rollout.on_failure: Input should be"),
        (lambda data: data.update(version=1, steps=[{}]), "this plan is not a plan: KeyError: 'id'"),
        (lambda data: data.update(steps=3), "steps: Input should be"),
    ],
)
def test_what_is_no_plan_is_refused_and_named(change: Callable[[dict[str, Any]], object], told: str) -> None:
    data = a_plan().data()
    change(data)
    with pytest.raises(BadInput, match=told):
        plan_from(data)


def test_a_field_of_another_type_is_named_before_anything_is_written() -> None:
    step = replace(a_plan().steps[0], unit="app1:9090")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"the plan of hot_deploy cannot be written: .*app1:9090"):
        a_plan(steps=(step,)).data()
