"""The whole way on VMs: three packages on a build host become one application behind a balancer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.hotel import printed_json
from tests.vm.machines import Machines

pytestmark = pytest.mark.vm
RUNBOOKS = ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]


def centralized(machines: Machines) -> dict[str, dict[str, Any]]:
    """What each runbook of the pipeline came to; all must have succeeded."""
    shown = machines.balbook("apply", "centralized", "--json", within_s=180)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    runs = printed_json(shown)["runbooks"]
    assert [run["runbook"] for run in runs] == RUNBOOKS
    return {run["runbook"]: run for run in runs}


def test_three_packages_become_an_application_and_a_second_time_changes_nothing(machines: Machines) -> None:
    """How one of them changes, and is replaced under load, the demonstration on VMs shows."""
    first = centralized(machines)
    assert min(first[name]["changes"] for name in RUNBOOKS[2:]) > 0
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
