"""Faults for drills, how each is repaired, and the watchdog that repairs it where nobody else does."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.commands import host_script
from balbook.commands.command import Command, script


def kill(instance_dir: str) -> Command:
    """The instance's process dies at once."""
    return script("drill-kill", host_script("drill_signal"), instance_dir, "KILL", is_privileged=True)


def hang(instance_dir: str) -> Command:
    """The instance's process stops: it holds its connections, accepts new ones, and answers nothing."""
    return script("drill-hang", host_script("drill_signal"), instance_dir, "STOP", is_privileged=True)


def wake(instance_dir: str) -> Command:
    """A process that hangs goes on."""
    return script("drill-wake", host_script("drill_signal"), instance_dir, "CONT", is_privileged=True)


def blackhole(port: int) -> Command:
    """Packets to the instance's port are dropped without an answer."""
    return script("drill-blackhole", host_script("blackhole"), "on", port, is_privileged=True)


def open_again(port: int) -> Command:
    """The port is reached again."""
    return script("drill-blackhole", host_script("blackhole"), "off", port, is_privileged=True)


def can_blackhole(port: int) -> Command:
    """Exits 0 where this host lets us drop packets."""
    return script("drill-blackhole", host_script("blackhole"), "check", port, is_privileged=True)


def set_watchdog(file: str, fault: str, repair: Command, within_s: int) -> Command:
    """`repair` runs after `within_s` seconds, also when everybody who asked for it is dead; `file` names it and its `fault`."""
    text = host_script("watchdog_set")
    return script("watchdog-set", text, file, fault, within_s, *repair.argv, stdin=repair.stdin, is_privileged=repair.is_privileged)


def end_watchdog(file: str, *, is_privileged: bool = False) -> Command:
    """The watchdog is called off."""
    return script("watchdog-end", host_script("watchdog_end"), file, is_privileged=is_privileged)


def pending_watchdogs(files: Sequence[str]) -> Command:
    """Prints `FAULT FILE` for each of these whose watchdog still stands."""
    return script("watchdog-pending", host_script("watchdog_pending"), *files, is_privileged=True)


def wait(seconds: float) -> Command:
    """Nothing, for so long."""
    return script("drill-wait", 'sleep "$1"', f"{seconds:g}", deadline_s=seconds + 30)
