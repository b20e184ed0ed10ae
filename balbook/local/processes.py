"""The processes of a lab: finding them, telling them from later processes with the same number, and ending them.

A process belongs to a lab if it carries `BALBOOK_LAB=<folder>` in its environment, if its parent belongs to it, or if it
is a server that writes its title over its environment (sshd, nginx) and the title names a file below the folder. Only this
module imports psutil.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

MARKER = "BALBOOK_LAB"
PROC = Path("/proc")
DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
OVERWRITING = re.compile(r"^(sshd: \S*sshd\b|nginx: master process )")
"""Titles of servers that write their title over their environment."""


@dataclass(frozen=True)
class Process:
    """One process as seen at one moment. `born` tells it from a later one with the same pid."""

    pid: int
    parent: int
    born: str
    title: str
    marker: str = ""


def identity(pid: int) -> str:
    """The mark of a process that a later one with the same pid has not; empty where no such process lives (a zombie is dead)."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return _born(process) if process.status() not in DEAD else ""
    return ""


def of_lab(folder: Path, seen: Iterable[Process] | None = None, *, roots: Iterable[tuple[int, str]] = ()) -> list[Process]:
    """The living processes of the lab in this folder, never this process or one of its ancestors.

    `roots`: pid and identity of processes known to be the lab's, beside those that show it.
    """
    living = {p.pid: p for p in (all_processes() if seen is None else seen)}
    known = set(roots)
    found = {p.pid for p in living.values() if (p.pid, p.born) in known or _is_marked(p, folder)}
    while more := {p.pid for p in living.values() if p.parent in found} - found:
        found |= more
    pid = os.getpid()
    while pid in living:
        found.discard(pid)
        pid = living[pid].parent
    return sorted((living[pid] for pid in found), key=lambda p: p.pid)


def end(find: Callable[[], list[Process]], *, grace_s: float = 2.0, within_s: float = 10.0) -> list[Process]:
    """Asks the processes of `find` to end, and kills those that still live `grace_s` later; returns those that live at the end.

    `find` is called again and again, so that a process that was started meanwhile is ended too.
    """
    began = time.monotonic()
    asked: dict[tuple[int, str], float] = {}
    while left := find():
        now = time.monotonic()
        if now - began > within_s:
            return left
        for process in left:
            if (since := asked.setdefault((process.pid, process.born), now)) == now:
                send(process, signal.SIGTERM)
                send(process, signal.SIGCONT)  # one that was stopped takes no SIGTERM
            elif now - since > grace_s:
                send(process, signal.SIGKILL)
        time.sleep(0.02)
    return []


def send(process: Process, number: signal.Signals) -> bool:
    """Sends a signal to the process; False where the process is gone."""
    with suppress(ProcessLookupError):
        if identity(process.pid) == process.born:
            os.kill(process.pid, number)
            return True
    return False


def listener(port: int, among: Iterable[Process], *, seen_by: int | str = "self") -> Process | None:
    """The process, of these, that listens on this TCP port, in the network namespace of the process `seen_by` (Linux)."""
    # On Linux by hand: psutil looks at the network of this process alone.
    if psutil.LINUX:
        wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port, seen_by)}
        return next((p for p in among if wanted and wanted & _open_files(p.pid)), None)
    return next((p for p in among if port in _listening_ports(p.pid)), None)


def all_processes() -> list[Process]:
    """Every living process that this user is allowed to look at."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error), process.oneshot():  # it ended meanwhile
            if process.status() not in DEAD:
                title = " ".join(process.cmdline()).strip()
                found.append(Process(process.pid, process.ppid(), _born(process), title, _marker(process)))
    return found


def _is_marked(process: Process, folder: Path) -> bool:
    if process.marker:
        return process.marker == str(folder)
    return OVERWRITING.match(process.title) is not None and any(word.startswith(f"{folder}/") for word in process.title.split())


def _born(process: psutil.Process) -> str:
    """The boot's name, and ticks since then, on Linux: psutil counts seconds of the clock, and a step of the clock would make another
    process of one that goes on, whose lab would be down and whose run would be lost."""
    if not psutil.LINUX:
        return repr(process.create_time())
    try:
        # The name in parentheses may hold anything; what follows the last one is state, parent, …, start (field 22).
        return f"{_boot()}:{(PROC / str(process.pid) / 'stat').read_text(errors='replace').rpartition(')')[2].split()[19]}"
    except OSError as exc:
        raise psutil.NoSuchProcess(process.pid) from exc


def _marker(process: psutil.Process) -> str:
    with suppress(psutil.AccessDenied):  # another user's
        return process.environ().get(MARKER, "")
    return ""


@cache
def _boot() -> str:
    with suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _listening_inodes(port: int, seen_by: int | str) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / str(seen_by) / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]


def _listening_ports(pid: int) -> set[int]:
    with suppress(psutil.Error):
        return {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return set()


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found
