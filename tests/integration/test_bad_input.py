"""Bad input ends with exit status 2 and the nearest name, before any connection is tried or any file written."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.cli import main

INVENTORY = {
    "version": 1,
    "hosts": {
        "app1": {"address": "app1.invalid", "roles": ["app"]},
        "app2": {"address": "app2.invalid", "roles": ["app"]},
        "lb1": {"address": "lb1.invalid", "roles": ["balancer"]},
    },
    "applications": {"hotel": {"balancer": "public", "instances": [{"host": "app1", "port": 9090}, {"host": "app2", "port": 9090}]}},
    "balancers": {"public": {"host": "lb1"}},
}
HOSTILE = ["; reboot", "$(touch x)", "`id`", "a b", "a\nb", "../up", "/etc", "a/b", "-rf", "a'b", "a|b", "ä"]


@pytest.fixture
def unreached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory whose hosts nobody must try to reach, in the current folder; no lab is there."""

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail(f"a connection was tried: {arguments}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setenv("BALBOOK_LAB_HOME", str(tmp_path / "labs"))
    monkeypatch.delenv("BALBOOK_INVENTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(INVENTORY))
    return path


def refused(*words: str) -> int:
    """The exit status of a command in this process."""
    try:
        return main(list(words))
    except SystemExit as exc:
        return int(exc.code or 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("plan hot_deply -p application=hotel", "Did you mean 'hot_deploy'?"),
        ("apply hot_deploy -p aplication=hotel", "Did you mean 'application'?"),
        ("apply hot_deploy -p application=hotle", "Did you mean 'hotel'?"),
        ("apply provision -p hosts=app1,ap2", "Did you mean 'app2'?"),
        ("apply hot_deploy -p application=hotel -p serial=two", "must be a whole number"),
        ("apply hot_deploy -p application=hotel -p serial=0", "below 1"),
        ("apply hot_deploy -p application=hotel -p strategy=active_activ", "Did you mean 'active_active'?"),
        ("apply hot_deploy -p application=hotel -p application=hotel", "twice"),
        ("apply hot_deploy -f no-such.yaml", "no-such.yaml"),
        ("aply hot_deploy", "Did you mean 'apply'?"),
        ("drain hotel app1:9091", "Did you mean 'app1:9090'?"),
        ("readmit hotle app1:9090", "Did you mean 'hotel'?"),
        ("logs hotel app3:9090", "Did you mean 'app"),
        ("status hotle", "Did you mean 'hotel'?"),
        ("unlock hotle --reason x", "Did you mean 'hotel'?"),
        ("apply --plan 00000000", "is called '00000000'"),
        ("stop 00000000", "is called '00000000'"),
        ("resume 00000000", "is called '00000000'"),
        ("plan hot_deploy -i nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_wrong_name_or_type_is_refused_with_the_nearest(
    unreached: Path, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    assert refused(*words.split()) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""
    assert [p.name for p in unreached.parent.iterdir()] == ["inventory.yaml"]


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "the name of a runbook": lambda v: ["apply", v, "-p", "application=hotel"],
    "an application": lambda v: ["apply", "hot_deploy", "-p", f"application={v}"],
    "a release": lambda v: ["apply", "hot_deploy", "-p", "application=hotel", "-p", f"release={v}"],
    "a strategy": lambda v: ["apply", "hot_deploy", "-p", "application=hotel", "-p", f"strategy={v}"],
    "a number": lambda v: ["apply", "hot_deploy", "-p", "application=hotel", "-p", f"serial={v}"],
    "hosts": lambda v: ["apply", "provision", "-p", f"hosts={v}"],
    "the name of a parameter": lambda v: ["apply", "hot_deploy", "-p", f"{v}=1"],
    "a mode in a file": lambda v: ["apply", "hot_deploy", "-f", v],
    "an instance": lambda v: ["drain", "hotel", v],
    "the application of an instance": lambda v: ["readmit", v, "app1:9090"],
    "the application of a status": lambda v: ["status", v],
    "the instance of a log": lambda v: ["logs", "hotel", v],
    "the application of a lock": lambda v: ["unlock", v, "--reason", "x"],
    "a run to stop": lambda v: ["stop", v],
    "a run to resume": lambda v: ["resume", v],
    "a plan": lambda v: ["apply", "--plan", v],
    "an inventory": lambda v: ["plan", "provision", "-i", v],
    "a lab": lambda v: ["lab", "down", "--name", v],
}


@pytest.mark.parametrize("place", COMMANDS)
def test_a_hostile_word_is_refused_before_any_connection(unreached: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    for value in HOSTILE:
        assert refused(*COMMANDS[place](value)) == 2, value
        shown = capsys.readouterr()
        assert "balbook: " in shown.err, value
        assert "Traceback" not in shown.err, value
        assert shown.out == "", value
    assert [p.name for p in unreached.parent.iterdir()] == ["inventory.yaml"]


def test_a_line_break_in_a_reason_is_refused(unreached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("apply", "hot_deploy", "-p", "application=hotel", "-p", "reason=one\ntwo") == 2
    assert "control character" in capsys.readouterr().err


Put = Callable[[dict[str, Any], str], object]
PLACES: dict[str, Put] = {
    "the name of a host": lambda d, v: d["hosts"].update({v: {"address": "h.invalid", "roles": ["app"]}}),
    "an address": lambda d, v: d["hosts"]["app1"].update(address=v),
    "a user": lambda d, v: d["hosts"]["app1"].update(user=v),
    "a jump": lambda d, v: d["hosts"]["app1"].update(jump=v),
    "a role": lambda d, v: d["hosts"]["app1"].update(roles=[v]),
    "a root": lambda d, v: d["hosts"]["app1"].update(root=v),
    "the name of an application": lambda d, v: d["applications"].update({v: d["applications"]["hotel"]}),
    "a package": lambda d, v: d["applications"]["hotel"].update(packages=[v]),
    "an instance's host": lambda d, v: d["applications"]["hotel"]["instances"][0].update(host=v),
    "an instance's port": lambda d, v: d["applications"]["hotel"]["instances"][0].update(port=v),
    "an account": lambda d, v: d["applications"]["hotel"].update(account=v),
    "an OS package": lambda d, v: d["applications"]["hotel"].update(requires={"os_packages": [v]}),
    "the name of a variable": lambda d, v: d["applications"]["hotel"].update(environment={v: "1"}),
    "the name of a balancer": lambda d, v: d["balancers"].update({v: {"host": "lb1"}}),
    "a balancer's folder": lambda d, v: d["balancers"]["public"].update(directory=v),
    "a balancer's kind": lambda d, v: d["balancers"]["public"].update(kind=v),
    "an environment": lambda d, v: d.update(environment=v),
}


HARMLESS = {("a root", "/etc"), ("a balancer's folder", "/etc"), ("a package", "a/b")}


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_word_in_the_inventory_is_refused_with_its_line(unreached: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    for value in HOSTILE:
        if (place, value) in HARMLESS:
            continue
        data = json.loads(json.dumps(INVENTORY))
        PLACES[place](data, value)
        unreached.write_text(yaml.safe_dump(data))
        assert refused("apply", "hot_deploy", "-p", "application=hotel") == 2, value
        assert "inventory.yaml:" in capsys.readouterr().err, value
    assert [p.name for p in unreached.parent.iterdir()] == ["inventory.yaml"]


@pytest.mark.parametrize("where", ["/health; reboot", "/a b", "/a\nb", "health", "/{", '/"', "/$(x)"])
def test_a_hostile_path_of_requests_is_refused(unreached: Path, capsys: pytest.CaptureFixture[str], where: str) -> None:
    data = json.loads(json.dumps(INVENTORY))
    for change in ({"health": {"path": where}}, {"routes": {where: {"timeout_s": 60}}}):
        unreached.write_text(yaml.safe_dump({**data, "applications": {"hotel": {**data["applications"]["hotel"], **change}}}))
        assert refused("apply", "hot_deploy", "-p", "application=hotel") == 2
        assert "inventory.yaml:" in capsys.readouterr().err


def test_a_newer_inventory_is_refused_with_advice(unreached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unreached.write_text(yaml.safe_dump({**INVENTORY, "version": 2}))
    assert refused("apply", "hot_deploy", "-p", "application=hotel") == 2
    told = capsys.readouterr().err
    assert "version" in told
    assert "newer" in told
