"""One lab of four VMs with the hotel sample for all tests of a session; only as root on Linux, elsewhere skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.lab import vm, vm_needs
from balbook.local.lab_place import VARIABLE
from tests.integration.hotel import ROOT, command_environment
from tests.vm.machines import BRISK, Machines


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labs home of these tests; its base image stays for the next ones."""
    labs, kept = tmp_path_factory.mktemp("labs"), ROOT / ".cache" / "vm"
    kept.mkdir(parents=True, exist_ok=True)
    (labs / vm_needs.BASE).symlink_to(kept)
    return labs


@pytest.fixture(scope="session")
def vm_environ(labs: Path) -> dict[str, str]:
    """The environment of commands on these labs; skips where this machine cannot have such labs."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("VMs need root on Linux")
    environ = command_environment(labs)
    try:
        vm_needs.require_machine(labs, 4, environ)
    except BadInput as exc:
        pytest.skip(f"this machine cannot have VMs: {exc.message}")
    return environ


@pytest.fixture(scope="session")
def provisioned(vm_environ: dict[str, str]) -> Iterator[Machines]:
    """The lab, provisioned, with version 1.0.0 of the hotel on both instances."""
    lab = vm.up("default", environ=vm_environ, say=lambda line: print(line, file=sys.stderr))
    try:
        machines = Machines(lab, vm_environ)  # type: ignore[arg-type]  # what it asks of a lab, one of VMs has too
        machines.edited(lab.inventory, lambda data: data["applications"]["hotel"].update(BRISK))
        machines.publish()
        machines.provision()
        machines.make_whole()
        yield machines
    finally:
        vm.down("default", environ={**os.environ, VARIABLE: vm_environ[VARIABLE]})


@pytest.fixture
def machines(provisioned: Machines) -> Machines:
    """The lab with both instances serving one good release, before the test; the next test mends what this one leaves."""
    provisioned.make_whole()
    return provisioned
