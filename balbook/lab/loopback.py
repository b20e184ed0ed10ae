"""The loopback lab: hosts that are SSH servers of this user on 127.0.0.1. Needs no root, leaves nothing behind.

Interrupted at any point, the next `up` or `down` finds what is left: the state file is the first thing that is written and
the last that is removed, and every process of the lab is known by a variable of its environment.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from balbook.errors import Failed, Refused
from balbook.lab import fleet, folders, needs, ports, sshd, supplies
from balbook.lab.fleet import HOSTS
from balbook.lab.sshd import Server
from balbook.lab.supplies import Supplies
from balbook.local import processes
from balbook.local.lab_place import (
    DEFAULT_NAME,
    INVENTORY,
    STATE,
    State,
    is_running,
    lab_folder,
    read_state,
    require_lab_or_nothing,
    write_state,
)
from balbook.local.processes import Process

BACKEND = "loopback"
CENTRAL = fleet.CENTRAL_PORT.partition(".")[0]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Lab(folders.LabFolder):
    """A lab that is up. `servers` by host name; `ports` of everything by `<host>.ssh|instance|listen|generation`, `central.http`."""

    servers: Mapping[str, Server]
    ports: Mapping[str, int]

    @property
    def supplies(self) -> Supplies | None:
        """What its build host needs; None where it has none."""
        port = self.ports.get(fleet.CENTRAL_PORT)
        return Supplies(self.folder, port) if port else None


@dataclass(frozen=True)
class Endpoint:
    """Something that listens, or should; `pid` is that of the lab's process that does, None where none does."""

    name: str
    kind: str
    address: str
    port: int
    pid: int | None

    @property
    def is_alive(self) -> bool:
        return self.pid is not None


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now. `is_left_over`: something of it stands there, but it is not up (interrupted, or a reboot)."""

    name: str
    folder: Path
    is_running: bool
    is_left_over: bool
    hosts: tuple[Endpoint, ...] = ()
    instances: tuple[Endpoint, ...] = ()
    balancers: tuple[Endpoint, ...] = ()
    registries: tuple[Endpoint, ...] = ()
    backend: str = BACKEND

    def data(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        data: dict[str, Any] = {"name": self.name, "backend": self.backend, "folder": str(self.folder)}
        data |= {"is_running": self.is_running, "is_left_over": self.is_left_over, "inventory": str(self.folder / INVENTORY)}
        for kind in ("hosts", "instances", "balancers", "registries"):
            data[kind] = [vars(endpoint) | {"is_alive": endpoint.is_alive} for endpoint in getattr(self, kind)]
        return data


def up(
    name: str = DEFAULT_NAME, hosts: Sequence[str] = HOSTS, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ
) -> Lab:
    """Starts the lab and proves that every host takes commands. One that is up is kept.

    Servers that died (a reboot) are started again, with what was deployed still there; what an interrupted start left is
    removed first. On any failure nothing is left. Raises BadInput where the machine lacks something, Failed where it does
    not start.
    """
    folder = lab_folder(name, environ)
    wanted = fleet.ports_wanted(hosts)
    needs.require(environ=environ)
    sshd.login()
    sshd.require_separation()
    with folders.alone(environ):
        _require_loopback(folder)
        if _is_complete(folder):
            return _keep(name, folder, hosts, say, environ)
        _clear(folder, say)
        say(f"Starting lab {name}: {', '.join(hosts)} on 127.0.0.1")
        try:
            return _start(name, folder, hosts, wanted, say, environ)
        except BaseException:
            _clear(folder, say)
            raise


def down(name: str = DEFAULT_NAME, *, say: Say = lambda line: None, environ: Mapping[str, str] = os.environ) -> bool:
    """Ends every process of the lab and removes its folder, records included; whether there was anything.

    Raises Failed where a process does not end; the folder then stays, for another try.
    """
    folder = lab_folder(name, environ)
    with folders.alone(environ):
        _require_loopback(folder)
        was_there = _clear(folder, say)
    say(f"Lab {name} is down; {folder} is removed." if was_there else f"There is no lab {name}.")
    return was_there


def status(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> LabStatus:
    """The lab's hosts, instances and balancer, and which of them are alive. Changes nothing."""
    folder = lab_folder(name, environ)
    state = read_state(folder)
    if state is None:
        return LabStatus(name, folder, is_running=False, is_left_over=folder.exists() or bool(processes.of_lab(folder)))
    found = processes.of_lab(folder, roots=state.servers.values())
    endpoints = [_endpoint(what, port, state, found) for what, port in state.ports.items()]
    has_come_up = is_running(folder)
    return LabStatus(
        name,
        folder,
        is_running=has_come_up,
        is_left_over=not has_come_up,
        hosts=tuple(e for e in endpoints if e.kind == "ssh"),
        instances=tuple(e for e in endpoints if e.kind == "instance"),
        balancers=tuple(e for e in endpoints if e.kind == "listen"),
        registries=tuple(e for e in endpoints if e.kind == "http"),
    )


