"""The network between controller, balancer and instances is lost in part, in the middle of an upload or a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.errors import HostUnreachable
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Upload
from balbook.transport import fan_out
from tests.integration.hotel import GOOD, events, last, wait_for
from tests.integration.rollout_lab import Clients
from tests.vm.machines import Machines

pytestmark = pytest.mark.vm
BIG_MB = 200


def upload_of(jar: Path, path: str) -> Upload:
    return Upload(str(jar), sha256_of_file(jar), path, is_privileged=True)


@pytest.fixture(scope="module")
def big(provisioned: Machines) -> str:
    """A release of 200 MB that nothing makes smaller."""
    return provisioned.publish_big("5.0.0", BIG_MB)


def left_half_way(machines: Machines, host: str) -> str:
    return machines.run(host, "find /opt/balbook /tmp -name '*.part*'").stdout


def test_ssh_that_drops_in_the_middle_of_an_upload_ends_the_run_and_the_next_one_begins_anew(machines: Machines, big: str) -> None:
    before = machines.running()
    with Clients(machines.url, rate=20) as clients:
        ending, record = machines.applying(machines.plan(big))
        seen = wait_for(record, "progress", host="app1")
        machines.fault("reject", "app1:22")
        stated, _ = ending.result(timeout=120)
        machines.fault("none", "app1")
    assert 0 < seen["bytes"] < seen["total"], "in the middle"
    assert stated.verdict == "failed"
    assert "app1: the connection was lost" in stated.why
    assert last(record, "apply_finished")["verdict"] == "failed"
    assert machines.running() == before
    assert clients.failed == []
    # The host has not heard that the connection is gone; what it waits for is old, to the next upload.
    machines.run("app1", "find /opt/balbook -name '*.part.*' -exec touch -d '2 minutes ago' {} +")
    stated, record = machines.apply(machines.plan(big))
    assert left_half_way(machines, "app1") == ""
    assert stated.verdict == "succeeded", (stated, record)
    assert set(machines.running().values()) == {big}
    sent = {e["host"] for e in events(record) if e["event"] == "progress"}
    assert "app1" in sent, "in bytes, and from the beginning"
    machines.apply(machines.plan(GOOD[0]))


def test_200_mb_reach_all_hosts_at_once_with_progress_and_are_not_sent_twice(machines: Machines, big: str) -> None:
    upload = upload_of(machines.lab.folder / "jars" / f"{big}.jar", "/opt/balbook/big file")
    hosts = list(machines.inventory.hosts)
    said: dict[str, list[tuple[int, int]]] = {host: [] for host in hosts}
    with machines.transport() as opened:
        first = fan_out(hosts, lambda host: opened.upload(host, upload, lambda *at: said[host].append(at))).require()
        assert first == dict.fromkeys(hosts, True)
        total = Path(upload.source).stat().st_size
        assert total > BIG_MB << 20
        assert {host: steps[-1] for host, steps in said.items()} == dict.fromkeys(hosts, (total, total))
        assert min(len(steps) for steps in said.values()) > 100
        assert fan_out(hosts, lambda host: opened.upload(host, upload)).require() == dict.fromkeys(hosts, False)
    for host in hosts:
        assert machines.run(host, 'sha256sum < "$1"; rm "$1"', upload.path).stdout.split()[0] == upload.sha256


@pytest.mark.parametrize("fault", ["reject", pytest.param("blackhole", marks=pytest.mark.crash)])  # silence takes its 90 s to be judged
def test_ssh_that_drops_in_the_middle_of_a_rollout_is_told_and_the_other_instance_serves(machines: Machines, fault: str) -> None:
    before = machines.running()
    wanted = machines.other()
    with Clients(machines.url, rate=20) as clients:
        ending, record = machines.applying(machines.plan(wanted))
        wait_for(record, "step_started", host="app1", step=next(s.id for s in machines.plan(wanted).steps if s.title.startswith("stop")))
        machines.fault(fault, "app1:22")
        stated, _ = ending.result(timeout=240)
        machines.fault("none", "app1")
    assert stated.verdict == "failed"
    assert "app1:9090 could NOT be taken back; look at this instance now" in stated.why
    assert clients.failed == []
    assert machines.running().get("app2:9090") == before["app2:9090"]
    stated, record = machines.apply(machines.plan(wanted))
    assert stated.verdict == "succeeded", (stated, record)
    assert set(machines.running().values()) == {wanted}


def test_an_instance_that_the_balancer_cannot_reach_is_taken_back_and_nobody_loses_a_request(machines: Machines) -> None:
    before = machines.running()
    with Clients(machines.url, rate=20) as clients:
        machines.fault("reject", "app1:9090", source="lb1")
        stated, record = machines.apply(machines.plan(machines.other()))
        machines.fault("none", "app1")
    assert machines.can_connect("app1", 9090)
    assert stated.verdict == "failed"
    assert "never answered 200 through the balancer" in stated.why or "capacity floor" in stated.why, stated.why
    assert clients.failed == []
    assert set(machines.running().values()) == set(before.values()), record


def test_an_instance_that_only_the_balancer_can_reach_is_replaced_as_any_other(machines: Machines) -> None:
    """Its health is asked on its own host: nothing but SSH need go from here to there."""
    wanted = machines.other()
    machines.fault("blackhole", "app1:9090", source="controller")
    assert not machines.can_connect("app1", 9090)
    with Clients(machines.url, rate=20) as clients:
        stated, record = machines.apply(machines.plan(wanted, is_measured=True))
    machines.fault("none", "app1")
    assert stated.verdict == "succeeded", (stated, record)
    assert clients.failed == []
    assert set(machines.running().values()) == {wanted}


def test_a_host_whose_ssh_is_gone_does_not_hide_the_others(machines: Machines) -> None:
    machines.fault("reject", "app1:22")
    try:
        with machines.transport() as opened:
            outcomes = fan_out(list(machines.inventory.hosts), lambda host: machines_name(opened, host))
    finally:
        machines.fault("none", "app1")
    assert isinstance(outcomes.failed["app1"], HostUnreachable)
    assert outcomes.succeeded == {host: host for host in machines.inventory.hosts if host != "app1"}


def machines_name(opened: object, host: str) -> str:
    from balbook.commands.command import Command

    return str(opened.execute(host, Command(("hostname",))).stdout.strip())  # type: ignore[attr-defined]
