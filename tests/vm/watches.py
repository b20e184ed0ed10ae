"""The kernel's limit that stands against many VMs on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from balbook.lab import vm_needs

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


@contextmanager
def watches_for(hosts: int) -> Iterator[None]:
    """Raises the limit meanwhile, where that may be done and is needed."""
    if not os.access(LIMIT, os.W_OK):
        yield
        return
    before = LIMIT.read_text()
    LIMIT.write_text(str(max(int(before), 2 * hosts * vm_needs.INOTIFY)))
    try:
        yield
    finally:
        LIMIT.write_text(before)
