"""Provision and deploy as on production VMs: sudo, systemd, the distribution's NGINX."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from balbook.errors import CommandFailed, HostKeyError
from balbook.probe.client import ProbeProcess
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.judge import Findings
from tests.integration.hotel import last, printed_json, until
from tests.integration.rollout_lab import Clients
from tests.vm.machines import Machines

pytestmark = pytest.mark.vm
measured = pytest.mark.load
"""Judged by requests that an overloaded machine would lose: such tests run alone."""
UNIT = "balbook-hotel@9090.service"
STOOD_STILL_MS = 100
"""A probe that sends later than this says more about the machine than about the application: it is measured again, twice at most."""


@measured
def test_a_release_is_replaced_under_load_without_a_failed_request_and_a_second_apply_changes_nothing(machines: Machines) -> None:
    wanted = machines.other()
    shown = machines.balbook("apply", "hot_deploy", "-p", "application=hotel", "-p", f"release={wanted}", "--json", within_s=120)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    (run,) = printed_json(shown)["runbooks"]
    measured = run["measurements"]
    assert run["changes"] > 0
    assert measured["failed"] == 0
    assert measured["sent"] > 500
    assert measured["acknowledged_posts"] > 100
    assert (measured["missing_posts"], measured["duplicate_posts"]) == (0, 0), "read from the journals of the hosts"
    assert set(machines.running().values()) == {wanted}
    again = machines.plan(wanted, is_measured=True)
    assert not again.pending
    assert not machines.provision_plan().pending


def test_every_precondition_is_met_once_the_hosts_are_provisioned(machines: Machines) -> None:
    assert {p.said for p in machines.provision_plan().preconditions} == {"met"}
    assert {p.said for p in machines.plan(machines.other()).preconditions} == {"met"}


def test_the_unit_is_confined(machines: Machines) -> None:
    shown = machines.run("app1", 'systemd-analyze security --no-pager "$1"', UNIT).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert found
    assert float(found[1]) <= 2.5
    assert machines.run("app1", 'systemctl show --property=User --value "$1"', UNIT).stdout.strip() == "hotel"
    assert machines.run("app1", "getent passwd hotel | cut -d: -f7").stdout.strip() == "/usr/sbin/nologin"


def test_only_what_should_listen_does(machines: Machines) -> None:
    def listening(host: str) -> set[tuple[str, str]]:
        lines = machines.run(host, "ss -ltnpH").stdout.splitlines()
        return {(line.split()[3].rpartition(":")[2], (re.search(r'"(.+?)"', line) or [""] * 2)[1]) for line in lines}

    assert listening("app1") == {("22", "sshd"), ("9090", "java")}
    assert listening("lb1") == {("22", "sshd"), ("80", "nginx"), ("8099", "nginx")}


def test_what_lies_on_a_host_is_roots_and_the_configuration_the_accounts_alone(machines: Machines) -> None:
    shown = machines.run("app1", "find /opt/balbook -printf '%u %m %y %P\\n'").stdout
    rows = [line.split(" ", 3) for line in shown.splitlines()]
    theirs = {path.rpartition("/")[2]: mode for owner, mode, kind, path in rows if owner == "hotel"}
    assert theirs == dict.fromkeys(("Config.toml", "environment", "java_options", "limits"), "600")
    assert {owner for owner, *_ in rows} == {"root", "hotel"}
    assert {mode for _, mode, kind, _ in rows if kind == "d"} == {"755"}
    assert {mode for *_, mode, _, path in rows if path.endswith("/REVISION")} == {"600"}
    assert machines.execute("app1", "cat", "/opt/balbook/hotel/instances/9090/current/9090/Config.toml").status != 0


def test_the_distributions_nginx_is_untouched_but_for_one_file(machines: Machines) -> None:
    changed = machines.run("lb1", "dpkg --verify nginx nginx-common | grep -v /usr/share/ || true").stdout
    assert changed == "", "the image has no documentation; all else is as the packages have it"
    added = machines.run("lb1", "ls /etc/nginx/conf.d /etc/nginx/sites-enabled").stdout.split()
    assert [name for name in added if name.endswith(".conf")] == ["balbook-hotel.conf"]
    assert "default" in added


@measured
@pytest.mark.parametrize("strategy", ["active_active_checked", "active_passive"])
def test_the_distributions_haproxy_serves_as_well(machines: Machines, tmp_path: Path, strategy: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["balancers"]["public"] |= {"kind": "haproxy", "listen": 8080, "generation_port": 8098}
        data["applications"]["hotel"]["strategy"] = strategy

    changed = machines.edited(tmp_path / "inventory.yaml", change)
    wanted = machines.other()
    try:
        assert [p.said for p in machines.plan(wanted, inventory=changed).unmet] == ["met by runbook provision"]
        stated, record = machines.apply(machines.provision_plan(changed), changed)
        assert stated.verdict == "succeeded", (stated, record)
        stated, record = machines.apply(machines.plan(wanted, inventory=changed, is_measured=True), changed)
        assert stated.verdict == "succeeded", (stated, record)
        assert last(record, "measured")["failed"] == 0
        assert not machines.plan(wanted, inventory=changed).pending
        assert not machines.provision_plan(changed).pending
    finally:
        machines.run("lb1", "systemctl disable --quiet --now haproxy")


def test_who_stands_by_takes_over_from_an_instance_that_is_cut_off(machines: Machines, tmp_path: Path) -> None:
    standby = machines.edited(tmp_path / "inventory.yaml", lambda data: data["applications"]["hotel"].update(strategy="active_passive"))
    wanted = machines.other()
    active, passive = (f"{machines.address(host)}:9090" for host in ("app1", "app2"))
    try:
        stated, record = machines.apply(machines.plan(wanted, inventory=standby, is_measured=True), standby)
        assert stated.verdict == "succeeded", (stated, record)
        assert last(record, "measured")["failed"] == 0
        assert machines.answering() == {active}
        with Clients(machines.url, rate=50) as clients:
            machines.fault("blackhole", "app1:9090")
            until(lambda: machines.answering() == {passive}, what="the one that stands by answers alone")
            machines.fault("none", "app1")
            until(lambda: machines.answering() == {active}, what="the failback")
        assert clients.failed == []
    finally:
        machines.fault("none", "app1")
        stated, record = machines.apply(machines.plan(wanted))
        assert stated.verdict == "succeeded", (stated, record)


def test_logs_come_from_the_journal(machines: Machines) -> None:
    shown = machines.balbook("logs", "hotel", "app1:9090", "--lines", "2")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("== app1:9090 ==")
    assert len(shown.stdout.splitlines()) == 3


def test_a_release_that_ends_at_its_start_is_taken_back_and_its_last_words_are_shown(machines: Machines) -> None:
    before = machines.running()
    stated, record = machines.apply(machines.plan("4.0.0"))
    assert stated.verdict == "failed"
    assert "has ended" in stated.why
    assert machines.running() == before
    assert last(record, "apply_finished")["verdict"] == "failed"


def test_after_a_reboot_of_a_host_its_instance_serves_the_current_release(machines: Machines) -> None:
    before = machines.running()
    machines.reboot("app1")
    until(lambda: machines.running() == before, 60, "both instances in service")
    assert not machines.plan(next(iter(before.values()))).pending


def test_after_a_reboot_of_the_balancers_host_it_serves_and_leaves_out_who_was_drained(machines: Machines) -> None:
    before = machines.running()
    assert machines.balbook("drain", "hotel", "app2:9090", "--reason", "its disk is changed").returncode == 0
    try:
        machines.reboot("lb1")
        until(lambda: machines.answering() == {f"{machines.address('app1')}:9090"}, what="the other instance alone")
    finally:
        assert machines.balbook("readmit", "hotel", "app2:9090", "--reason", "it has a new disk").returncode == 0
    assert machines.running() == before


def test_an_instance_that_crashes_is_started_again_by_systemd(machines: Machines) -> None:
    before = machines.running()
    machines.run("app2", 'systemctl kill --signal=SIGKILL "$1"', UNIT)
    until(lambda: machines.run("app2", 'systemctl show --property=NRestarts --value "$1"', UNIT).stdout.strip() != "0", 20)
    until(lambda: machines.running() == before, 30, "both instances in service")
    assert not machines.plan(next(iter(before.values()))).pending


@measured
def test_a_blackholed_instance_costs_clients_no_request(machines: Machines, tmp_path: Path) -> None:
    for attempt in range(3):
        machines.make_whole()
        found = probed_while_blackholed(machines, tmp_path / str(attempt))
        print(f"{found.sent} sent, lag at most {found.lag_max_ms} ms, {found.failed_by_kind}, {found.latency['all']}")
        if found.lag_max_ms <= STOOD_STILL_MS:
            break
    assert found.lag_max_ms <= STOOD_STILL_MS, "the machine stood still in each of three tries"
    assert found.sent > 1000
    assert found.failed == 0, found.failed_by_kind
    assert found.latency["all"].max_ms is not None
    assert found.latency["all"].max_ms <= 1500


def probed_while_blackholed(machines: Machines, out_dir: Path) -> Findings:
    """200 GETs a second on fresh connections, five seconds of them while the packets for app1 are dropped."""
    address = urlsplit(machines.url)
    config = ProbeConfig(str(address.hostname), address.port or 80, str(out_dir), (Stream(path=address.path or "/"),), rate=200)
    with ProbeProcess(config) as probe:
        until(lambda: probe.progress()["sent"] >= 200)
        machines.fault("blackhole", "app1:9090")
        try:
            until(lambda: probe.progress()["sent"] >= 1200)
        finally:
            machines.fault("none", "app1")
        return probe.stop()


@measured
def test_a_drill_drops_the_packets_of_an_instance_and_ends_that(machines: Machines) -> None:
    """The image has no iptables: nft does it."""
    words = ("-p", "application=hotel", "-p", "fault=blackhole", "-p", "rate=100", "-p", "seconds=10")
    shown = machines.balbook("apply", "failover_drill", *words, "--json", within_s=150)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for host in ("app1", "app2"):
        assert machines.run(host, "nft list tables").stdout == ""
        assert machines.can_connect(host, 9090)


@pytest.mark.parametrize("fault", ["reject", "loss"])
def test_other_network_faults_cost_clients_no_request_either(machines: Machines, fault: str) -> None:
    with Clients(machines.url, rate=50) as clients:
        machines.fault(fault, "app2:9090")
        time.sleep(2)
        machines.fault("none", "app2")
    assert clients.sent > 50
    assert clients.failed == []


def test_a_controller_that_is_cut_off_from_a_host_says_so_while_clients_are_served(machines: Machines) -> None:
    machines.fault("reject", "app1:22")
    with Clients(machines.url, rate=50) as clients:
        shown = machines.balbook("plan", "hot_deploy", "-p", "application=hotel", "--json")
    machines.fault("none", "app1")
    assert shown.returncode != 0
    assert f"app1: {machines.address('app1')}:22 cannot be reached" in printed_json(shown)["runbooks"][0]["why"]
    assert clients.sent > 20
    assert clients.failed == []


def test_a_firewall_is_opened_for_the_application_and_stays_so_after_a_reboot(machines: Machines) -> None:
    """The host's own rules drop all but SSH; what balbook adds is a file of its own."""
    rules = """table inet filter {
      chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ct state established,related accept
        tcp dport 22 accept
      }
    }"""
    strict = (
        'cp -p /etc/nftables.conf /root/kept.nft; printf "%s\\n" "flush ruleset" "$1" > /etc/nftables.conf; systemctl enable --now nftables'
    )
    before = machines.running()
    machines.run("app2", strict, rules)
    try:
        assert not machines.can_connect("app2", 9090)
        (step,) = machines.provision_plan().pending
        assert step.id == "firewall app2"
        machines.provision()
        assert machines.can_connect("app2", 9090)
        assert not machines.provision_plan().pending
        machines.reboot("app2")
        until(lambda: machines.running() == before, 60, "both instances in service")
        machines.run("app2", "systemctl reload nftables")
        assert machines.can_connect("app2", 9090)
    finally:
        machines.run(
            "app2",
            "systemctl disable --now nftables; nft flush ruleset; mv /root/kept.nft /etc/nftables.conf; rm -f /etc/balbook-firewall.nft",
        )
    assert not machines.provision_plan().pending, "without an active firewall there is nothing to open"


