"""The supervision of instances, by systemd or balbook itself: the choice between the two is made here and nowhere else."""

from __future__ import annotations

from balbook.commands import process, systemd
from balbook.commands.command import Command
from balbook.inventory.models import Application, Instance
from balbook.local.rendering import render
from balbook.procedures.parts.site import Site
from balbook.transport import fan_out

STOP_GRACE_S = 15
"""Beyond `gracefulStopTimeout`, for the end of the process itself."""
HOMES = ("/home/", "/root/", "/run/user/")


def stop_within_s(application: Application) -> int:
    """The longest time in which a process stops by itself."""
    return round(application.graceful_stop_s) + STOP_GRACE_S


def start(site: Site, instance: Instance, *, is_kept_down: bool = False) -> Command:
    """Starts the release that the instance points to, after `keep_down` too; changes nothing else where the release runs already."""
    place = site.instance_dir(instance)
    if not _by_systemd(site, instance.host):
        return process.start(place, instance.port, site.application.system.nofile)
    begin = systemd.start_again if is_kept_down else systemd.start
    return begin(place, _unit(site, instance), site.application.health.within_s)


def keep_down(site: Site, instance: Instance) -> tuple[Command, ...]:
    """The commands that keep a killed process down, until `start` or `let_up`."""
    return (systemd.keep_down(_unit(site, instance)),) if _by_systemd(site, instance.host) else ()


def let_up(site: Site, instance: Instance) -> tuple[Command, ...]:
    """The commands that take `keep_down` back, and start nothing."""
    place = site.instance_dir(instance)
    return (systemd.let_up(place, _unit(site, instance)),) if _by_systemd(site, instance.host) else ()


def stop(site: Site, instance: Instance, within_s: int) -> Command:
    """SIGTERM, and SIGKILL after `within_s` seconds; no change where no process runs."""
    place = site.instance_dir(instance)
    return systemd.stop(place, _unit(site, instance), within_s) if _by_systemd(site, instance.host) else process.stop(place, within_s)


def logs(site: Site, instance: Instance, lines: int) -> Command:
    """The last lines of the instance's log."""
    place = site.instance_dir(instance)
    return systemd.logs(place, _unit(site, instance), lines) if _by_systemd(site, instance.host) else process.logs(place, lines)


def log_source(site: Site, instance: Instance) -> str:
    """The place of the instance's log, as `process.executed_ids` takes it: the instance's directory, or a unit."""
    return _unit(site, instance) if _by_systemd(site, instance.host) else site.instance_dir(instance)


def account(site: Site, host: str, application: str) -> str:
    """The service account of an application's instances; empty: the login."""
    return (site.inventory.applications[application].account or application) if _by_systemd(site, host) else ""


def launcher_path(site: Site, host: str, application: str) -> str:
    """The path of the script that the unit starts."""
    return f"{site.application_dir(host, application)}/launch"


def unit_text(site: Site, host: str, application: str) -> str:
    """The template unit of an application on this host."""
    app, place = site.inventory.applications[application], site.application_dir(host, application)
    return render(
        "systemd/instance.service.j2",
        application=application,
        account=account(site, host, application),
        place=place,
        stop_s=stop_within_s(app),
        nofile=app.system.nofile,
        memory_mb=app.system.memory_mb,
        needs_low_port=any(i.port < 1024 for i in app.instances if i.host == host),
        is_below_home=place.startswith(HOMES),
    )


def has_unit(site: Site, host: str, application: str) -> Command | None:
    """Exits 0 where the host has the application's unit as the inventory asks; None where the host needs no unit."""
    if not _by_systemd(site, host):
        return None
    return systemd.has_unit(application, unit_text(site, host, application), launcher_path(site, host, application))


def units(site: Site) -> dict[str, bool]:
    """True by host where the application's unit is as the inventory asks. Raises BalbookError where a host does not answer."""
    wanted = {host: there for host in site.application_hosts if (there := has_unit(site, host, site.application_name))}
    return fan_out(wanted, lambda host: site.holds(host, wanted[host])).require()


def _by_systemd(site: Site, host: str) -> bool:
    return site.host(host).supervisor == "systemd"


def _unit(site: Site, instance: Instance) -> str:
    return systemd.unit_name(site.application_name, instance.port)
