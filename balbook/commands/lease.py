"""The lease on an application: a directory on a host, with holder and heartbeat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from balbook.commands.command import Command, hosted

HELD = 75
NOT_OURS = 76


def acquire(directory: str, lease_id: str, holder: Mapping[str, str], stale_s: int) -> Command:
    """Takes the lease; exit 75 where another run holds it, with the lease's age and holder on standard output."""
    line = json.dumps(dict(holder), sort_keys=True) + "\n"
    return _lease("acquire", directory, lease_id, HELD, stale_s, stdin=(line,))


def renew(directory: str, lease_id: str) -> Command:
    """Renews the heartbeat; exit 76 where this run no longer holds the lease."""
    return _lease("renew", directory, lease_id, NOT_OURS, deadline_s=10)


def release(directory: str, lease_id: str) -> Command:
    """Gives the lease back; exit 76 where this run no longer holds it."""
    return _lease("release", directory, lease_id, NOT_OURS)


def show(directory: str) -> Command:
    """Prints age and holder; exit 1 where no run holds the lease."""
    return _lease("show", directory, "-", 1)


def break_lease(directory: str) -> Command:
    """Takes the lease away from its holder; exit 1 where no run holds it."""
    return _lease("break", directory, "-", 1)


def _lease(action: str, directory: str, lease_id: str, otherwise: int, stale_s: int = 0, **options: Any) -> Command:
    return hosted("lease", action, directory, lease_id, stale_s, expect=(0, otherwise), is_privileged=True, **options)
