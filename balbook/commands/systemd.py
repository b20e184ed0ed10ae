"""Instances as systemd services: one template unit an application, one instance of it a port.

The unit keeps `INSTANCE/pid` as balbook's own supervision does (`PID START-TIME RELEASE`), so that whoever looks at an
instance need not know what supervises it.
"""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script
from balbook.local.digests import sha256_of

UNITS = "/etc/systemd/system"
RUNTIME_UNITS = "/run/systemd/system"
"""What is written here is gone after a boot."""


def template_name(application: str) -> str:
    """The application's template unit."""
    return f"balbook-{application}@.service"


def unit_name(application: str, port: int) -> str:
    """The unit of the instance on this port."""
    return f"balbook-{application}@{port}.service"


def launcher() -> str:
    """The script that a unit starts, as text; constant."""
    return host_script("systemd_launch")


def start(instance_dir: str, unit: str, within_s: float) -> Command:
    """Starts the instance, now and at every boot; nothing where it runs already."""
    return script("systemd-start", host_script("systemd_start"), instance_dir, unit, is_privileged=True, deadline_s=within_s + 30)


def stop(instance_dir: str, unit: str, within_s: int) -> Command:
    """SIGTERM, and SIGKILL after the time that the unit gives; at once where `within_s` is 0. Nothing where nothing runs."""
    text = host_script("systemd_stop")
    return script("systemd-stop", text, instance_dir, unit, within_s, is_privileged=True, deadline_s=within_s + 60.0)


def keep_down(unit: str, units: str = RUNTIME_UNITS) -> Command:
    """One that dies is not started again; for a drill, until `let_up`, `start_again` or the next boot."""
    return script("drill-keep-down", host_script("drill_keep_down"), unit, units, is_privileged=True)


def let_up(instance_dir: str, unit: str, units: str = RUNTIME_UNITS) -> Command:
    """One that dies is started again, as its unit says."""
    return script("drill-let-up", host_script("drill_let_up"), instance_dir, unit, units, is_privileged=True)


def start_again(instance_dir: str, unit: str, within_s: float, units: str = RUNTIME_UNITS) -> Command:
    """The same, and it is started where it does not run."""
    text = host_script("drill_let_up", "systemd_start")
    return script("drill-start-again", text, instance_dir, unit, units, is_privileged=True, deadline_s=within_s + 30)


def logs(instance_dir: str, unit: str, lines: int) -> Command:
    """The last lines of the instance's log, from the journal."""
    text = 'journalctl --unit="$2" --lines="$3" --output=cat --no-pager --quiet'
    return script("systemd-logs", text, instance_dir, unit, lines, is_privileged=True)


def reload_units() -> Command:
    """systemd reads the unit files anew."""
    return Command(("systemctl", "daemon-reload"), is_privileged=True)


def has_unit(application: str, unit: str, launcher_path: str) -> Command:
    """Exit 0 where the template unit has this text, its launcher is there, and systemd has read it."""
    paths = (f"{UNITS}/{template_name(application)}", sha256_of(unit), launcher_path, sha256_of(launcher()))
    return script("systemd-has-unit", host_script("systemd_has_unit"), *paths, is_privileged=True)


def enable_now(service: str) -> Command:
    """A service of the distribution's runs, now and from every boot on."""
    return Command(("systemctl", "enable", "--quiet", "--now", service), is_privileged=True, deadline_s=60)


def is_enabled(service: str) -> Command:
    """Exit 0 where it runs, and starts at boot."""
    return script("systemd-is-enabled", 'systemctl --quiet is-active "$1" && systemctl --quiet is-enabled "$1"', service)
