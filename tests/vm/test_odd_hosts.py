"""Hosts that are unlike others: each kind is as it says, and is deployed to as others, or refused for what is wrong with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from balbook.commands.command import Command
from balbook.errors import BadInput, HostKeyError
from balbook.lab import vm, vm_odd
from balbook.local.lab_place import lab_folder
from balbook.transport import fan_out
from tests.integration.hotel import GOOD, last, until
from tests.integration.rollout_lab import Clients
from tests.vm.machines import BRISK, Machines

pytestmark = pytest.mark.vm
NAME = "odd"
HOSTS = ("app1", "app2", "app3", "app4", "app5", "lb1")
ODD = (
    "app1:banner",
    "app1:noexec",
    "app1:port",
    "app1:shell",
    "app2:locale",
    "app2:small-home",
    "app3:clock",
    "app4:jump",
    "app5:host-key",
)
HOME = "/home/ops/balbook"


@pytest.fixture(scope="module")
def odd(vm_environ: dict[str, str]) -> Iterator[Machines]:
    """All kinds of odd hosts in one lab; app2's root is its small home, app4's instance is supervised by balbook itself."""
    lab = vm.up(NAME, HOSTS, odd=ODD, environ=vm_environ, say=lambda line: print(line, file=sys.stderr))
    try:
        machines = Machines(lab, vm_environ)  # type: ignore[arg-type]  # what it asks of a lab, one of VMs has too

        def change(data: dict[str, object]) -> None:
            data["applications"]["hotel"] |= {**BRISK, "routes": {"/": {"timeout_s": 10}}}  # type: ignore[index]
            data["applications"]["hotel"]["requires"]["disk_mb"] = 4  # type: ignore[index]
            data["hosts"]["app2"]["root"] = HOME  # type: ignore[index]
            data["hosts"]["app4"] |= {"supervisor": "process"}  # type: ignore[index]

        machines.edited(lab.inventory, change)
        machines.publish()
        yield machines
    finally:
        vm.down(NAME, environ=vm_environ)


@pytest.fixture(scope="module")
def deployed(odd: Machines) -> Machines:
    """A good release on all but the host whose clock is off, and the one that is not known to be itself."""
    path = odd.lab.folder / "inventory.yaml"

    def change(data: dict[str, object]) -> None:
        hotel = data["applications"]["hotel"]  # type: ignore[index]
        hotel["instances"] = [i for i in hotel["instances"] if i["host"] not in ("app3", "app5")]

    plan = odd.provision_plan(hosts=["app1", "app2", "app3", "app4", "lb1"])
    assert [row.what for row in plan.unmet] == ["app3: clock within 5 s of this machine's"]
    odd.edited(path, change)
    plan = odd.provision_plan(hosts=["app1", "app2", "app4", "lb1"])
    stated, record = odd.apply(plan)
    assert stated.verdict == "succeeded", (stated, record)
    stated, record = odd.apply(odd.plan(GOOD[0]))
    assert stated.verdict == "succeeded", (stated, record)
    return odd


def test_each_is_odd_in_its_way(odd: Machines) -> None:
    def said(host: str, *argv: str) -> str:
        result = odd.execute(host, *argv)
        return result.stdout + result.stderr

    assert odd.inventory.hosts["app1"].port == vm_odd.PORT
    assert not odd.can_connect("app1", 22)
    assert said("app1", "sh", "-c", 'getent passwd "$(id -un)"').splitlines()[-1].endswith(vm_odd.SHELL)
    assert said("app1", "echo", "hello") == "hello\n"
    words = ["two\nlines", "!", "\\n", "it's", "$HOME"]
    with odd.transport() as opened:
        counted = opened.execute("app1", Command(("sh", "-c", 'printf "%s|" "$@"; cat', "said", *words), stdin=("and an input",)))
    assert counted.stdout == "".join(f"{word}|" for word in words) + "and an input"
    script = "cp /bin/true /tmp/true && /tmp/true"
    assert odd.execute("app1", "sh", "-c", script).status != 0
    assert odd.execute("app2", "sh", "-c", script).status == 0
    assert "Datei oder Verzeichnis nicht gefunden" in said("app2", "ls", "/no-such-file")
    assert int(said("app2", "df", "-m", "--output=size", "/home/ops").split()[-1]) == vm_odd.HOME_MB
    off_s = float(said("app3", "date", "+%s")) - time.time()
    assert abs(off_s - 3600) < 60
    assert not odd.can_connect("app4", 22)
    assert said("app4", "hostname").strip() == "app4"


def test_a_clock_that_is_an_hour_fast_is_seen(odd: Machines) -> None:
    found = {row.what: row for row in odd.provision_plan(hosts=["app2", "app3"]).preconditions}
    assert found["app2: clock within 5 s of this machine's"].state == "met"
    clock = found["app3: clock within 5 s of this machine's"]
    assert clock.said == "unmet"
    assert 3590 < int(clock.found.removesuffix(" s")) < 3610
    shown = odd.balbook("apply", "provision", "-i", str(odd.lab.inventory), "-p", "hosts=app3")
    assert shown.returncode != 0
    assert "app3: clock within 5 s" in shown.stdout + shown.stderr
    assert odd.execute("app3", "test", "-e", "/opt/balbook/hotel").status != 0, "nothing was touched"


def test_a_host_with_another_key_than_was_known_is_refused_and_the_others_answer(odd: Machines) -> None:
    shown = odd.balbook("plan", "provision", "-i", str(odd.lab.inventory), "-p", "hosts=app5")
    assert shown.returncode == 1
    said = shown.stdout + shown.stderr
    assert "app5: its host key has changed: expected SHA256:" in said
    assert "ssh-keygen -R" in said
    with odd.transport() as opened:
        outcomes = fan_out(["app4", "app5", "lb1"], lambda host: opened.execute(host, Command(("hostname",))).stdout.strip())
    assert outcomes.succeeded == {"app4": "app4", "lb1": "lb1"}
    assert isinstance(outcomes.failed["app5"], HostKeyError)


def test_all_others_are_deployed_to_and_a_second_time_changes_nothing(deployed: Machines) -> None:
    wanted = deployed.other()
    with Clients(deployed.url, rate=20) as clients:
        stated, record = deployed.apply(deployed.plan(wanted))
    assert stated.verdict == "succeeded", (stated, record)
    assert clients.failed == []
    assert deployed.running() == dict.fromkeys(("app1:9090", "app2:9090", "app4:9090"), wanted)
    assert not deployed.plan(wanted).pending
    assert not deployed.provision_plan(hosts=["app1", "app2", "app4", "lb1"]).pending


def test_balbooks_own_supervision_works_with_sudo_too_and_runs_the_instance_as_the_login(deployed: Machines) -> None:
    pid = deployed.run("app4", "cut -d' ' -f1 /opt/balbook/hotel/instances/9090/pid").stdout.strip()
    assert deployed.execute("app4", "stat", "-c", "%U", f"/proc/{pid}").stdout.strip() == "ops"
    assert deployed.execute("app4", "systemctl", "cat", "balbook-hotel@9090").status != 0, "there is no unit"
    shown = deployed.balbook("logs", "hotel", "app4:9090", "-i", str(deployed.lab.inventory), "--lines", "2")
    assert shown.returncode == 0, shown.stderr


def test_a_home_that_is_too_small_refuses_a_release_and_the_old_one_serves(deployed: Machines) -> None:
    before = deployed.running()
    big = deployed.publish_big("5.0.0", 2 * vm_odd.HOME_MB)
    with Clients(deployed.url, rate=20) as clients:
        stated, record = deployed.apply(deployed.plan(big))
    assert stated.verdict == "failed"
    assert "app2:" in stated.why
    assert "Auf dem Gerät ist kein Speicherplatz mehr verfügbar" in stated.why or "No space left" in stated.why
    assert last(record, "apply_finished")["verdict"] == "failed"
    assert clients.failed == []
    assert deployed.running() == before
    assert deployed.run("app2", 'find "$1" -name "*.part*"', HOME).stdout == ""
    assert int(deployed.execute("app2", "df", "-m", "--output=avail", "/home/ops").stdout.split()[-1]) > vm_odd.HOME_MB // 2


def test_a_host_is_as_odd_after_it_was_off(odd: Machines) -> None:
    odd.run("app1", "nohup sh -c 'sleep 0.2; systemctl poweroff' >/dev/null 2>&1 &")
    until(lambda: not {e.name: e.is_alive for e in vm.status(NAME, environ=odd.environ).hosts}["app1"], 30, "app1 goes off")
    vm.up(NAME, HOSTS, environ=odd.environ)
    greeted = odd.execute("app1", vm_odd.SHELL, "-c", 'echo "$tcsh"').stdout.splitlines()
    assert greeted[0] == "Welcome to an odd host"
    assert greeted[1].startswith("6."), "tcsh says its version"
    assert odd.execute("app1", "sh", "-c", "cp /bin/true /tmp/true && /tmp/true").status != 0


@pytest.mark.parametrize(
    ("word", "message"),
    [("app9:clock", "no host 'app9'"), ("app1:colour", "'colour' is not a known kind"), ("app1", "'' is not a known kind")],
)
def test_a_kind_or_host_that_there_is_not_is_refused_before_anything_is_made(vm_environ: dict[str, str], word: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        vm.up("never", HOSTS, odd=[word], environ=vm_environ)
    assert not lab_folder("never", vm_environ).exists()
