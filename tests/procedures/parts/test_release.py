"""A release with secrets in its configuration: the host gets the value, everything else the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from balbook.errors import BadInput, ParameterError
from balbook.plan.model import secrets_of
from balbook.plan.reading import plan_from
from balbook.run.run import require_no_secrets
from balbook.secrets.references import Scrubber
from balbook.secrets.secret_ref import SecretRef
from balbook.testing import FakeFleet
from tests.small_fleet import change_inventory, fleet_with, make_plan, publish


def with_config(folder: Path, text: str) -> FakeFleet:
    fleet = fleet_with(folder, "1.0.0")
    (folder / "Config.toml").write_text(text)
    change_inventory(fleet, config={"file": "Config.toml"})
    publish(fleet.inventory, "2.0.0")
    return fleet


def test_a_template_with_a_secret_is_planned_by_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    plan = make_plan(with_config(tmp_path, 'password = "${secret:env:DB_PASSWORD}"\n'))
    assert secrets_of(plan) == [SecretRef("env:DB_PASSWORD", "toml")]
    assert "${secret:env:DB_PASSWORD}" in "".join(step.diff for step in plan.steps)
    assert plan_from(json.loads(json.dumps(plan.data()))).digest == plan.digest


@pytest.mark.parametrize("line", ["# ${secret:env:PW}", "password = '${secret:env:PW}'", 'password = "${secret:hunter2-hunter2}"'])
def test_a_secret_that_stands_elsewhere_than_in_a_string_is_refused(tmp_path: Path, line: str) -> None:
    fleet = with_config(tmp_path, line + "\n")
    with pytest.raises(BadInput) as refused:
        make_plan(fleet)
    assert "hunter2" not in str(refused.value)


def test_a_parameter_that_holds_a_secret_is_refused_without_showing_it() -> None:
    scrubber = Scrubber()
    scrubber.remember("env:PW", "hunter2-hunter2")
    require_no_secrets({"reason": "new prices", "hosts": ["app1"]}, scrubber)
    with pytest.raises(ParameterError, match="reason") as refused:
        require_no_secrets({"reason": "it is hunter2-hunter2"}, scrubber)
    assert "hunter2" not in str(refused.value)
