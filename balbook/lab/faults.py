"""Faults of instances in the loopback lab: a crash, a process that hangs, and the end of the hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from balbook.errors import ParameterError, Refused, nearest
from balbook.lab.loopback import lab_of, status
from balbook.local import processes
from balbook.local.lab_place import DEFAULT_NAME
from balbook.local.processes import Process

FAULTS = {"kill": signal.SIGKILL, "hang": signal.SIGSTOP, "resume": signal.SIGCONT}


def inject(fault: str, instance: str, name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Process:
    """Injects a fault into the process that serves `instance` (`app1:9090`, or `app1`); returns the process.

    `kill`: the process dies at once. `hang`: the process holds its connections and answers nothing, until `resume`. Raises ParameterError
    for an unknown fault or instance, Refused where the lab is not up or nothing serves the instance.
    """
    if fault not in FAULTS:
        raise ParameterError(f"{fault!r} is not a known fault", advice=nearest(fault, FAULTS))
    process = serving(instance, name, environ=environ)
    if not processes.send(process, FAULTS[fault]):
        raise Refused(f"{instance}: process {process.pid} has ended meanwhile", advice="`balbook lab status` shows the instances that run.")
    return process


def serving(instance: str, name: str = DEFAULT_NAME, *, environ: Mapping[str, str] = os.environ) -> Process:
    """The process of the lab that listens on the instance's port."""
    lab = lab_of(name, environ=environ)
    instances = {e.name: e for e in status(name, environ=environ).instances}
    known = instances | {full.partition(":")[0]: endpoint for full, endpoint in instances.items()}
    if instance not in known:
        raise ParameterError(f"lab {name} has no instance {instance!r}", advice=nearest(instance, instances))
    found = {process.pid: process for process in processes.of_lab(lab.folder)}
    if (pid := known[instance].pid) is None or pid not in found:
        raise Refused(f"no process of lab {name} listens on {known[instance].name}", advice="Deploy first: balbook apply centralized.")
    return found[pid]
