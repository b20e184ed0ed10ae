"""The form's fields: choices of the inventory, the rules of `balbook apply`, and the command that does the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.errors import NotYet
from balbook.inventory import Inventory
from balbook.jupyter.forms import fields
from balbook.jupyter.forms.form import Form
from balbook.notebook.parameters import parse_assignments
from balbook.notebook.runbook import Runbook, read_runbook, runbook_path
from balbook.run.opening import Request
from tests.small_fleet import publish, write_inventory


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    found = write_inventory(tmp_path)
    publish(found, "1.0.0", "2.0.0")
    monkeypatch.setenv("BALBOOK_INVENTORY", str(found.path))
    return found


def form_of(name: str = "hot_deploy", **given: Any) -> Form:
    return Form(runbook(name), name, given, lambda: None)


def runbook(name: str = "hot_deploy") -> Runbook:
    return read_runbook(runbook_path(name))


def labels(form: Form, name: str) -> list[str]:
    return [label for label, _ in form.fields[name].control.options]


def test_choices_come_from_the_inventory_and_its_store(inventory: Inventory) -> None:
    form = form_of()
    assert labels(form, "application") == ["hotel"]
    assert [label.partition(" ")[0] for label in labels(form, "release")] == ["latest", "2.0.0", "1.0.0"]
    assert labels(form, "release")[0] == "latest (2.0.0)"
    assert labels(form, "strategy")[0] == "the inventory's (active_active)"
    assert labels(form_of("provision"), "hosts") == ["app1 (app)", "app2 (app)", "lb1 (balancer)"]
    assert labels(form_of("rollback"), "release")[0] == "the previous proven release"
    assert labels(form_of("failover_drill"), "fault") == ["kill", "hang", "drain", "blackhole"]


@pytest.mark.parametrize("path", sorted(runbook_path("hot_deploy").parent.glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_runbook_has_a_form_with_help_for_every_parameter(path: Path, inventory: Inventory) -> None:
    found = read_runbook(path)
    form = Form(found, found.name, {}, lambda: None)
    assert list(form.fields) == [p.name for p in found.parameters]
    assert all(field.parameter.help for field in form.fields.values())
    assert found.title in form.twin().html


def test_the_parameters_cell_prefills_the_form(inventory: Inventory) -> None:
    values = form_of(release="1.0.0", reason="new prices", serial=2, mode="apply").values()
    assert (values["release"], values["reason"], values["serial"], values["mode"]) == ("1.0.0", "new prices", 2, "apply")
    assert form_of("provision", hosts=["app2"]).values()["hosts"] == ("app2",)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("serial", 0, "is below 1"),
        ("reason", "two\nlines", "control character"),
        ("inventory", "/nowhere.yaml", "is not a file"),
        ("release", "9.9.9", "has no release"),
    ],
)
def test_what_balbook_apply_refuses_is_said_at_the_field_at_once(inventory: Inventory, name: str, value: Any, said: str) -> None:
    form = form_of(**({name: value} if name == "release" else {}))
    if name != "release":
        form.fields[name].control.value = value
    assert said in form.fields[name].error.value
    assert "Not ready: 1 field needs attention." in form._state.value
    with pytest.raises(NotYet, match=name):
        form.request()


def test_a_secret_of_the_inventory_is_refused_at_the_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write_inventory(tmp_path)
    publish(found, "1.0.0")
    monkeypatch.setenv("BALBOOK_INVENTORY", str(found.path))
    monkeypatch.setenv("CENTRAL_TOKEN", "Kanarienvogel-17")
    found.path.write_text(found.path.read_text() + "central: {token: 'env:CENTRAL_TOKEN'}\n")
    form = form_of()
    form.fields["reason"].control.value = "it is Kanarienvogel-17"
    assert "holds a secret" in form.fields["reason"].error.value
    assert "Kanarienvogel" not in form.fields["reason"].error.value


def test_another_inventory_brings_other_choices_and_keeps_what_can_be_kept(inventory: Inventory, tmp_path: Path) -> None:
    form = form_of(mode="apply")
    other = write_inventory(tmp_path / "other")
    publish(other, "7.0.0")
    form.fields["inventory"].control.value = str(other.path)
    assert [label.partition(" ")[0] for label in labels(form, "release")] == ["latest", "7.0.0"]
    assert form.values()["mode"] == "apply"


def test_releases_are_offered_once_the_application_is_chosen(inventory: Inventory) -> None:
    data = yaml.safe_load(inventory.path.read_text())
    data["applications"]["inn"] = {"instances": [{"host": "app1", "port": 9091}]}
    inventory.path.write_text(yaml.safe_dump(data))
    publish(inventory, "5.0.0", application="inn")
    form = form_of()
    assert form.values()["application"] == ""
    assert labels(form, "release") == ["latest"]
    form.fields["application"].control.value = "inn"
    assert [label.partition(" ")[0] for label in labels(form, "release")] == ["latest", "5.0.0"]
    form.fields["release"].control.value = "5.0.0"
    form.fields["application"].control.value = "hotel"
    assert [label.partition(" ")[0] for label in labels(form, "release")] == ["latest", "2.0.0", "1.0.0", "5.0.0"]
    assert "has no release" in form.fields["release"].error.value


def test_a_release_that_comes_from_a_registry_may_be_any(inventory: Inventory) -> None:
    form = form_of("retrieve", registry="/srv/registry")
    form.fields["release"].control.value = "9.9.9"
    assert form.request().parameters["release"] == "9.9.9"


def test_a_host_that_is_not_there_is_complained_of_and_not_left_out(inventory: Inventory, tmp_path: Path) -> None:
    form = form_of("provision", hosts=["app3"])
    assert form.values()["hosts"] == ("app3",)
    assert "app3" in form.fields["hosts"].error.value
    with pytest.raises(NotYet, match="hosts"):
        form.request()

    form = form_of("provision", hosts=["app2"])
    form.fields["inventory"].control.value = str(write_inventory(tmp_path / "smaller", hosts=1).path)
    assert form.values()["hosts"] == ("app2",)
    assert "app2" in form.fields["hosts"].error.value
    form.fields["hosts"].control.value = ("app1",)
    assert form.request().parameters["hosts"] == ["app1"]


def test_a_choice_that_was_emptied_in_the_parameters_cell_is_complained_of(inventory: Inventory) -> None:
    form = form_of(mode="")
    assert form.values()["mode"] == ""
    assert "neither" in form.fields["mode"].error.value


def test_a_release_that_another_inventory_does_not_have_is_complained_of(inventory: Inventory, tmp_path: Path) -> None:
    form = form_of(release="1.0.0")
    other = write_inventory(tmp_path / "other")
    publish(other, "7.0.0")
    form.fields["inventory"].control.value = str(other.path)
    assert form.values()["release"] == "1.0.0"
    assert "has no release" in form.fields["release"].error.value


def test_the_command_says_the_same_as_the_form(inventory: Inventory) -> None:
    form = form_of(reason="it's $(time)", release="1.0.0", serial=2, mode="apply")
    request = form.request()
    words = shlex.split(fields.command_line(request))
    assert words[:5] == ["balbook", "apply", "hot_deploy", "-i", str(inventory.path)]
    given = parse_assignments(runbook().parameters, words[6::2])
    defaults = {p.name: p.default for p in runbook().parameters}
    assert {**defaults, **given, "inventory": str(inventory.path), "mode": "apply"} == request.parameters


def test_the_command_names_a_runbook_of_ones_own_by_its_file(inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my own" / "my_runbook.ipynb"
    own.parent.mkdir()
    own.write_text(runbook_path("verify").read_text())
    monkeypatch.chdir(own.parent)
    read = runbook("my_runbook")
    request = Request("my_runbook", read, inventory, {p.name: p.default for p in read.parameters})
    words = shlex.split(fields.command_line(request))
    assert words[:4] == ["balbook", "plan", str(own), "-i"]
    assert runbook_path(words[2]) == own


def test_a_list_is_written_as_the_command_line_takes_it(inventory: Inventory) -> None:
    request = form_of("provision", hosts=["app1", "lb1"]).request()
    assert "hosts=app1,lb1" in fields.command_line(request)
    packages = runbook("pack_push").parameters[4]
    assert fields.value_of(packages, "a, b") == ["a", "b"]


def test_a_form_without_an_inventory_says_so_and_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BALBOOK_INVENTORY", raising=False)
    monkeypatch.setenv("BALBOOK_LAB_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    form = form_of()
    assert "no inventory" in form.fields["inventory"].error.value
    with pytest.raises(NotYet, match="inventory"):
        form.request()
