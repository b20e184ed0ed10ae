"""Checks of a running instance."""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, hosted, script

ENDED = 70
"""Exit status of `is_started` where the process has ended."""


def is_healthy(port: int, path: str, expect: int = 200, timeout_s: float = 2) -> Command:
    """Exits 0 where the instance on this host's `port` answers `path` with `expect`; else prints what was found."""
    return hosted("balbook-is-healthy", port, path, expect, timeout_s, deadline_s=timeout_s + 10, file="is_healthy")


def is_started(instance_dir: str, port: int, path: str, expect: int = 200, timeout_s: float = 2) -> Command:
    """`is_healthy` of a process that balbook started; exit 70 with the end of its log where that process has ended.

    Looks for up to a second, on the host, and notes there how long the start took.
    """
    functions = [f"{name}() (\n{host_script(name)})\n" for name in ("has_ended", "is_healthy")]
    text = "".join([host_script("instance"), *functions, host_script("is_started")])
    return script("balbook-is-healthy", text, port, path, expect, timeout_s, instance_dir, deadline_s=timeout_s + 10, is_privileged=True)


def answers(port: int, path: str, expect: int, contains: str = "", timeout_s: float = 10) -> Command:
    """Exits 0 where the instance on this host's `port` answers `path` with `expect`, and with the text `contains` in it."""
    words = (port, path, expect, contains, timeout_s)
    return hosted("http-check", *words, deadline_s=timeout_s + 10, expect=(0, 1))


def warm_up(port: int, paths: list[str], requests: int, timeout_s: float = 10) -> Command:
    """Sends `requests` GETs to the instance, path after path; any answer will do."""
    return hosted("balbook-warm-up", port, requests, timeout_s, *paths, file="warm_up", deadline_s=requests * timeout_s + 10)
