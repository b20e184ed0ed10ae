"""The processes of a lab: which they are, told from strangers that have their number by now, and how to end them.

A process belongs to a lab if it carries `BALBOOK_LAB=<folder>` in its environment, if its parent belongs to it, or if it
is a server that writes its title over its environment (sshd, nginx) and the title names a file below the folder. Only
the standard library: `place` needs this early.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MARKER = "BALBOOK_LAB"
PROC = Path("/proc")
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
    is_dead: bool = False


def identity(pid: int) -> str:
    """What tells the process from a later one with the same pid; empty where none lives (a zombie does not)."""
    if _has_proc():
        process = _from_proc(pid)
        return process.born if process and not process.is_dead else ""
    shown = _ps("-o", "stat=,lstart=", "-p", str(pid)).split(maxsplit=1)
    return " ".join(shown[1].split()) if len(shown) == 2 and not shown[0].startswith("Z") else ""


def of_lab(folder: Path, seen: Iterable[Process] | None = None, *, roots: Iterable[tuple[int, str]] = ()) -> list[Process]:
    """The living processes of the lab in this folder, never this process or one of its ancestors.

    `roots`: pid and identity of processes known to be the lab's, beside those that show it.
    """
    living = {p.pid: p for p in (all_processes() if seen is None else seen) if not p.is_dead}
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
    """Ask all that `find` finds to end, and kill what is left `grace_s` after it was asked; returns what still lives at the end.

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
    """Signal the process if it is still the same one; whether it was."""
    if identity(process.pid) != process.born:
        return False
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def listener(port: int, among: Iterable[Process], *, seen_by: int | str = "self") -> Process | None:
    """The process of these that listens on this TCP port, in the network namespace of the process `seen_by` (Linux)."""
    if not _has_proc():
        shown = subprocess.run(["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"], capture_output=True, text=True, check=False)
        pids = {int(word) for word in shown.stdout.split()}
        return next((p for p in among if p.pid in pids), None)
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, seen_by)}
    return next((p for p in among if sockets and sockets & _open_files(p.pid)), None)


def all_processes() -> list[Process]:
    """Every process that this user may look at."""
    if not _has_proc():
        return from_ps(_ps("-A", "-E", "-ww", "-o", "pid=,ppid=,stat=,lstart=,command="))
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [p for p in (_from_proc(pid, is_whole=True) for pid in pids) if p]


def from_ps(text: str) -> list[Process]:
    """Reads `ps -o pid=,ppid=,stat=,lstart=,command=`, the environment after the command as BSD's `-E` shows it."""
    found = []
    for line in text.splitlines():
        words = line.split(maxsplit=8)
        if len(words) == 9:
            born, title = " ".join(words[3:8]), words[8]
            marker = re.search(rf"(?:^|\s){MARKER}=(\S+)", title)
            is_dead = words[2].startswith("Z")
            found.append(Process(int(words[0]), int(words[1]), born, title, marker[1] if marker else "", is_dead))
    return found


def _is_marked(process: Process, folder: Path) -> bool:
    if process.marker:
        return process.marker == str(folder)
    return OVERWRITING.match(process.title) is not None and any(word.startswith(f"{folder}/") for word in process.title.split())


def _from_proc(pid: int, *, is_whole: bool = False) -> Process | None:
    """`is_whole`: with title and marker, which cost two more files."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
        # The name in parentheses may hold anything; what follows the last one is state, parent, …, start (field 22).
        fields = stat.rpartition(")")[2].split()
        title, marker = "", ""
        if is_whole:
            title = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            marker = _marker(pid)
        return Process(pid, int(fields[1]), f"{_boot()}:{fields[19]}", title, marker, fields[0] in "ZX")
    except (OSError, IndexError):
        return None  # it ended meanwhile


def _marker(pid: int) -> str:
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""  # another user's
    return next((v.partition(b"=")[2].decode(errors="replace") for v in variables if v.startswith(f"{MARKER}=".encode())), "")


@cache
def _boot() -> str:
    """Start times count from the boot, so they need its name."""
    with suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _listening_inodes(port: int, seen_by: int | str) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / str(seen_by) / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def _has_proc() -> bool:
    return sys.platform == "linux"


def _ps(*words: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["ps", *words], capture_output=True, text=True, check=False, env=environment).stdout
