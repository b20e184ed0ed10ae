"""The watchdogs of drills: their files, and the steps of a later run for a watchdog that outlived its drill.

The watchdog of a drill whose process was killed would act in the middle of the later run: the watchdog would start an instance
that the run has stopped, or put one into service that the run has taken out.
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
    """The file of a fault's watchdog on the instance's host."""
    return f"{site.instance_dir(instance)}/drill-watchdog"


def drain_file(front: Front) -> str:
    """The file of the watchdog of a drained instance."""
    return f"{front.place.prefix}/drill-watchdog-{front.site.application_name}"


def configuration_file(front: Front) -> str:
    """The file of the watchdog that restores the inventory's configuration."""
    return f"{front.place.prefix}/drill-configuration-{front.site.application_name}"


def files_on(site: Site, host: str, front: Front | None) -> list[str]:
    """The files of all watchdogs that the application can have on this host."""
    files = [instance_file(site, instance) for instance in site.instances_on(host)]
    return [*files, *([drain_file(front), configuration_file(front)] if front and front.host == host else [])]


def end_pending(site: Site, watchdogs: Mapping[str, Mapping[str, str]]) -> list[Step]:
    """The steps that call off each watchdog that still stands, and repair the faults that the run itself would not repair.

    The run itself repairs an instance that is dead or drained, and the configuration.
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
    """The repair of a fault that would keep a new release from serving."""
    instance = next((i for i in site.instances_on(host) if instance_file(site, i) == file), None)
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
