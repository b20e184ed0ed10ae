"""A plan that balbook 0.1.0 wrote: its digest, what it says, and that nobody begins with it any more.

`version_1.json` and the digest were written by 0.1.0 itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from balbook.commands.command import Command
from balbook.errors import BadInput
from balbook.plan.model import Exchange, Fetch, Hold, Plan, Publish, Run, Upload, Wait
from balbook.plan.reading import plan_from, read_plan, require_current
from balbook.plan.settings import LeasePlace
from balbook.secrets.secret_ref import SecretRef

DATA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "plans" / "version_1.json").read_text(encoding="utf-8"))
DIGEST = "f2799b857de98b042c706bd52ea9f27d896b09cb68e1b8f874ad5aeddd75f561"
BOTH = ("app1:9090", "app2:9090")


def old() -> Plan:
    return plan_from(DATA)


def test_its_digest_is_the_one_that_its_journal_has() -> None:
    assert old().digest == DIGEST
    assert plan_from({**DATA, "subject": {}}).digest != DIGEST


def test_verbs_units_instances_and_phases_are_read_from_its_strings() -> None:
    steps = {step.id: step for step in old().steps}
    assert list(steps) == [step["id"] for step in DATA["steps"]]
    assert [steps[name].verb for name in ("drain app1:9090+app2:9090", "stop app1:9090", "test acme/rooms")] == ["drain", "stop", "test"]
    drain, stop = steps["drain app1:9090+app2:9090"], steps["stop app1:9090"]
    assert (drain.unit, drain.instances, drain.phase, drain.unit_name) == (BOTH, BOTH, "draining", "app1:9090+app2:9090")
    assert (stop.unit, stop.instances, stop.phase) == (BOTH, ("app1:9090",), "down")
    assert (steps["upload app1"].phase, steps["upload app1"].instances, steps["upload app1"].is_done) == ("stage", (), True)
    assert steps["test acme/rooms"].about == "acme/rooms"


def test_its_actions_are_what_they_were() -> None:
    actions = {type(action): action for step in old().steps for action in (*step.verify, *step.actions)}
    assert set(actions) == {Run, Wait, Hold, Upload, Fetch, Publish, Exchange}
    assert actions[Upload] == Upload("/store/app.jar", "ab" * 32, "/opt/app.jar", "0755", is_privileged=True)
    beside = ("/p/Dependencies.toml", "/p/build-time.json")
    details = {"input_digest": "cd" * 32}
    assert actions[Publish] == Publish("/p/app.jar", "/store", "hotel", "2.0.0", "jar", "bal build", beside, details)
    (put,) = old().steps[1].actions
    stdin = ("password = ", SecretRef("env:PASSWORD", "toml"), "\n", SecretRef("file:/token"))
    argv = ("sh", "-c", "cat", "put", "/etc/x")
    assert put == Run(Command(argv, stdin, {"B": "2", "A": "1"}, deadline_s=60, expect=(0, 1), is_privileged=True))


def test_its_preconditions_and_settings_are_models() -> None:
    plan = old()
    assert [p.said for p in plan.preconditions] == ["met", "unmet", "met by runbook provision", "left out"]
    assert [p.met_by for p in plan.unmet] == ["", "provision"]
    assert plan.settings.lease == LeasePlace("hotel", "lb1", "/opt/balbook/locks/hotel")
    assert plan.settings.probe
    assert plan.settings.probe.must_reach == ()
    assert plan.settings.rollout.on_failure == "rollback"


def test_what_is_left_of_it_when_it_is_resumed_is_a_plan_of_this_version() -> None:
    left = old().restricted_to(old().settings.on_resume)
    assert [step.id for step in left.steps] == ["start app1:9090", "call off"]
    assert require_current(left).digest == plan_from(left.data()).digest != DIGEST


def test_nobody_begins_with_it_and_the_advice_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(DATA))
    with pytest.raises(BadInput, match="this plan has version 1") as caught:
        require_current(read_plan(tmp_path))
    assert caught.value.advice == "Nothing was touched. Make a new plan: balbook plan hot_deploy"


@pytest.mark.parametrize("change", [{"steps": [{}]}, {"settings": {"x": 1}}, {"preconditions": [{"what": "a"}]}, {"runbook": 1}])
def test_what_is_no_plan_of_version_1_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"this plan (is not a plan|cannot be read)"):
        plan_from({**DATA, **change})
