"""Twenty machines: the same runbooks in batches, outcomes by host, and one dead host that neither hides nor holds up the others."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from balbook import procedures
from balbook.errors import HostUnreachable
from balbook.lab import fleet, vm
from balbook.transport.login import CONNECT_S
from tests.integration.hotel import GOOD
from tests.integration.rollout_lab import JAVA_OPTIONS
from tests.vm.machines import BRISK, Machines
from tests.vm.watches import watches_for

pytestmark = [pytest.mark.vm, pytest.mark.load, pytest.mark.crash]
NAME, COUNT, AT_ONCE = "twenty", 20, 6
DEAD = "app7"


@pytest.fixture(scope="module")
def twenty(vm_environ: dict[str, str]) -> Iterator[Machines]:
    """A build host, 18 instances and a balancer, provisioned. The kernel's limit that stands against it is raised meanwhile."""
    with watches_for(COUNT):
        try:
            lab = vm.up(NAME, fleet.machines(COUNT), environ=vm_environ, say=lambda line: print(line, file=sys.stderr))
            machines = Machines(lab, vm_environ)  # type: ignore[arg-type]  # what it asks of a lab, one of VMs has too
            usual = {**BRISK, "routes": {"/": {"timeout_s": 60}}, "java_options": JAVA_OPTIONS, "capacity_floor": COUNT - 2 - 1 - AT_ONCE}
            machines.edited(lab.inventory, lambda data: data["applications"]["hotel"].update(usual))
            machines.publish()
            machines.provision()
            yield machines
        finally:
            vm.down(NAME, environ=vm_environ)


def test_18_instances_are_deployed_in_batches_and_replaced_while_one_host_is_dead(twenty: Machines) -> None:
    stated, record = twenty.apply(twenty.plan(GOOD[0], serial=AT_ONCE))
    assert stated.verdict == "succeeded", (stated, record)
    running = twenty.running()
    assert len(running) == COUNT - 2
    assert set(running.values()) == {GOOD[0]}
    assert not twenty.plan(GOOD[0], serial=AT_ONCE).pending

    twenty.fault("blackhole", f"{DEAD}:22")
    try:
        with twenty.site() as site:
            began = time.monotonic()
            table = procedures.procedure("provision").preflight(site)
            took_s = time.monotonic() - began
        rows = {str(row[0]): str(row[1]) for row in table.rows}
        assert list(rows) == list(twenty.inventory.hosts), "outcomes by host"
        assert {host for host, said in rows.items() if said == "unreachable"} == {DEAD}
        assert took_s < 2 * CONNECT_S, "its deadline, and no more"
        with pytest.raises(HostUnreachable, match=DEAD):
            twenty.plan(GOOD[1], serial=AT_ONCE)

        def without_it(data: dict[str, object]) -> None:
            hotel = data["applications"]["hotel"]  # type: ignore[index]
            hotel["instances"] = [i for i in hotel["instances"] if i["host"] != DEAD]

        changed = twenty.edited(twenty.lab.folder / "without.yaml", without_it)
        stated, record = twenty.apply(twenty.plan(GOOD[1], inventory=changed, serial=AT_ONCE), changed)
        assert stated.verdict == "succeeded", (stated, record)
    finally:
        twenty.fault("none", DEAD)
    served = {name: GOOD[1] for name in running if not name.startswith(f"{DEAD}:")}
    assert twenty.running() == served, "the balancer sends nobody to the one that was left out"
