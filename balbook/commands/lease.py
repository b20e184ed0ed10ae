"""The lease on an application: a directory on a host, with holder and heartbeat."""

from __future__ import annotations

import json
from collections.abc import Mapping

from balbook.commands import host_script
from balbook.commands.command import Command, script

HELD = 75
NOT_OURS = 76


def acquire(directory: str, lease_id: str, holder: Mapping[str, str], stale_s: int) -> Command:
    """Takes the lease; exit 75 where another holds it, with its age and holder on standard output."""
    line = json.dumps(dict(holder), sort_keys=True) + "\n"
    return script(
        "lease", host_script("lease"), "acquire", directory, lease_id, stale_s, stdin=(line,), expect=(0, HELD), is_privileged=True
    )


def renew(directory: str, lease_id: str) -> Command:
    """The heartbeat; exit 76 where the lease is not ours any more."""
    return script("lease", host_script("lease"), "renew", directory, lease_id, 0, expect=(0, NOT_OURS), deadline_s=10, is_privileged=True)


def release(directory: str, lease_id: str) -> Command:
    """Gives the lease back; exit 76 where it is not ours any more."""
    return script("lease", host_script("lease"), "release", directory, lease_id, 0, expect=(0, NOT_OURS), is_privileged=True)


def show(directory: str) -> Command:
    """Age and holder on standard output; exit 1 where nobody holds it."""
    return script("lease", host_script("lease"), "show", directory, "-", 0, expect=(0, 1), is_privileged=True)


def break_lease(directory: str) -> Command:
    """Takes the lease away from whoever holds it; exit 1 where nobody does."""
    return script("lease", host_script("lease"), "break", directory, "-", 0, expect=(0, 1), is_privileged=True)
