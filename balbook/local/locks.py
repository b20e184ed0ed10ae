"""Locks on files: one process at a time, on all machines that share the file. A lock ends with its process, however that ends.

The file stays; it is the lock on it that counts.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.05


@contextmanager
def holding(path: Path, *, within_s: float | None = None, taken: Exception | None = None) -> Iterator[int]:
    """Takes the lock as `take` does, until the block ends; `taken` is raised in place of the BlockingIOError."""
    try:
        fd = take(path, within_s=within_s)
    except BlockingIOError:
        if taken is None:
            raise
        raise taken from None
    try:
        yield fd
    finally:
        os.close(fd)


def take(path: Path, *, mode: int = 0o600, within_s: float | None = None, on_wait: Callable[[], object] = lambda: None) -> int:
    """The open file, made where it is missing; its lock is this process's until the file is closed.

    BlockingIOError where another process still has the lock after `within_s`; unset: waits. `on_wait` is called once before a wait.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)  # NFS locks what is open for writing
    try:
        if not _is_mine(fd):
            on_wait()
            _wait(fd, within_s)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """True where a process has the lock; False where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _is_mine(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _is_mine(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(fd: int, within_s: float | None) -> None:
    if within_s is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + within_s
    while not _is_mine(fd):
        if time.monotonic() > deadline:
            raise BlockingIOError
        time.sleep(POLL_S)
