"""The lab of Debian VMs: hosts with systemd, OpenSSH, sudo and addresses of their own. Needs Linux and root.

After an interruption at any point the next `up` or `down` finds what is left: the state file is written first and removed last, and
processes, mounts, namespaces and control groups are found by the lab's folder alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from balbook.errors import Failed, Refused
from balbook.lab import apt, fleet, folders, sshd, vm_host, vm_image, vm_needs, vm_network, vm_odd, vm_services
from balbook.lab.folders import Endpoint, LabStatus, Say
from balbook.lab.supplies import Supplies
from balbook.lab.vm_host import Machine
from balbook.local import processes
from balbook.local.lab_place import DEFAULT_NAME, State, is_running, lab_folder, labs_home, read_state, write_state

BACKEND = "vm"
GENERATION_PORT = 8099


@dataclass(frozen=True)
class Lab(folders.LabFolder):
    """A lab that is up; `machines` by host name."""

    machines: Mapping[str, Machine]

    @property
    def addresses(self) -> dict[str, str]:
        return {host: machine.address for host, machine in self.machines.items()}

    @property
    def supplies(self) -> Supplies | None:
        """The supplies of the build host; None in a lab without one."""
        return vm_services.supplies_of(self.folder, self.addresses)


def up(
    name: str = DEFAULT_NAME,
    hosts: Sequence[str] = fleet.HOSTS,
    *,
    odd: Sequence[str] = (),
    say: Say = lambda line: None,
    environ: Mapping[str, str] = os.environ,
) -> Lab:
    """Boots the lab and proves that every host takes commands. A lab that is up is kept, and its hosts that are off are booted again.

    The rest of an interrupted start is removed first. `odd`: `HOST:KIND` words, see `vm_odd`. On any failure nothing is left but the
    base image. Raises BadInput or Refused, before anything is made, where this machine cannot have such a lab, and Failed where a
    host does not start.
    """
    folder = lab_folder(name, environ)
    fleet.ports_wanted(hosts)
    kinds = vm_odd.read_odd(odd, hosts)
    if is_new := not folder.exists():
        vm_needs.require_machine(folder, len(hosts), environ)  # before the labs home is made
    with folders.alone(folder, BACKEND, environ):
        state = read_state(folder)
        if state is not None and is_running(folder):
            _require_as_odd(name, state, kinds)
            return _keep(_lab(name, folder, state), state, hosts, say, environ)
        if not is_new:
            vm_needs.require_machine(folder, len(hosts), environ)
        _clear(folder, say)
        try:
            return _start(name, folder, hosts, kinds, say, environ)
        except BaseException:
            _clear(folder, say)
            raise


def down(name: str = DEFAULT_NAME, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ) -> bool:
    """Ends every host of the lab and removes its folder with the records; True where anything was there. The base image stays."""
    folder = lab_folder(name, environ)
    with folders.alone(folder, BACKEND, environ):
        was_there = _clear(folder, say)
    return folders.say_down(name, folder, was_there, say)


def status(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> LabStatus:
    """The hosts, instances and balancer of the lab, and which of them are alive. Changes nothing."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None:
        return LabStatus(name, folder, BACKEND, is_running=False, is_left_over=bool(left_of(folder)))
    return folders.status_of(name, folder, BACKEND, [_endpoint(folder, key, port, state) for key, port in state.ports.items()])


