"""The whole way on VMs: three packages on a build host become one application behind a balancer, twice."""

from __future__ import annotations

import os
from typing import Any

import pytest

from balbook.lab.supplies import raise_version
from tests.integration.hotel import printed_json
from tests.vm.machines import Machines

pytestmark = pytest.mark.vm
RUNBOOKS = ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]
RATES = ("rate: 80.00", "rate: 95.00")


def centralized(machines: Machines) -> dict[str, dict[str, Any]]:
    """What each runbook of the pipeline came to; all must have succeeded."""
    shown = machines.balbook("apply", "centralized", "--json", within_s=180)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    runs = printed_json(shown)["runbooks"]
    assert [run["runbook"] for run in runs] == RUNBOOKS
    return {run["runbook"]: run for run in runs}


@pytest.mark.load
def test_three_packages_become_an_application_that_is_replaced_under_load_when_one_changes(machines: Machines) -> None:
    first = centralized(machines)
    assert min(first[name]["changes"] for name in RUNBOOKS[2:]) > 0
    raise_version(machines.lab.folder / "repositories", "rooms", "0.2.0", RATES, os.environ)
    second = centralized(machines)
    assert [second[name]["changes"] for name in ("provision", "install")] == [0, 0]
    assert second["build"]["changes"] == 1
    measured = second["hot_deploy"]["measurements"]
    assert measured["failed"] == 0
    assert measured["sent"] > 500
    assert measured["acknowledged_posts"] > 100
    assert (measured["missing_posts"], measured["duplicate_posts"]) == (0, 0)
    assert len(measured["releases"]) == 2, "both releases answered meanwhile"
    again = centralized(machines)
    assert {name: run["changes"] for name, run in again.items()} == dict.fromkeys(RUNBOOKS, 0)


def test_packages_of_the_operating_system_come_from_the_labs_repository(machines: Machines) -> None:
    driver = "cat /usr/share/lab-database-driver/driver.conf; dpkg-query -W -f '${Version}' lab-database-common"
    assert machines.run("app1", driver).stdout == "protocol = lab\n1.0.3", "what it depends on came along"
    assert machines.run("build1", "dpkg-query -W lab-database-driver || echo none").stdout.strip() == "none"
    machines.run("app2", "apt-get remove -q -y lab-database-driver")
    plan = machines.provision_plan()
    assert [step.id for step in plan.pending] == ["packages app2"]
    stated, record = machines.apply(plan)
    assert stated.verdict == "succeeded", (stated, record)
    assert not machines.provision_plan().pending
