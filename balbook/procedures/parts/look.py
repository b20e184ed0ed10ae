"""One look at an application: what is installed, runs, is healthy, is in service; all hosts side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from balbook.commands.health import is_healthy
from balbook.errors import BalbookError, DeadlineExceeded, HostError
from balbook.facts.releases import Installed, RunningInstance, installed
from balbook.facts.system import System, system
from balbook.facts.watchdogs import watchdogs
from balbook.inventory.models import Instance
from balbook.procedures.parts import watchdog
from balbook.procedures.parts.balancing import Front, front
from balbook.procedures.parts.site import Site
from balbook.transport import Outcomes, fan_out

SILENT = (HostError, DeadlineExceeded)
"""How a host is told that does not answer."""


@dataclass(frozen=True)
class Seen:
    """What one look found, by host or by instance (`host:port`). `silent`: why hosts said nothing, of whom there is no more."""

    installed: Mapping[str, Installed]
    systems: Mapping[str, System]
    watchdogs: Mapping[str, Mapping[str, str]]
    """By host, the files of drills' watchdogs that still stand, each with the fault that it repairs."""
    is_healthy: Mapping[str, bool]
    in_service: Mapping[str, bool]
    front: Front | None
    balancer_text: str
    is_final_applied: bool
    silent: Mapping[str, BalbookError] = field(default_factory=dict)

    def instance(self, instance: Instance) -> RunningInstance | None:
        return self.installed[instance.host].instances.get(instance.port)

    def running(self, instance: Instance) -> str | None:
        """The release that the instance's process was started with."""
        there = self.instance(instance)
        return there.running if there else None

    def current(self, instance: Instance) -> str | None:
        """The release that the instance points to."""
        there = self.instance(instance)
        return there.current if there else None

    def pid(self, instance: Instance) -> int | None:
        there = self.instance(instance)
        return there.pid if there else None

    def is_serving(self, instance: Instance) -> bool:
        return self.is_healthy[instance.name] and (self.front is None or self.in_service[instance.name])

    def revision(self, instance: Instance) -> Mapping[str, Any]:
        """The REVISION of what runs, or of what the instance points to."""
        name = self.running(instance) or self.current(instance)
        found = self.installed[instance.host].releases.get(name or "")
        return found.revision if found else {}


@dataclass(frozen=True)
class _HostSeen:
    installed: Installed | None
    system: System
    watchdogs: Mapping[str, str]
    healthy: Mapping[str, bool]
    text: str
    is_final_applied: bool


def look(site: Site, *, is_whole: bool = True) -> Seen:
    """Reads the facts of every host of the application; raises the HostErrors of all that cannot be asked.

    Unless it `is_whole`: then the instances of a host that does not answer are not healthy, and only the balancer's must.
    """
    behind = front(site)
    hosts = [*site.application_hosts, *([behind.host] if behind else [])]
    outcomes = fan_out(hosts, lambda host: _look_at(site, host, behind))
    silent = {} if is_whole else _silent(outcomes, behind)
    found = outcomes.succeeded if silent else outcomes.require()
    application = site.application
    text = found[behind.host].text if behind else ""
    return Seen(
        installed={host: seen.installed for host, seen in found.items() if seen.installed is not None},
        systems={host: seen.system for host, seen in found.items()},
        watchdogs={host: seen.watchdogs for host, seen in found.items() if seen.watchdogs},
        is_healthy={i.name: i.host in found and found[i.host].healthy[i.name] for i in application.instances},
        in_service=behind.in_service(text) if behind else {i.name: False for i in application.instances},
        front=behind,
        balancer_text=text,
        is_final_applied=found[behind.host].is_final_applied if behind else True,
        silent=silent,
    )


def _silent(outcomes: Outcomes[_HostSeen], behind: Front | None) -> dict[str, BalbookError]:
    """The hosts that do not answer, where one can do without them; none where something else is wrong."""
    failed = outcomes.failed
    is_theirs_alone = all(isinstance(error, SILENT) for error in failed.values())
    return failed if is_theirs_alone and (behind is None or behind.host not in failed) else {}


def _look_at(site: Site, host: str, behind: Front | None) -> _HostSeen:
    application = site.application
    is_app_host = host in site.application_hosts
    there = site.ask(host, installed(site.application_dir(host))) if is_app_host else None
    healthy = {
        i.name: site.transport.execute(host, is_healthy(i.port, application.health.path, application.health.expect)).status == 0
        for i in application.instances
        if i.host == host
    }
    is_front = behind is not None and behind.host == host
    text = behind.read() if behind and is_front else ""
    is_final = bool(behind and is_front and site.transport.execute(host, behind.is_final()).status == 0)
    pending = site.ask(host, watchdogs(watchdog.files_on(site, host, behind)))
    return _HostSeen(there, site.ask(host, system(site.host(host).root)), pending, healthy, text, is_final)
