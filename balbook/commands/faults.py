"""Faults for drills, their repairs, and the watchdog that repairs a fault when its run no longer can."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.commands.command import Command, hosted, script


def kill(instance_dir: str) -> Command:
    """Kills the instance's process at once."""
    return _signal("drill-kill", instance_dir, "KILL")


def hang(instance_dir: str) -> Command:
    """Stops the instance's process: it keeps its connections, accepts new ones, and answers nothing."""
    return _signal("drill-hang", instance_dir, "STOP")


def wake(instance_dir: str) -> Command:
    """Lets a process that hangs go on."""
    return _signal("drill-wake", instance_dir, "CONT")


def blackhole(port: int) -> Command:
    """Drops packets to the instance's port without an answer."""
    return hosted("drill-blackhole", "on", port, is_privileged=True, file="blackhole")


def open_again(port: int) -> Command:
    """Lets packets reach the port again."""
    return hosted("drill-blackhole", "off", port, is_privileged=True, file="blackhole")


def can_blackhole(port: int) -> Command:
    """Exit 0 where this host lets balbook drop packets."""
    return hosted("drill-blackhole", "check", port, is_privileged=True, file="blackhole")


def set_watchdog(file: str, fault: str, repair: Command, within_s: int) -> Command:
    """Runs `repair` after `within_s` seconds, even if the run that asked for it has died; `file` names the watchdog and its `fault`."""
    return hosted("watchdog-set", file, fault, within_s, *repair.argv, stdin=repair.stdin, is_privileged=repair.is_privileged)


def end_watchdog(file: str, *, is_privileged: bool = False) -> Command:
    """Ends the watchdog before its time."""
    return hosted("watchdog-end", file, is_privileged=is_privileged)


def pending_watchdogs(files: Sequence[str]) -> Command:
    """Prints `FAULT FILE` for each file whose watchdog still waits."""
    return hosted("watchdog-pending", *files, is_privileged=True)


def wait(seconds: float) -> Command:
    """Does nothing for so many seconds."""
    return script("drill-wait", 'sleep "$1"', f"{seconds:g}", deadline_s=seconds + 30)


def _signal(name: str, instance_dir: str, signal: str) -> Command:
    return hosted(name, instance_dir, signal, file="drill_signal", after=("instance",), is_privileged=True)
