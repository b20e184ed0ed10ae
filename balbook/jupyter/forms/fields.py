"""The fields of a form: their choices, and the problem with a value by the same rules as `balbook apply`. No widget."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook import procedures
from balbook.artifacts.store import Artifact, Store
from balbook.errors import BadInput, BalbookError, ParameterError
from balbook.inventory import Inventory, load_inventory
from balbook.local.lab_place import running_inventory
from balbook.notebook.parameters import Parameter, check_parameters, parse_assignments
from balbook.notebook.runbook import Runbook, find_runbooks
from balbook.procedures.failover_drill import FAULTS
from balbook.run.opening import MODES, Request
from balbook.run.run import require_no_secrets

MODE_WORDS = {"plan": "plan: changes nothing", "apply": "apply: changes hosts, at your click"}
CHOOSE = "choose …"
RETRIEVE = "retrieve"
"""The runbook whose releases come from a registry, which the form does not ask: its field takes any text."""


@dataclass
class World:
    """The inventory by which values are checked; None, and `problem`, where the inventory cannot be read."""

    inventory: Inventory | None = None
    problem: str = ""

    @classmethod
    def read(cls, parameter: str) -> World:
        """Finds the inventory as `balbook apply` does."""
        try:
            running = running_inventory(os.environ)
            return cls(load_inventory(None, parameter=parameter, environ=os.environ, cwd=Path.cwd(), lab_inventory=running))
        except BadInput as exc:
            return cls(problem=str(exc))


def choices(runbook: Runbook, parameter: Parameter, world: World, values: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """The choices as (shown, value); None where the field takes any text."""
    inventory, chosen = world.inventory, str(values.get("application", ""))
    match parameter.name:
        case "mode":
            return [(MODE_WORDS[mode], mode) for mode in MODES]
        case "fault":
            return [(fault, fault) for fault in FAULTS]
        case "application" if inventory and inventory.applications:
            return [*([] if len(inventory.applications) == 1 else [(CHOOSE, "")]), *((name, name) for name in inventory.applications)]
        case "strategy" if inventory:
            own = inventory.applications[chosen].strategy if chosen in inventory.applications else "its own"
            return [(f"the inventory's ({own})", ""), *((name, name) for name in procedures.STRATEGIES)]
        case "hosts" if inventory:
            return [(f"{name} ({', '.join(host.roles)})", name) for name, host in inventory.hosts.items()]
        case "release" if inventory and runbook.name != RETRIEVE:
            return _releases(runbook, inventory, chosen)
    return None


def _releases(runbook: Runbook, inventory: Inventory, application: str) -> list[tuple[str, str]]:
    """The store's releases, newest first, after the runbook's own choice; only the latter until an application is chosen."""
    known: list[Artifact] = []
    if is_chosen := application in inventory.applications:
        with suppress(BalbookError):
            known = Store(inventory.resolve(inventory.artifacts)).artifacts(application)
    newest = f" ({known[-1].version})" if known else " (no release yet)" if is_chosen else ""
    own = {"": "the previous proven release", "latest": f"latest{newest}"}
    first = [(own[p.default], p.default) for p in runbook.parameters if p.name == "release" and p.default in own]
    return [*first, *((f"{a.version} ({a.published_at[:10]}, {a.sha256[:12]})", a.version) for a in reversed(known))]


def value_of(parameter: Parameter, raw: Any) -> Any:
    """The value of a field; raises ParameterError where the value is not of the declared type."""
    if parameter.type == "list[str]" and isinstance(raw, str):
        return parse_assignments([parameter], [f"{parameter.name}={raw}"])[parameter.name]
    return check_parameters([parameter], {parameter.name: list(raw) if isinstance(raw, tuple) else raw})[parameter.name]


def problem_with(runbook: Runbook, parameter: Parameter, raw: Any, world: World, values: Mapping[str, Any]) -> str:
    """The problem with one field, in a sentence or two; empty where its value is good."""
    if parameter.name == "inventory" and world.problem:
        return world.problem
    try:
        value = value_of(parameter, raw)
        if parameter.name == "mode" and value not in MODES:
            raise ParameterError(f"{value!r} is neither 'plan' nor 'apply'")
        if parameter.name == "fault" and value not in FAULTS:
            raise ParameterError(f"{value!r} is not a known fault", advice=f"Choose one of {', '.join(FAULTS)}.")
        if world.inventory:
            procedures.check_names(world.inventory, {parameter.name: value})
            require_no_secrets({parameter.name: value}, world.inventory.secrets.scrubber)
            application = str(values.get("application", ""))
            # A rollback (its default is empty) goes to a release of the hosts, a retrieved release comes from a registry.
            is_of_store = parameter.name == "release" and parameter.default == "latest" and runbook.name != RETRIEVE
            if is_of_store and application in world.inventory.applications:
                Store(world.inventory.resolve(world.inventory.artifacts)).find(application, str(value))
    except BalbookError as exc:
        return f"{exc.message.removeprefix(f'parameter {parameter.name}: ').rstrip('.')}. {exc.advice}".strip()
    return ""


def command_line(request: Request) -> str:
    """The `balbook apply` (or `plan`) that does the same; a runbook of the user's own is named by its file."""
    name = request.name if request.name in find_runbooks() else str(request.runbook.path.absolute())
    words = ["balbook", request.parameters["mode"], name, "-i", str(request.inventory.path)]
    for parameter in request.runbook.parameters:
        value = request.parameters[parameter.name]
        if parameter.name not in ("inventory", "mode") and value != parameter.default:
            written = ",".join(value) if parameter.type == "list[str]" else str(value)
            words += ["-p", f"{parameter.name}={written.lower() if parameter.type == 'bool' else written}"]
    return shlex.join(words)
