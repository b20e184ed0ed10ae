"""Instances under balbook's own supervision, where there is no systemd: start, stop, log."""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script


def start(instance_dir: str, port: int, nofile: int) -> Command:
    """Starts the release that the instance points to; nothing where it runs already."""
    return script("process-start", host_script("process_start"), instance_dir, port, nofile, is_privileged=True)


def stop(instance_dir: str, within_s: int) -> Command:
    """SIGTERM, and SIGKILL after `within_s` seconds; nothing where nothing runs."""
    return script("process-stop", host_script("process_stop"), instance_dir, within_s, deadline_s=within_s + 30.0, is_privileged=True)


def runs(instance_dir: str, release: str) -> Command:
    """Exit 0 where the instance's process was started from this release; `-`: where nothing runs."""
    return script("runs", host_script("runs"), instance_dir, release)


def logs(instance_dir: str, lines: int) -> Command:
    """The last lines of an instance's log."""
    return script("logs", host_script("logs"), instance_dir, lines, is_privileged=True)


def executed_ids(prefix: str, instances: list[str]) -> Command:
    """How often each request id with this prefix was executed, from the logs of instances: directories, or units."""
    return script("executed-ids", host_script("executed_ids"), prefix, *instances, is_privileged=True)


def log_errors(instance_dir: str, unit: str, allowed: list[str]) -> Command:
    """Prints the first errors that the instance has logged since its start, less `allowed`; exit 1 where there are any."""
    return script("log-errors", host_script("log_errors"), instance_dir, unit, *allowed, is_privileged=True, expect=(0, 1))


def footprint(instance_dir: str) -> Command:
    """Prints what the instance's process takes: memory, and the time that its start took; parsed by `facts.footprint`."""
    return script("footprint", host_script("footprint"), instance_dir, is_privileged=True)
