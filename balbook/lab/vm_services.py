"""What a lab of VMs serves to its hosts: packages of the operating system, and what the build host needs of Ballerina's world.

Both are processes of this machine in the lab's own network, beside its bridge, so that no firewall or port of this machine takes
part; and in a control group of the lab's, by which they are found and ended with everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from balbook.lab import apt, fleet, supplies, vm_host, vm_network
from balbook.lab.supplies import Supplies
from balbook.local.processes import MARKER, identity

CENTRAL, PACKAGES = fleet.CENTRAL_PORT.partition(".")[0], "packages"
PORTS = {CENTRAL: 8090, PACKAGES: 8080}
"""In a network of the lab's own, all ports are free."""
BESIDE = """for group in $1; do echo $$ > "$group/cgroup.procs" || exit 1; done
space=$2
shift 2
exec nsenter --net="$space" -- "$@"
"""


def address(addresses: Mapping[str, str]) -> str:
    """Where the lab's hosts find what it serves."""
    return str(vm_network.network_of(addresses)[vm_network.SERVICES])


def names(hosts: Sequence[str]) -> list[str]:
    """What a lab of these hosts serves."""
    return [PACKAGES, *([CENTRAL] if _has_build(hosts) else [])]


def ports(hosts: Sequence[str]) -> dict[str, int]:
    """The port of each service that a lab of these hosts has, as its state names them."""
    return {f"{name}.http": PORTS[name] for name in names(hosts)}


def supplies_of(lab: Path, addresses: Mapping[str, str]) -> Supplies | None:
    """What its build host needs; None where it has none."""
    return Supplies(lab, PORTS[CENTRAL], address(addresses), has_library=True) if _has_build(list(addresses)) else None


def packages_url(addresses: Mapping[str, str]) -> str:
    """The lab's repository of packages, as hosts reach it."""
    return f"http://{address(addresses)}:{PORTS[PACKAGES]}"


def prepare(lab: Path, addresses: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Writes all that is served; starts nothing."""
    apt.write_repository(lab / PACKAGES, apt.SAMPLE)
    if found := supplies_of(lab, addresses):
        supplies.prepare(found, environ)


def start(name: str, lab: Path, addresses: Mapping[str, str]) -> tuple[int, str]:
    """Starts one service and waits until it answers; pid and identity of its process. Raises Failed with its log's end."""
    way = _beside(vm_network.word_of(lab), name)
    if name == CENTRAL:
        found = supplies_of(lab, addresses)
        assert found is not None
        return supplies.start_central(found, way)
    argv = [*way, sys.executable, "-m", "http.server", str(PORTS[name]), "--bind", address(addresses), "--directory", str(lab / name)]
    with (lab / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env={**os.environ, MARKER: str(lab)}, start_new_session=True
        )
    born = identity(process.pid)
    supplies.wait_until_listening(process.pid, born, (address(addresses), PORTS[name]), lab / f"{name}.log")
    return process.pid, born


def _beside(word: str, name: str) -> list[str]:
    """What an argv begins with that runs in the lab's network and in a control group of its own."""
    groups = [tree / f"{word}-{name}" for tree in vm_host.hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return ["sh", "-c", BESIDE, "beside", " ".join(map(str, groups)), str(vm_network.NAMESPACES / word)]


def _has_build(hosts: Sequence[str]) -> bool:
    return any(fleet.role(host) == "build" for host in hosts)
