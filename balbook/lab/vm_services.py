"""The services of a lab of VMs: packages of the operating system, and Ballerina's distribution and Central for the build host.

Both are processes of this machine in the lab's own network, beside its bridge, so that no firewall or port of this machine takes
part; and in a control group of the lab's, so that they are found and ended with everything else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from balbook.lab import apt, fleet, supplies, vm_host, vm_network
from balbook.lab.supplies import Supplies

CENTRAL, PACKAGES = fleet.CENTRAL_PORT.partition(".")[0], "packages"
PORTS = {CENTRAL: 8090, PACKAGES: 8080}
"""All ports are free in the lab's own network."""
BESIDE = """for group in $1; do echo $$ > "$group/cgroup.procs" || exit 1; done
space=$2
shift 2
exec nsenter --net="$space" -- "$@"
"""


def address(addresses: Mapping[str, str]) -> str:
    """The address of the lab's services."""
    return str(vm_network.network_of(addresses)[vm_network.SERVICES])


def names(hosts: Sequence[str]) -> list[str]:
    """The services of a lab of these hosts."""
    return [PACKAGES, *([CENTRAL] if _has_build(hosts) else [])]


def ports(hosts: Sequence[str]) -> dict[str, int]:
    """The port of each service, by the name in the lab's state."""
    return {f"{name}.http": PORTS[name] for name in names(hosts)}


def supplies_of(lab: Path, addresses: Mapping[str, str]) -> Supplies | None:
    """The supplies of the build host; None in a lab without one."""
    return Supplies(lab, PORTS[CENTRAL], address(addresses), has_library=True) if _has_build(list(addresses)) else None


def packages_url(addresses: Mapping[str, str]) -> str:
    """The URL of the lab's repository of packages."""
    return f"http://{address(addresses)}:{PORTS[PACKAGES]}"


def prepare(lab: Path, addresses: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Writes all files of the services; starts nothing."""
    apt.write_repository(lab / PACKAGES, apt.SAMPLE)
    if found := supplies_of(lab, addresses):
        supplies.prepare(found, environ)


def start(name: str, lab: Path, addresses: Mapping[str, str]) -> tuple[int, str]:
    """Starts one service and waits until it answers; pid and identity of the process. Raises Failed with the end of the log."""
    way = _beside(vm_network.word_of(lab), name)
    if name == CENTRAL:
        found = supplies_of(lab, addresses)
        assert found is not None
        return supplies.start_central(found, way)
    place = (address(addresses), PORTS[name])
    argv = [*way, sys.executable, "-m", "http.server", str(place[1]), "--bind", place[0], "--directory", str(lab / name)]
    return supplies.serve(argv, lab, lab / f"{name}.log", place)


def _beside(word: str, name: str) -> list[str]:
    """The words before an argv that is to run in the lab's network and in a control group of its own."""
    groups = [tree / f"{word}-{name}" for tree in vm_host.hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return ["sh", "-c", BESIDE, "beside", " ".join(map(str, groups)), str(vm_network.NAMESPACES / word)]


def _has_build(hosts: Sequence[str]) -> bool:
    return any(fleet.role(host) == "build" for host in hosts)
