"""The loopback lab: hosts that are SSH servers of this user on 127.0.0.1. The lab needs no root and leaves nothing behind.

After an interruption at any point the next `up` or `down` finds what is left: the state file is written first and removed last, and
every process of the lab is known by a variable of its environment.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from balbook.errors import Failed, Refused
from balbook.lab import fleet, folders, needs, ports, sshd, supplies
from balbook.lab.fleet import HOSTS
from balbook.lab.folders import Endpoint, LabStatus, Say
from balbook.lab.sshd import Server
from balbook.lab.supplies import Supplies
from balbook.local import processes
from balbook.local.lab_place import DEFAULT_NAME, INVENTORY, State, is_running, lab_folder, read_state, write_state
from balbook.local.processes import Process

BACKEND = "loopback"
CENTRAL = fleet.CENTRAL_PORT.partition(".")[0]


@dataclass(frozen=True)
class Lab(folders.LabFolder):
    """A lab that is up. `servers` by host name; `ports` by `<host>.ssh|instance|listen|generation`, and `central.http`."""

    servers: Mapping[str, Server]
    ports: Mapping[str, int]

    @property
    def supplies(self) -> Supplies | None:
        """The supplies of the build host; None in a lab without one."""
        port = self.ports.get(fleet.CENTRAL_PORT)
        return Supplies(self.folder, port) if port else None


def up(
    name: str = DEFAULT_NAME, hosts: Sequence[str] = HOSTS, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ
) -> Lab:
    """Starts the lab and proves that every host takes commands. A lab that is up is kept.

    Servers that died (a reboot) are started again, and what was deployed is still there; the rest of an interrupted start is removed
    first. On any failure nothing is left. Raises BadInput where the machine lacks something, Failed where a server does not start.
    """
    folder = lab_folder(name, environ)
    wanted = fleet.ports_wanted(hosts)
    needs.require(environ=environ)
    sshd.login()
    sshd.require_separation()
    with folders.alone(folder, BACKEND, environ):
        state = read_state(folder)
        if state is not None and state.is_up and (folder / INVENTORY).is_file():  # its processes may have ended
            return _keep(name, folder, state, hosts, say, environ)
        _clear(folder, say)
        say(f"Starting lab {name}: {', '.join(hosts)} on 127.0.0.1")
        try:
            return _start(name, folder, hosts, wanted, say, environ)
        except BaseException:
            _clear(folder, say)
            raise


def down(name: str = DEFAULT_NAME, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ) -> bool:
    """Ends every process of the lab and removes its folder with the records; True where anything was there.

    Raises Failed where a process does not end; the folder then stays, for another try.
    """
    folder = lab_folder(name, environ)
    with folders.alone(folder, BACKEND, environ):
        was_there = _clear(folder, say)
    return folders.say_down(name, folder, was_there, say)


def status(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> LabStatus:
    """The hosts, instances and balancer of the lab, and which of them are alive. Changes nothing."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None:
        return LabStatus(name, folder, BACKEND, is_running=False, is_left_over=folder.exists() or bool(processes.of_lab(folder)))
    found = processes.of_lab(folder, roots=state.servers.values())
    return folders.status_of(name, folder, BACKEND, [_endpoint(key, port, state, found) for key, port in state.ports.items()])


def lab_of(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Lab:
    """The running lab of this name. Raises Refused where the lab is not up."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None or not is_running(folder):
        raise Refused(f"lab {name} is not up", advice="Start it: balbook lab up.")
    return _lab(name, folder, state)


def _start(name: str, folder: Path, hosts: Sequence[str], wanted: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    folder.mkdir(mode=0o700)
    write_state(folder, State(BACKEND))
    taken = {port for other in folder.parent.iterdir() for port in (read_state(other) or State("")).ports.values()}
    state = State(BACKEND, ports=ports.reserve(wanted, taken, random.SystemRandom()))
    write_state(folder, state)
    lab = _lab(name, folder, state)
    sshd.furnish(lab)
    with ThreadPoolExecutor(len(lab.servers) + 1) as pool:
        central = pool.submit(_supply, lab, environ)
        lines = list(pool.map(lambda server: sshd.prepare(server, environ), lab.servers.values()))
        lab.known_hosts.write_text("".join(lines))
        born = dict(zip(lab.servers, pool.map(lambda server: sshd.start(server, environ), lab.servers.values()), strict=True))
        write_state(folder, replace(state, servers=born))
        born |= central.result()
        write_state(folder, replace(state, servers=born))
        list(pool.map(lambda server: sshd.log_in(server, lab.known_hosts, environ), lab.servers.values()))
    ballerina = lab.supplies.inventory(environ) if lab.supplies else None
    lab.inventory.write_text(fleet.inventory_text(folder, hosts, state.ports, sshd.login(), ballerina))
    write_state(folder, replace(state, servers=born, is_up=True))
    say(f"Lab {name} is up; its inventory is {lab.inventory}")
    return lab


def _supply(lab: Lab, environ: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Prepares the supplies of the build host and starts Central; pid and identity of Central, empty in a lab without a build host."""
    if lab.supplies is None:
        return {}
    supplies.prepare(lab.supplies, environ)
    return {CENTRAL: supplies.start_central(lab.supplies)}


def _keep(name: str, folder: Path, state: State, hosts: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    """The lab that is there; servers that have ended are started again."""
    lab = _lab(name, folder, state)
    servers = dict(state.servers)
    for host in state.servers:
        if folders.running_pid(state, host) is None:
            say(f"{host}: the server has ended; starting it again")
            if host in lab.servers:
                servers[host] = sshd.start(lab.servers[host], environ)
            elif lab.supplies:
                servers[host] = supplies.start_central(lab.supplies)
            write_state(folder, replace(state, servers=servers))
    folders.say_kept(lab, list(lab.servers), hosts, say)
    return lab


def _lab(name: str, folder: Path, state: State) -> Lab:
    ssh = {key.rpartition(".")[0]: port for key, port in state.ports.items() if key.endswith(".ssh")}
    graalvm = {host: folder / "graalvm" for host in ssh if fleet.role(host) == "build"}
    servers = {host: Server(host, folder, port, folder / "client_key", graalvm.get(host)) for host, port in ssh.items()}
    return Lab(name, folder, servers, state.ports)


def _clear(folder: Path, say: Say) -> bool:
    """Ends the processes of the lab and removes its folder; True where anything was there."""
    state = read_state(folder) or State(BACKEND)
    known = set(state.servers.values())

    def find() -> list[Process]:
        found = processes.of_lab(folder, roots=known)
        known.update((p.pid, p.born) for p in found)  # a session outlives its server, and then has another parent
        return found

    found = find()
    if found:
        say(f"Ending {len(found)} processes of lab {folder.name}")
    left = processes.end(find)
    if left:
        raise Failed(
            f"lab {folder.name}: these processes do not end: " + ", ".join(f"{p.pid} ({p.title[:60]})" for p in left),
            advice="See what they wait for, then run `balbook lab down` again.",
        )
    was_there = bool(found) or folder.exists()
    folders.remove_lab(folder)
    return was_there


def _endpoint(key: str, port: int, state: State, found: Sequence[Process]) -> Endpoint:
    host, _, kind = key.rpartition(".")
    kind = "instance" if kind == fleet.SINGLE else kind
    if kind in ("ssh", "http"):
        return Endpoint(host, kind, "127.0.0.1", port, folders.running_pid(state, host))
    process = processes.listener(port, found)
    name = f"{host}:{port}" if kind == "instance" else host
    return Endpoint(name, kind, "127.0.0.1", port, process.pid if process else None)
