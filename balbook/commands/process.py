"""Instances under balbook's own supervision, where there is no systemd: start, stop, log."""

from __future__ import annotations

from balbook.commands.command import Command, hosted, script

INSTANCE = ("instance",)


def start(instance_dir: str, port: int, nofile: int) -> Command:
    """Starts the release that the instance points to; does nothing where its process runs already."""
    return hosted("process-start", instance_dir, port, nofile, after=INSTANCE, is_privileged=True)


def stop(instance_dir: str, within_s: int) -> Command:
    """Sends SIGTERM, and SIGKILL after `within_s` seconds; does nothing where no process runs."""
    return hosted("process-stop", instance_dir, within_s, after=INSTANCE, deadline_s=within_s + 30.0, is_privileged=True)


def runs(instance_dir: str, release: str) -> Command:
    """Exit 0 where the instance's process was started from this release; `-`: where no process runs."""
    return hosted("runs", instance_dir, release, after=INSTANCE)


def logs(instance_dir: str, lines: int) -> Command:
    """Prints the last lines of an instance's log."""
    return script("logs", 'tail -n "$2" "$1/log/current.log"', instance_dir, lines, is_privileged=True)


def executed_ids(prefix: str, instances: list[str]) -> Command:
    """Counts how often each request id with this prefix was executed, in the logs of instances: directories, or units."""
    return hosted("executed-ids", prefix, *instances, is_privileged=True)


def log_errors(instance_dir: str, unit: str, allowed: list[str]) -> Command:
    """Prints the first errors that the instance has logged since its start, less `allowed`; exit 1 where there are any."""
    return hosted("log-errors", instance_dir, unit, *allowed, is_privileged=True, expect=(0, 1))


def footprint(instance_dir: str) -> Command:
    """Prints the memory of the instance's process and the time that its start took; parsed by `facts.footprint`."""
    return hosted("footprint", instance_dir, after=INSTANCE, is_privileged=True)
