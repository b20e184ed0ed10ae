"""What keeps instances running, systemd or balbook itself: the choice between the two is made here and nowhere else."""

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
    """How long a process may take to stop."""
    return round(application.graceful_stop_s) + STOP_GRACE_S


def start(site: Site, instance: Instance) -> Command:
    """Starts the release that the instance points to; nothing where it runs already."""
    place = site.instance_dir(instance)
    if _by_systemd(site, instance.host):
        return systemd.start(place, _unit(site, instance), site.application.health.within_s)
    return process.start(place, instance.port, site.application.system.nofile)


def keep_down(site: Site, instance: Instance) -> tuple[Command, ...]:
    """What it takes that a process which is killed stays so, until `start_again` or `let_up`."""
    return (systemd.keep_down(_unit(site, instance)),) if _by_systemd(site, instance.host) else ()


def let_up(site: Site, instance: Instance) -> tuple[Command, ...]:
    """What takes that back, and starts nothing."""
    place = site.instance_dir(instance)
    return (systemd.let_up(place, _unit(site, instance)),) if _by_systemd(site, instance.host) else ()


def start_again(site: Site, instance: Instance) -> Command:
    """Starts what was kept down; nothing but that is taken back where it runs already."""
    if not _by_systemd(site, instance.host):
        return start(site, instance)
    return systemd.start_again(site.instance_dir(instance), _unit(site, instance), site.application.health.within_s)


def stop(site: Site, instance: Instance, within_s: int) -> Command:
    """SIGTERM, and SIGKILL after `within_s` seconds; nothing where nothing runs."""
    place = site.instance_dir(instance)
    return systemd.stop(place, _unit(site, instance), within_s) if _by_systemd(site, instance.host) else process.stop(place, within_s)


def logs(site: Site, instance: Instance, lines: int) -> Command:
    """The last lines of the instance's log."""
    place = site.instance_dir(instance)
    return systemd.logs(place, _unit(site, instance), lines) if _by_systemd(site, instance.host) else process.logs(place, lines)


def log_source(site: Site, instance: Instance) -> str:
    """Where the instance's log is, as `process.executed_ids` takes it: the instance's directory, or a unit."""
    return _unit(site, instance) if _by_systemd(site, instance.host) else site.instance_dir(instance)


def account(site: Site, host: str, application: str) -> str:
    """The service account of an application's instances; empty: the login."""
    return (site.inventory.applications[application].account or application) if _by_systemd(site, host) else ""


def launcher_path(site: Site, host: str, application: str) -> str:
    """Where the script is that the unit starts."""
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
    """Exit 0 where the host has the application's unit as it should be; None where it needs none."""
    if not _by_systemd(site, host):
        return None
    return systemd.has_unit(application, unit_text(site, host, application), launcher_path(site, host, application))


def units(site: Site) -> dict[str, bool]:
    """Whether the application's unit is as it should be, of each host that needs one. Raises BalbookError where a host does not answer."""
    wanted = {host: there for host in site.application_hosts if (there := has_unit(site, host, site.application_name))}
    return fan_out(wanted, lambda host: site.transport.execute(host, wanted[host]).status == 0).require()


def _by_systemd(site: Site, host: str) -> bool:
    return site.host(host).supervisor == "systemd"


def _unit(site: Site, instance: Instance) -> str:
    return systemd.unit_name(site.application_name, instance.port)