def lab_of(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Lab:
    """The running lab of this name. Raises Refused where the lab is not up, or is not a lab of VMs."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None or not is_running(folder):
        raise Refused(f"lab {name} is not up", advice="Start it: balbook lab up --backend vm.")
    folders.require_backend(folder, BACKEND)
    return _lab(name, folder, state)


def left_of(folder: Path) -> list[str]:
    """All that is left of the lab, for people: processes, mounts, namespaces, control groups, files."""
    word = vm_network.word_of(folder)
    found = [f"process {pid}" for pid in vm_host.pids(word)]
    found += [f"mount {place}" for place in vm_host.mounts_below(folder)]
    found += [f"network {name}" for name in vm_network.left_of(word)]
    found += [f"control groups {word}*"] if vm_host.has_groups(word) else []
    return found + ([f"folder {folder}"] if folder.exists() else [])


def _start(name: str, folder: Path, hosts: Sequence[str], odd: vm_odd.Kinds, say: Say, environ: Mapping[str, str]) -> Lab:
    folder.mkdir(mode=0o700)
    write_state(folder, State(BACKEND))
    others = {other.name: state for other in folder.parent.iterdir() if (state := read_state(other))}
    image = vm_image.provide(labs_home(environ) / vm_needs.BASE, say, in_use={lab: state.base for lab, state in others.items()})
    taken = [address for state in others.values() for address in state.addresses.values()]
    addresses = vm_network.addresses(hosts, [f"{address}/24" for address in taken], random.SystemRandom())
    state = State(BACKEND, ports=_ports(hosts, odd), addresses=addresses, base=image.name, odd=odd)
    write_state(folder, state)
    say(f"Starting lab {name}: {', '.join(f'{host} {address}' for host, address in addresses.items())}")
    lab = _lab(name, folder, state)
    sshd.furnish(lab)
    vm_network.connect(vm_network.word_of(folder), addresses)
    born = _boot(lab, state, environ)
    ballerina = lab.supplies.inventory(environ) if lab.supplies else None
    if any("host-key" in kinds for kinds in odd.values()):
        vm_odd.known_before(folder, lab.known_hosts.read_text())
    changes = vm_odd.inventory_changes(odd, hosts, folder)
    lab.inventory.write_text(fleet.machines_inventory_text(folder, hosts, addresses, vm_image.LOGIN, ballerina, changes))
    write_state(folder, replace(state, servers=born, is_up=True))
    say(f"Lab {name} is up; its inventory is {lab.inventory}")
    return lab


def _boot(lab: Lab, state: State, environ: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Boots all hosts and starts the services, side by side; pid and identity of each, once all work."""
    machines = list(lab.machines.values())
    packages = apt.sources_line(vm_services.packages_url(lab.addresses))

    def prepare(machine: Machine) -> str:
        line = vm_host.prepare(machine, lab.client_key, packages)
        vm_odd.dress(machine)
        return line

    def wait(machine: Machine) -> None:
        vm_host.wait_until_up(machine, lab.known_hosts, lab.client_key, environ)

    with ThreadPoolExecutor(min(8, len(machines) + 1)) as pool:
        served = pool.submit(_serve, lab, environ)
        lab.known_hosts.write_text("".join(pool.map(prepare, machines)))
        born = dict(zip(lab.machines, pool.map(vm_host.boot, machines), strict=True))
        write_state(lab.folder, replace(state, servers=born))
        born |= served.result()
        write_state(lab.folder, replace(state, servers=born))
        list(pool.map(wait, machines))
    return born


def _serve(lab: Lab, environ: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    vm_services.prepare(lab.folder, lab.addresses, environ)
    return {name: vm_services.start(name, lab.folder, lab.addresses) for name in vm_services.names(list(lab.machines))}


def _keep(lab: Lab, state: State, hosts: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    """The lab that is there; hosts that are off are booted again, services that have ended are started again."""
    servers = dict(state.servers)
    for name in vm_services.names(list(lab.machines)):
        if folders.running_pid(state, name) is None:
            say(f"{name}: the server has ended; starting it again")
            servers[name] = vm_services.start(name, lab.folder, lab.addresses)
            write_state(lab.folder, replace(state, servers=servers))
    if off := [host for host in lab.machines if folders.running_pid(state, host) is None]:
        vm_needs.require_machine(lab.folder, len(off), environ)
    for host in off:
        machine = lab.machines[host]
        say(f"{host}: the host is off; booting it again")
        vm_host.end(machine.word)
        servers[host] = vm_host.boot(machine)
        write_state(lab.folder, replace(state, servers=servers))
        vm_host.wait_until_up(machine, lab.known_hosts, lab.client_key, environ)
    folders.say_kept(lab, list(lab.machines), hosts, say)
    return lab


def _lab(name: str, folder: Path, state: State) -> Lab:
    image = folder.parent / vm_needs.BASE / state.base / "root"
    odd = {host: tuple(state.odd.get(host, ())) for host in state.addresses}
    machines = {host: Machine(host, folder, image, to, odd[host], vm_odd.port_of(odd[host])) for host, to in state.addresses.items()}
    return Lab(name, folder, machines)


def _ports(hosts: Sequence[str], odd: vm_odd.Kinds) -> dict[str, int]:
    by_role = {"app": {"instance": fleet.INSTANCE_PORT}, "balancer": {"listen": fleet.LISTEN_PORT, "generation": GENERATION_PORT}}
    found = {f"{host}.ssh": vm_odd.port_of(odd.get(host, ())) for host in hosts}
    found |= {f"{host}.{use}": port for host in hosts for use, port in by_role.get(fleet.role(host), {}).items()}
    return found | vm_services.ports(hosts)


def _require_as_odd(name: str, state: State, kinds: vm_odd.Kinds) -> None:
    """Raises Refused for other kinds than the lab has: a host becomes odd before it boots."""
    if kinds and kinds != {host: tuple(found) for host, found in state.odd.items()}:
        present = ", ".join(f"{host}:{kind}" for host, found in state.odd.items() for kind in found) or "no odd host"
        raise Refused(f"lab {name} is up with {present}", advice=f"To have other hosts, take it down first: balbook lab down --name {name}")


def _clear(folder: Path, say: Say) -> bool:
    """Ends the processes of the lab and removes its folder and a half-made base image; True where anything was there."""
    for draft in (folder.parent / vm_needs.BASE).glob("*.part"):
        folders.remove(draft)
    if not left_of(folder):
        return False
    word = vm_network.word_of(folder)
    if found := vm_host.pids(word):
        say(f"Ending {len(found)} processes of lab {folder.name}")
    if left := vm_host.end(word):
        raise Failed(
            f"lab {folder.name}: these processes do not end: {', '.join(map(str, left))}",
            advice="See what they wait for, then run `balbook lab down` again.",
        )
    vm_host.clear(folder, word)
    vm_network.disconnect(word)
    folders.remove_lab(folder)
    return True


def _endpoint(folder: Path, key: str, port: int, state: State) -> Endpoint:
    host, _, kind = key.rpartition(".")
    address = vm_services.address(state.addresses) if kind == "http" else state.addresses.get(host, "")
    if kind in ("ssh", "http"):
        return Endpoint(host, kind, address, port, folders.running_pid(state, host))
    word = vm_network.namespace(vm_network.word_of(folder), host)
    inside, first = set(vm_host.pids(word)), vm_host.first_pid(word)
    process = processes.listener(port, [p for p in processes.all_processes() if p.pid in inside], seen_by=first) if first else None
    return Endpoint(f"{host}:{port}" if kind == "instance" else host, kind, address, port, process.pid if process else None)
