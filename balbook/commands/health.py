"""Whether an instance can serve."""

from __future__ import annotations

from balbook.command import Command, script
from balbook.commands import host_script


def is_healthy(port: int, path: str, expect: int = 200, timeout_s: float = 2) -> Command:
    """Exits 0 where the instance on this host's `port` answers `path` with `expect`; else prints what was found."""
    return script("balbook-is-healthy", host_script("is_healthy"), port, path, expect, timeout_s, deadline_s=timeout_s + 10)
