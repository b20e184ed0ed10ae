"""The lab of Debian VMs: hosts with systemd, OpenSSH, sudo and addresses of their own. Linux, root.

Interrupted at any point, the next `up` or `down` finds what is left: the state file is the first thing that is written and
the last that is removed, and processes, mounts, namespaces and control groups are found by the lab's folder alone.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from balbook import processes
from balbook.errors import BadInput, Failed, Refused
from balbook.lab import fleet, folders, needs, sshd, vm_host, vm_image, vm_network
from balbook.lab.loopback import Endpoint, LabStatus
from balbook.lab.vm_host import Machine
from balbook.lab_place import (
    DEFAULT_NAME,
    INVENTORY,
    STATE,
    State,
    is_running,
    lab_folder,
    labs_home,
    read_state,
    require_lab_or_nothing,
    write_state,
)

BACKEND = "vm"
BASE = ".base"
HOST_MB = 100
"""Free space for what a host writes."""
GENERATION_PORT = 8099
INOTIFY = 6
"""inotify instances without which a host does not come up; all hosts share root's."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Lab:
    """A lab that is up; `machines` by host name."""

    name: str
    folder: Path
    machines: Mapping[str, Machine]

    @property
    def inventory(self) -> Path:
        return self.folder / INVENTORY

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"


def up(
    name: str = DEFAULT_NAME,
    hosts: Sequence[str] = fleet.HOSTS,
    *,
    say: Say = lambda line: None,
    environ: Mapping[str, str] = os.environ,
) -> Lab:
    """Boots the lab and proves that every host takes commands. One that is up is kept, and its hosts that are off are booted
    again; what an interrupted start left goes first.

    On any failure nothing is left but the base image. Raises BadInput or Refused, before anything is made, where this machine
    cannot have such a lab, and Failed where it does not start.
    """
    folder = lab_folder(name, environ)
    fleet.ports_wanted(hosts)
    require_machine(folder, len(hosts), environ)
    with folders.alone(environ):
        _require_vm(folder)
        state = read_state(folder)
        if state is not None and is_running(folder):
            return _keep(_lab(name, folder, state), state, hosts, say, environ)
        _clear(folder, say)
        try:
            return _start(name, folder, hosts, say, environ)
        except BaseException:
            _clear(folder, say)
            raise


def down(name: str = DEFAULT_NAME, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ) -> bool:
    """Ends every host of the lab and removes its folder, records included; whether there was anything. The base image stays."""
    folder = lab_folder(name, environ)
    with folders.alone(environ):
        _require_vm(folder)
        was_there = _clear(folder, say)
    say(f"Lab {name} is down; {folder} is removed." if was_there else f"There is no lab {name}.")
    return was_there


