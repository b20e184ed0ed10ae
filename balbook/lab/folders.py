"""The folder and the state of a lab, whatever its hosts are: one start or stop at a time, a look at it, removal of everything."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import Refused
from balbook.local import locks, processes
from balbook.local.lab_place import INVENTORY, STATE, State, is_running, labs_home, read_state, require_lab_or_nothing

Say = Callable[[str], None]
ENDPOINTS = {"hosts": "ssh", "instances": "instance", "balancers": "listen", "registries": "http"}
"""The fields of `LabStatus`, each with the kind of its endpoints."""


@dataclass(frozen=True)
class LabFolder:
    """The files that every lab has in its folder."""

    name: str
    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / INVENTORY

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"


@dataclass(frozen=True)
class Endpoint:
    """A port of the lab; `pid` is that of the lab's process that listens on the port, None without one."""

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
    """A lab as it is now. `is_left_over`: files or processes remain of a lab that is not up (after an interruption or a reboot)."""

    name: str
    folder: Path
    backend: str
    is_running: bool
    is_left_over: bool
    hosts: tuple[Endpoint, ...] = ()
    instances: tuple[Endpoint, ...] = ()
    balancers: tuple[Endpoint, ...] = ()
    registries: tuple[Endpoint, ...] = ()

    def data(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        data = {**vars(self), "folder": str(self.folder), "inventory": str(self.folder / INVENTORY)}
        return data | {field: [vars(e) | {"is_alive": e.is_alive} for e in getattr(self, field)] for field in ENDPOINTS}


def status_of(name: str, folder: Path, backend: str, endpoints: Sequence[Endpoint]) -> LabStatus:
    """The status of a lab that has a state."""
    is_up = is_running(folder)
    found = {field: tuple(e for e in endpoints if e.kind == kind) for field, kind in ENDPOINTS.items()}
    return LabStatus(name, folder, backend, is_up, not is_up, **found)


def running_pid(state: State, name: str) -> int | None:
    """The pid of a server of the lab, None where the server has ended."""
    pid, born = state.servers.get(name, (0, ""))
    return pid if pid and processes.identity(pid) == born else None


@contextmanager
def alone(folder: Path, backend: str, environ: Mapping[str, str]) -> Iterator[None]:
    """One start or stop of a lab at a time: ports are handed out, and a half-started lab is told from an abandoned one.

    Raises Refused where the folder is not a lab's, or is one of another backend.
    """
    home = labs_home(environ)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.holding(home / ".lock"):
        require_backend(folder, backend)
        yield


def require_backend(folder: Path, backend: str) -> None:
    """Raises Refused where the folder is not a lab's, or is one of another backend."""
    require_lab_or_nothing(folder)
    state = read_state(folder)
    if state is not None and state.backend not in ("", backend):
        raise Refused(f"lab {folder.name} has the backend {state.backend}, not {backend}", advice=f"Add --backend {state.backend}.")


def say_down(name: str, folder: Path, was_there: bool, say: Say) -> bool:
    """Says what `down` did, and returns `was_there`."""
    say(f"Lab {name} is down; {folder} is removed." if was_there else f"There is no lab {name}.")
    return was_there


def say_kept(lab: LabFolder, present: Sequence[str], wanted: Sequence[str], say: Say) -> None:
    """Says that the lab was up already, and which hosts it has where others were asked for."""
    say(f"Lab {lab.name} is up already and is kept; its inventory is {lab.inventory}")
    if set(wanted) != set(present):
        say(f"Lab {lab.name} has the hosts {', '.join(present)}; to have other hosts, take it down first.")


def remove_lab(folder: Path) -> None:
    """Removes the folder of a lab, its state last, so that an interrupted removal is seen."""
    if not folder.exists():
        return
    for entry in folder.iterdir():
        if entry.name != STATE:
            remove(entry)
    (folder / STATE).unlink(missing_ok=True)
    folder.rmdir()


def remove(path: Path) -> None:
    """Removes a file, or a folder with everything in it, read-only files too."""
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log; empty where the log does not exist."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""