def test_sudo_may_ask_for_a_password_which_is_written_nowhere(machines: Machines, tmp_path: Path) -> None:
    password = "a pass'word $(not run)"
    asking = 'printf "ops:%s\\n" "$1" | chpasswd; echo "ops ALL=(ALL) ALL" > /etc/sudoers.d/ops'
    (tmp_path / "password").write_text(password + "\n")
    (tmp_path / "password").chmod(0o600)
    wanted = machines.other()
    machines.run("app1", asking, password)
    reference = f"file:{tmp_path}/password"
    changed = machines.edited(tmp_path / "inventory.yaml", lambda data: data["hosts"]["app1"].update(become_password=reference))
    try:
        with pytest.raises(CommandFailed, match="a password is required"):
            machines.run("app1", "true")
        stated, record = machines.apply(machines.plan(wanted, inventory=changed), changed)
        assert stated.verdict == "succeeded", (stated, record)
        assert machines.run("app1", "cat", inventory=changed).stdout == "", "nothing of it reaches a command"
        written = [path for path in record.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
        assert written == []
    finally:
        usual = 'echo "ops ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/ops; usermod --password "*" ops'
        machines.run("app1", usual, inventory=changed)


def test_hosts_are_reached_through_a_jump_host(machines: Machines, tmp_path: Path) -> None:
    gateway = machines.address("app1").rpartition(".")[0] + ".1"
    machines.inside(
        "app1",
        "nft",
        "-f",
        "-",
        given=f"table inet only_by_jump {{ chain c {{ type filter hook input priority 0; ip saddr {gateway} drop; }}; }}",
    )
    try:
        changed = machines.edited(tmp_path / "inventory.yaml", lambda data: data["hosts"]["app1"].update(jump="lb1"))
        assert machines.execute("app1", "hostname", inventory=changed).stdout.strip() == "app1"
    finally:
        machines.inside("app1", "nft", "delete", "table", "inet", "only_by_jump")


def test_odd_hosts_are_deployed_to_as_others(machines: Machines, tmp_path: Path) -> None:
    """Another port, a login shell that is not bash and prints a banner, and a /tmp that nothing can be run from."""
    odd = """set -eu
    printf '#!/bin/sh\\necho "Welcome to an odd host"\\nexec /bin/sh "$@"\\n' > /usr/local/bin/odd-shell
    chmod 755 /usr/local/bin/odd-shell
    usermod --shell /usr/local/bin/odd-shell ops
    mount -t tmpfs -o noexec tmpfs /tmp
    printf 'Port 22\\nPort 2222\\n' > /etc/ssh/sshd_config.d/odd.conf
    systemctl restart ssh"""
    usual = """umount -l /tmp; usermod --shell /bin/bash ops; rm /etc/ssh/sshd_config.d/odd.conf; systemctl restart ssh"""
    machines.run("app2", odd)
    address = machines.address("app2")
    known = (machines.lab.folder / "known_hosts").read_text()
    (tmp_path / "known_hosts").write_text(known + known.replace(f"{address} ", f"[{address}]:2222 "))
    try:
        changes = {"port": 2222, "known_hosts": str(tmp_path / "known_hosts")}
        changed = machines.edited(tmp_path / "inventory.yaml", lambda data: data["hosts"]["app2"].update(changes))
        wanted = machines.other()
        stated, record = machines.apply(machines.plan(wanted, inventory=changed), changed)
        assert stated.verdict == "succeeded", (stated, record)
        assert not machines.plan(wanted, inventory=changed).pending
    finally:
        machines.run("app2", usual)


def test_a_host_whose_key_has_changed_is_refused(machines: Machines) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    machines.run("build1", f"cp -p {key} {key}.kept; rm {key}; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh")
    try:
        with pytest.raises(HostKeyError, match="has changed"):
            machines.execute("build1", "true")
    finally:
        root = machines.lab.machines["build1"].root  # type: ignore[attr-defined]
        (root / f"{key}.kept".lstrip("/")).replace(root / key.lstrip("/"))
        machines.in_host("build1", "systemctl", "restart", "ssh")
    assert machines.execute("build1", "true").status == 0
