"""Instances as systemd services: one template unit an application, one instance of it a port.

The unit keeps `INSTANCE/pid` as balbook's own supervision does (`PID START-TIME RELEASE`), so that a look at an
instance is the same under both.
"""

from __future__ import annotations

from typing import Any

from balbook.commands import host_script
from balbook.commands.command import Command, hosted, script
from balbook.local.digests import sha256_of

UNITS = "/etc/systemd/system"
RUNTIME_UNITS = "/run/systemd/system"
"""A boot removes the files here."""


def template_name(application: str) -> str:
    """The application's template unit."""
    return f"balbook-{application}@.service"


def unit_name(application: str, port: int) -> str:
    """The unit of the instance on this port."""
    return f"balbook-{application}@{port}.service"


def launcher() -> str:
    """The script that a unit starts, as text; constant."""
    return host_script("instance", "systemd_launch")


def start(instance_dir: str, unit: str, within_s: float) -> Command:
    """Starts the instance, now and at every boot; does nothing where its process runs already."""
    return hosted("systemd-start", instance_dir, unit, is_privileged=True, deadline_s=within_s + 30)


def stop(instance_dir: str, unit: str, within_s: int) -> Command:
    """Sends SIGTERM, and SIGKILL after the unit's own time (at once where `within_s` is 0); does nothing where no process runs."""
    return hosted("systemd-stop", instance_dir, unit, within_s, is_privileged=True, deadline_s=within_s + 60.0)


def keep_down(unit: str, units: str = RUNTIME_UNITS) -> Command:
    """Keeps systemd from starting a dead instance again; for a drill, until `let_up`, `start_again` or the next boot."""
    return hosted("drill-keep-down", unit, units, is_privileged=True)


def let_up(instance_dir: str, unit: str, units: str = RUNTIME_UNITS) -> Command:
    """Lets systemd start a dead instance again, as its unit says."""
    return hosted("drill-let-up", instance_dir, unit, units, is_privileged=True)


def start_again(instance_dir: str, unit: str, within_s: float, units: str = RUNTIME_UNITS) -> Command:
    """`let_up`, and starts the instance where no process runs."""
    options: dict[str, Any] = {"file": "systemd_start", "after": ("drill_let_up",), "deadline_s": within_s + 30}
    return hosted("drill-start-again", instance_dir, unit, units, is_privileged=True, **options)


def logs(instance_dir: str, unit: str, lines: int) -> Command:
    """Prints the last lines of the instance's log, from the journal."""
    text = 'journalctl --unit="$2" --lines="$3" --output=cat --no-pager --quiet'
    return script("systemd-logs", text, instance_dir, unit, lines, is_privileged=True)


def reload_units() -> Command:
    """Has systemd read the unit files anew."""
    return Command(("systemctl", "daemon-reload"), is_privileged=True)


def has_unit(application: str, unit: str, launcher_path: str) -> Command:
    """Exit 0 where the template unit has this text, its launcher is in place, and systemd has read the unit."""
    paths = (f"{UNITS}/{template_name(application)}", sha256_of(unit), launcher_path, sha256_of(launcher()))
    return hosted("systemd-has-unit", *paths, is_privileged=True)


def enable_now(service: str) -> Command:
    """Starts a service of the distribution's, now and at every boot."""
    return Command(("systemctl", "enable", "--quiet", "--now", service), is_privileged=True, deadline_s=60)


def is_enabled(service: str) -> Command:
    """Exit 0 where the service runs, and starts at boot."""
    return script("systemd-is-enabled", 'systemctl --quiet is-active "$1" && systemctl --quiet is-enabled "$1"', service)
