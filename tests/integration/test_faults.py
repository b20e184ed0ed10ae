"""Bad input is refused before anything is touched; faults of the world leave the old release serving, and are told."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook import lock
from balbook.cli import main
from balbook.errors import Refused
from balbook.lab import faults
from balbook.plan import Upload
from balbook.store import Store
from tests.integration.hotel import ENDS_AT_START, NEVER_HEALTHY, Hotel, events, last

pytestmark = pytest.mark.integration
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


# ------------------------------------------------------------------------------------------ what the world does wrong


def require_old_serves(hotel: Hotel, version: str) -> None:
    assert hotel.running() == dict.fromkeys((i.name for i in hotel.inventory.applications["hotel"].instances), version)


def test_a_release_that_is_never_healthy_costs_no_request_and_goes_back(hotel: Hotel, tmp_path: Path) -> None:
    version = next(iter(hotel.running().values()))
    impatient = hotel.edited(tmp_path / "inventory.yaml", lambda d: d["applications"]["hotel"]["health"].update(within_s=1.5))
    stated, record = hotel.apply(hotel.plan(NEVER_HEALTHY, inventory=impatient, is_measured=True), impatient)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "/health answers 503, not 200" in stated.why
    assert "was taken back to what it was" in stated.why
    measured = last(record, "measured")
    assert measured["sent"] > 200
    assert (measured["failed"], measured["missing_posts"], measured["duplicate_posts"]) == (0, 0, 0)
    second = hotel.inventory.applications["hotel"].instances[1].name
    assert not [e for e in events(record) if e["event"] == "step_started" and second in e["step"]]
    require_old_serves(hotel, version)
    assert hotel.is_nginx_valid()


def test_a_release_that_ends_at_its_start_is_found_out_at_once_with_its_last_words(hotel: Hotel) -> None:
    version = next(iter(hotel.running().values()))
    stated, record = hotel.apply(hotel.plan(ENDS_AT_START))
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "the process" in stated.why
    assert "has ended" in stated.why or "runs -" in stated.why
    failed = next(e for e in events(record) if e["event"] == "step_finished" and e["outcome"] == "failed")
    within_s = hotel.inventory.applications["hotel"].health.within_s
    assert "was not so within" not in failed["tail"], f"it waited {within_s} s for a process that had ended"
    require_old_serves(hotel, version)


@pytest.fixture
def extra_file(hotel: Hotel) -> Iterator[Path]:
    """A file of somebody else's beside balbook's, in the folder that the balancer includes."""
    path = hotel.balancer / "conf.d" / "zz-extra.conf"
    yield path
    path.unlink(missing_ok=True)


def test_an_invalid_configuration_of_the_balancer_leaves_the_old_one_serving(hotel: Hotel, extra_file: Path) -> None:
    version = next(iter(hotel.running().values()))
    plan = hotel.plan(hotel.other())
    extra_file.write_text("no_such_directive on;\n")
    stated, _ = hotel.apply(plan)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert 'unknown directive "no_such_directive"' in stated.why
    assert "zz-extra.conf" in stated.why
    require_old_serves(hotel, version)


def test_a_reload_that_fails_leaves_the_old_configuration_serving(hotel: Hotel, extra_file: Path) -> None:
    version = next(iter(hotel.running().values()))
    plan = hotel.plan(hotel.other())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        extra_file.write_text(f"server {{ listen 127.0.0.1:{port}; }}\n")
        stated, _ = hotel.apply(plan)
        assert (stated.verdict, stated.exit_status) == ("failed", 1)
        assert f"bind() to 127.0.0.1:{port} failed" in stated.why
        assert "previous configuration is back" in stated.why
        require_old_serves(hotel, version)
    extra_file.unlink()
    assert hotel.is_nginx_valid()


def test_the_last_instance_that_serves_is_not_taken_out_of_service(hotel: Hotel) -> None:
    first, second = (i.name for i in hotel.inventory.applications["hotel"].instances)
    plan = hotel.plan(hotel.other())
    version = hotel.running()[first]
    faults.inject("kill", second, environ=hotel.environ)
    stated, record = hotel.apply(plan)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "capacity floor: 0 of the other instances serve, 1 must" in stated.why
    assert f"drain {first}" not in {e["step"] for e in events(record) if e["event"] == "step_started"}
    assert hotel.running() == {first: version}


def test_an_artifact_that_was_changed_in_the_store_is_not_deployed(hotel: Hotel) -> None:
    version, wanted = next(iter(hotel.running().values())), hotel.other()
    artifact = Store(hotel.inventory.resolve(hotel.inventory.artifacts)).find("hotel", wanted)
    content = artifact.path.read_bytes()
    before = hotel.records()
    agreed = hotel.plan(wanted)
    artifact.path.write_bytes(content + b"!")
    try:
        plan = hotel.plan(wanted)
        assert not plan.pending
        (unmet,) = plan.unmet
        assert "sha256 is" in unmet["found"]
        assert artifact.sha256 in unmet["found"]
        with pytest.raises(Refused, match="the artifact is in the store"):
            hotel.apply(plan)
        assert hotel.records() == before
        # It may change after the plan was made, too: what arrives on the host is what counts.
        forced = tuple(replace(s, done=None, actions=tuple(_to_nowhere(a, hotel) for a in s.actions)) for s in agreed.steps[:1])
        stated, _ = hotel.apply(replace(agreed, steps=forced))
        assert (stated.verdict, stated.exit_status) == ("failed", 1)
        assert f"expected {artifact.sha256}" in stated.why
        assert not list(hotel.lab.servers["app1"].home.glob("nowhere*"))
    finally:
        artifact.path.write_bytes(content)
    require_old_serves(hotel, version)


def _to_nowhere(action: Any, hotel: Hotel) -> Any:
    return replace(action, path=str(hotel.lab.servers["app1"].home / "nowhere")) if isinstance(action, Upload) else action


def test_a_lock_is_refused_by_its_holder_and_taken_away_with_a_reason(hotel: Hotel) -> None:
    with hotel.site() as site:
        holder = {"run_id": "feedface", "who": "eve@elsewhere", "since": "2026-01-01T00:00:00.000Z", "reason": "night shift; $(x)"}
        lock.acquire(site.transport, site.lease_place, "feedface", holder)
    stated, _ = hotel.apply(hotel.plan(hotel.other()))
    assert (stated.verdict, stated.exit_status) == ("failed", 2)
    assert "eve@elsewhere since 2026-01-01T00:00:00.000Z (run feedface, reason: night shift; $(x)" in stated.why
    status = hotel.balbook("status", "hotel", "--json")
    assert "eve@elsewhere" in json.loads(status.stdout)["hotel"]["lock"]
    before = hotel.records()
    shown = hotel.balbook("unlock", "hotel", "--reason", "eve has left")
    assert shown.returncode == 0, shown.stderr
    assert "eve@elsewhere" in shown.stdout
    (record,) = hotel.records() - before
    assert last(record, "run_opened")["reason"] == "eve has left"
    assert last(record, "lease_broken")["run_id"] == "feedface"
    with hotel.site() as site:
        assert lock.show(site.transport, site.lease_place) is None
    assert "nobody holds the lock" in hotel.balbook("unlock", "hotel", "--reason", "again").stdout


def test_a_host_that_cannot_be_reached_is_named_and_the_others_are_still_reported(hotel: Hotel, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    hotel.edited(path, lambda d: [d["hosts"][host].update(port=1) for host in ("app1", "lb1")])
    before = hotel.records()
    shown = hotel.balbook("plan", "provision", "-i", str(path), "--json")
    assert shown.returncode == 1, shown.stderr
    (run,) = json.loads(shown.stdout)["runbooks"]
    assert all(f"{host}: 127.0.0.1:1 cannot be reached: Connection refused" in run["why"] for host in ("app1", "lb1"))
    assert "Is the machine up" in run["why"]
    outputs = Path(run["notebook"]).read_text()
    assert all(host in outputs for host in ("build1", "app2", "unreachable"))
    assert hotel.records() - before


# ----------------------------------------------------------------------------------------------- what the user does wrong


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
        ("apply --plan 00000000", "there is no run '00000000'"),
        ("stop 00000000", "there is no run '00000000'"),
        ("resume 00000000", "there is no run '00000000'"),
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