def lab_of(name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Lab:
    """The running lab of this name. Raises Refused where it is not up."""
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
    """Prepares what the build host needs, and starts Central; its pid and identity, nothing where there is no build host."""
    if lab.supplies is None:
        return {}
    supplies.prepare(lab.supplies, environ)
    return {CENTRAL: _central(lab)}


def _central(lab: Lab) -> tuple[int, str]:
    assert lab.supplies is not None
    return supplies.start_central(lab.supplies)


def _keep(name: str, folder: Path, hosts: Sequence[str], say: Say, environ: Mapping[str, str]) -> Lab:
    """The lab that stands there, with servers started again that are gone."""
    state = read_state(folder) or State(BACKEND)
    lab = _lab(name, folder, state)
    servers = dict(state.servers)
    for host, (pid, born) in state.servers.items():
        if processes.identity(pid) != born:
            say(f"{host}: its server is gone; starting it again")
            servers[host] = sshd.start(lab.servers[host], environ) if host in lab.servers else _central(lab)
            write_state(folder, replace(state, servers=servers))
    say(f"Lab {name} is up already and is kept; its inventory is {lab.inventory}")
    if set(hosts) != set(lab.servers):
        say(f"It has {', '.join(lab.servers)}; for other hosts take it down first.")
    return lab


def _lab(name: str, folder: Path, state: State) -> Lab:
    ssh = {what.rpartition(".")[0]: port for what, port in state.ports.items() if what.endswith(".ssh")}
    graalvm = {host: folder / "graalvm" for host in ssh if fleet.role(host) == "build"}
    servers = {host: Server(host, folder, port, folder / "client_key", graalvm.get(host)) for host, port in ssh.items()}
    return Lab(name, folder, servers, state.ports)


def _is_complete(folder: Path) -> bool:
    """Whether the lab was started to the end once; its processes may be gone."""
    state = read_state(folder)
    return state is not None and state.is_up and (folder / INVENTORY).is_file()


def _require_loopback(folder: Path) -> None:
    require_lab_or_nothing(folder)
    state = read_state(folder)
    if state is not None and state.backend not in ("", BACKEND):
        raise Refused(f"lab {folder.name} is of the backend {state.backend}", advice=f"Add --backend {state.backend}.")


def _clear(folder: Path, say: Say) -> bool:
    """Ends what belongs to the lab and removes its folder; whether there was anything."""
    state = read_state(folder) or State(BACKEND)
    known = set(state.servers.values())

    def find() -> list[Process]:
        found = processes.of_lab(folder, roots=known)
        known.update((p.pid, p.born) for p in found)  # a session whose server has ended is nobody's child any more
        return found

    found = find()
    if found:
        say(f"Ending {len(found)} processes of lab {folder.name}")
    left = processes.end(find)
    if left:
        raise Failed(
            f"lab {folder.name}: these do not end: " + ", ".join(f"{p.pid} ({p.title[:60]})" for p in left),
            advice="See what they wait for, then run `balbook lab down` again.",
        )
    if not folder.exists():
        return bool(found)
    for entry in folder.iterdir():
        if entry.name != STATE:
            folders.remove(entry)
    (folder / STATE).unlink(missing_ok=True)
    folder.rmdir()
    return True


def _endpoint(what: str, port: int, state: State, found: Sequence[Process]) -> Endpoint:
    host, _, kind = what.rpartition(".")
    kind = "instance" if kind == fleet.SINGLE else kind
    if kind in ("ssh", "http"):
        pid, born = state.servers.get(host, (0, ""))
        return Endpoint(host, kind, "127.0.0.1", port, pid if pid and processes.identity(pid) == born else None)
    process = processes.listener(port, found)
    name = f"{host}:{port}" if kind == "instance" else host
    return Endpoint(name, kind, "127.0.0.1", port, process.pid if process else None)
