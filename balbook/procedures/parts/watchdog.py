"""The watchdogs of drills: where they stand, and what a later run does about one that outlived its drill.

One that was set by a drill whose process was killed would act in the middle of the later run: it would start what that
has stopped, or put into service what that has taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from balbook.commands import faults
from balbook.inventory.models import Instance
from balbook.plan.model import Run, Step
from balbook.procedures.parts import supervision
from balbook.procedures.parts.balancing import Front
from balbook.procedures.parts.site import Site


def instance_file(site: Site, instance: Instance) -> str:
    """What names the watchdog of a fault on the instance's host."""
    return f"{site.instance_dir(instance)}/drill-watchdog"


def drain_file(front: Front) -> str:
    """What names the watchdog of an instance that was taken out of service."""
    return f"{front.place.prefix}/drill-watchdog-{front.site.application_name}"


def configuration_file(front: Front) -> str:
    """What names the watchdog that brings the inventory's configuration back."""
    return f"{front.place.prefix}/drill-configuration-{front.site.application_name}"


def files_on(site: Site, host: str, front: Front | None) -> list[str]:
    """All that may name one of the application's watchdogs on this host."""
    files = [instance_file(site, instance) for instance in site.application.instances if instance.host == host]
    return [*files, *([drain_file(front), configuration_file(front)] if front and front.host == host else [])]


def end_pending(site: Site, watchdogs: Mapping[str, Mapping[str, str]]) -> list[Step]:
    """The steps that call off what still stands, by host; what the run itself would not repair is repaired.

    It does repair one that is dead or drained, and the configuration.
    """
    return [
        Step(
            verb="end watchdog",
            about=f"{host} {number}",
            host=host,
            title=f"call off the watchdog of a drill that was cut off ({fault})",
            actions=(Run(faults.end_watchdog(file, is_privileged=True)), *_repair(site, host, file, fault)),
        )
        for host, found in sorted(watchdogs.items())
        for number, (file, fault) in enumerate(sorted(found.items()), 1)
    ]


def _repair(site: Site, host: str, file: str, fault: str) -> tuple[Run, ...]:
    """Of a fault in whose place a new release would not come to serve, or would be waited for in vain."""
    instance = next((i for i in site.application.instances if i.host == host and instance_file(site, i) == file), None)
    if instance is None:
        return ()
    match fault:
        case "kill":
            return tuple(Run(command) for command in supervision.let_up(site, instance))
        case "blackhole":
            return (Run(faults.open_again(instance.port)),)
        case "hang":  # 1: it has died meanwhile
            return (Run(replace(faults.wake(site.instance_dir(instance)), expect=(0, 1))),)
    return ()