def status(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> LabStatus:
    """The lab's hosts, instances and balancer, and which of them are alive. Changes nothing."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None:
        return LabStatus(name, folder, is_running=False, is_left_over=bool(left_of(folder)), backend=BACKEND)
    endpoints = [_endpoint(folder, what, port, state) for what, port in state.ports.items()]
    has_come_up = is_running(folder)
    return LabStatus(
        name,
        folder,
        is_running=has_come_up,
        is_left_over=not has_come_up,
        hosts=tuple(e for e in endpoints if e.kind == "ssh"),
        instances=tuple(e for e in endpoints if e.kind == "instance"),
        balancers=tuple(e for e in endpoints if e.kind == "listen"),
        backend=BACKEND,
    )


def lab_of(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Lab:
    """The running lab of this name. Raises Refused where it is not up, or is none of VMs."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None or not is_running(folder):
        raise Refused(f"lab {name} is not up", advice="Start it: balbook lab up --backend vm.")
    _require_vm(folder)
    return _lab(name, folder, state)


def left_of(folder: Path) -> list[str]:
    """What there is of the lab, for people: processes, mounts, namespaces, control groups, files."""
    word = vm_network.word_of(folder)
    found = [f"process {pid}" for pid in vm_host.pids(word)]
    found += [f"mount {place}" for place in vm_host.mounts_below(folder)]
    found += [f"network {name}" for name in vm_network.left_of(word)]
    found += [f"control groups {word}*"] if vm_host.has_groups(word) else []
    return found + ([f"folder {folder}"] if folder.exists() else [])


def require_machine(folder: Path, hosts: int, environ: Mapping[str, str]) -> None:
    """Raises BadInput naming all that this machine lacks for a lab of VMs; makes nothing."""
    if not sys.platform.startswith("linux"):
        raise BadInput("a lab of VMs needs Linux", advice="Use the loopback lab: balbook lab up.")
    if os.geteuid() != 0:
        raise BadInput("a lab of VMs needs root", advice="Run it through sudo, or use the loopback lab: balbook lab up.")
    needs.require(("", "vm"), environ=environ)
    if "overlay" not in _kernel_file_systems():
        raise BadInput("this kernel has no overlay file system", advice="Load it: modprobe overlay. Or use the loopback lab.")
    if not vm_host.hierarchies():
        raise BadInput("/sys/fs/cgroup has no control groups", advice="Mount them (`mount -t cgroup2`), or use the loopback lab.")
    standing = next(place for place in (folder, *folder.parents) if place.is_dir())
    if _file_system(standing) in ("overlay", "tmpfs", "nfs"):
        raise BadInput(
            f"{standing} lies on {_file_system(standing)}, on which overlays cannot stand",
            advice="Set BALBOOK_LAB_HOME to a folder on a disk.",
        )
    watches, most = hosts * INOTIFY + _inotify_in_use(), _inotify_most()
    if watches > most:
        raise BadInput(
            f"a lab of {hosts} VMs needs {watches} inotify instances with those in use, this machine allows {most}",
            advice=f"Allow more: sysctl fs.inotify.max_user_instances={2 * watches}. Or have fewer hosts.",
        )
    has_image = (labs_home(environ) / BASE / vm_image.name_of(vm_image.recipe())).is_dir()
    wanted_mb = hosts * HOST_MB + (0 if has_image else vm_image.SPACE_MB)
    free_mb = _free_mb(standing)
    if free_mb < wanted_mb:
        raise BadInput(f"{standing} has {free_mb} MB free, a lab of {hosts} VMs needs {wanted_mb} MB", advice="Make room there.")


def _start(name: str, folder: Path, hosts: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    folder.mkdir(mode=0o700)
    write_state(folder, State(BACKEND))
    others = [state for other in folder.parent.iterdir() if (state := read_state(other))]
    image = vm_image.provide(labs_home(environ) / BASE, say, in_use=[state.base for state in others if state.base])
    taken = [address for state in others for address in state.addresses.values()]
    addresses = vm_network.addresses(hosts, [f"{address}/24" for address in taken], random.SystemRandom())
    state = State(BACKEND, ports=_ports(hosts), addresses=addresses, base=image.name)
    write_state(folder, state)
    say(f"Starting lab {name}: {', '.join(f'{host} {address}' for host, address in addresses.items())}")
    lab = _lab(name, folder, state)
    sshd.make_key(lab.client_key, f"balbook-lab-{name}")
    (folder / fleet.SIGNERS).write_text(fleet.signers_text(sshd.login(), lab.client_key.with_suffix(".pub").read_text()))
    for store in ("artifacts", "records"):
        (folder / store).mkdir(mode=0o700)
    vm_network.connect(vm_network.word_of(folder), addresses)
    machines = lab.machines.values()
    with ThreadPoolExecutor(min(8, len(machines))) as pool:
        lab.known_hosts.write_text("".join(pool.map(lambda machine: vm_host.prepare(machine, lab.client_key), machines)))
        born = dict(zip(lab.machines, pool.map(vm_host.boot, machines), strict=True))
        write_state(folder, replace(state, servers=born))
        list(pool.map(lambda machine: vm_host.wait_until_up(machine, lab.known_hosts, lab.client_key, environ), machines))
    lab.inventory.write_text(fleet.machines_inventory_text(folder, hosts, addresses, vm_image.LOGIN))
    write_state(folder, replace(state, servers=born, is_up=True))
    say(f"Lab {name} is up; its inventory is {lab.inventory}")
    return lab


def _keep(lab: Lab, state: State, hosts: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    """The lab that stands there, with hosts booted again that were switched off."""
    servers = dict(state.servers)
    for host, machine in lab.machines.items():
        pid, born = servers.get(host, (0, ""))
        if not pid or processes.identity(pid) != born:
            say(f"{host}: it is off; booting it again")
            vm_host.end(machine.word)
            servers[host] = vm_host.boot(machine)
            write_state(lab.folder, replace(state, servers=servers))
            vm_host.wait_until_up(machine, lab.known_hosts, lab.client_key, environ)
    say(f"Lab {lab.name} is up already and is kept; its inventory is {lab.inventory}")
    if set(hosts) != set(lab.machines):
        say(f"It has {', '.join(lab.machines)}; for other hosts take it down first.")
    return lab


def _lab(name: str, folder: Path, state: State) -> Lab:
    image = folder.parent / BASE / state.base / "root"
    return Lab(name, folder, {host: Machine(host, folder, image, address) for host, address in state.addresses.items()})


def _ports(hosts: Sequence[str]) -> dict[str, int]:
    kinds = {"app": {"instance": fleet.INSTANCE_PORT}, "balancer": {"listen": fleet.LISTEN_PORT, "generation": GENERATION_PORT}}
    return {f"{host}.{what}": port for host in hosts for what, port in {"ssh": 22, **kinds.get(fleet.role(host), {})}.items()}


def _require_vm(folder: Path) -> None:
    require_lab_or_nothing(folder)
    state = read_state(folder)
    if state is not None and state.backend not in ("", BACKEND):
        raise Refused(f"lab {folder.name} is of the backend {state.backend}", advice=f"Add --backend {state.backend}.")


def _clear(folder: Path, say: Say) -> bool:
    """Ends what belongs to the lab and removes its folder; whether there was anything. A half-made base image goes too."""
    for draft in (folder.parent / BASE).glob("*.part"):
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
    if folder.exists():
        for entry in folder.iterdir():
            if entry.name != STATE:
                folders.remove(entry)
        (folder / STATE).unlink(missing_ok=True)
        folder.rmdir()
    return True


def _endpoint(folder: Path, what: str, port: int, state: State) -> Endpoint:
    host, _, kind = what.rpartition(".")
    address = state.addresses.get(host, "")
    if kind == "ssh":
        pid, born = state.servers.get(host, (0, ""))
        return Endpoint(host, kind, address, port, pid if pid and processes.identity(pid) == born else None)
    word = vm_network.namespace(vm_network.word_of(folder), host)
    inside, first = set(vm_host.pids(word)), vm_host.first_pid(word)
    process = processes.listener(port, [p for p in processes.all_processes() if p.pid in inside], seen_by=first) if first else None
    return Endpoint(f"{host}:{port}" if kind == "instance" else host, kind, address, port, process.pid if process else None)


def _inotify_most() -> int:
    return int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())


def _inotify_in_use() -> int:
    """The inotify instances of root's processes, those of hosts that are up among them."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.stat().st_uid == 0:
                count += sum(str(entry.readlink()) == "anon_inode:inotify" for entry in (folder / "fd").iterdir())
    return count


def _free_mb(folder: Path) -> int:
    return shutil.disk_usage(folder).free >> 20


def _kernel_file_systems() -> list[str]:
    return Path("/proc/filesystems").read_text().split()


def _file_system(folder: Path) -> str:
    """The kind of the file system that `folder` lies on."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    over = [words for words in lines if folder.is_relative_to(words[1].replace("\\040", " "))]
    return max(over, key=lambda words: len(words[1]))[2] if over else ""
