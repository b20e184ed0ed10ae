"""The checks, plans and verifications of each runbook; a module a runbook.

A procedure never changes a host: it reads facts and returns plans. Each module offers

    preflight(site) -> Table                     read-only facts, for the reader
    plan(site) -> Plan                           what would be done
    verify(site, plan) -> list[Check]            fresh facts, after the plan was applied
    evidence(site, plan, run_dir) -> list[Table | Folded]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from balbook.artifacts import sources
from balbook.errors import BadInput, ParameterError, nearest
from balbook.inventory.models import Inventory
from balbook.local.names import require_word
from balbook.notebook.runbook import runbook_path
from balbook.plan.model import Plan
from balbook.procedures.parts.own import own_procedure
from balbook.procedures.parts.site import Site
from balbook.show.table import Shown, Table

NAMES = (
    *("build", "configure", "consolidate", "deploy", "failover_drill", "hot_deploy", "install", "pack_push", "provision"),
    *("publish_artifact", "report", "retrieve", "rollback", "verify"),
)
STRATEGIES = ("active_active", "active_active_checked", "active_passive")


@dataclass(frozen=True)
class Check:
    """A check of the result of a run. `otherwise`: the sentence that stands where the check failed, such as `app1:9090 is not healthy`."""

    what: str
    is_so: bool
    found: str = ""
    otherwise: str = ""

    @property
    def failure(self) -> str:
        """The sentence for people where the check failed."""
        return self.otherwise or self.what + (f" (found: {self.found})" if self.found else "")


class Procedure(Protocol):
    """The functions of a procedure's module."""

    def preflight(self, site: Site) -> Table: ...

    def plan(self, site: Site) -> Plan: ...

    def verify(self, site: Site, plan: Plan) -> Sequence[Check]: ...

    def evidence(self, site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]: ...


def procedure(name: str, notebook: Path | None = None) -> Procedure:
    """The procedure of a runbook: a module of this package, or of a runbook of the user's own the file `NAME.py` beside it.

    `notebook`: the path of the user's own runbook, where that is known.
    """
    if name in NAMES:
        return cast(Procedure, import_module(f"balbook.procedures.{name}"))
    if notebook is None:
        try:
            notebook = runbook_path(name)
        except BadInput as exc:
            raise BadInput(f"no procedure is called {name!r}", advice=nearest(name, NAMES)) from exc
    return own_procedure(notebook.with_suffix(".py"))


def with_defaults(inventory: Inventory, runbook: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, where nobody gave a value (`""` or `[]`) with the inventory's default; a single application is the default."""
    defaults = {**inventory.defaults.get("*", {}), **inventory.defaults.get(runbook, {})}
    if len(inventory.applications) == 1:
        defaults.setdefault("application", next(iter(inventory.applications)))
    return {name: defaults.get(name, value) if value in ("", []) else value for name, value in parameters.items()}


def check_names(inventory: Inventory, parameters: Mapping[str, Any]) -> None:
    """Checks the names among a runbook's parameters against the inventory; raises ParameterError. Touches nothing."""
    if "application" in parameters:
        _require_known("application", str(parameters["application"]), inventory.applications, inventory)
    for host in parameters.get("hosts", ()):
        _require_known("hosts", host, inventory.hosts, inventory)
    for name in ("release", "version"):
        if parameters.get(name):
            require_word(str(parameters[name]), f"parameter {name}")
    for source in parameters.get("packages", ()):
        if sources.is_git(source):
            sources.parse_reference(source)  # before it is written anywhere: it might hold a credential
    strategy = parameters.get("strategy")
    if strategy and strategy not in STRATEGIES:
        raise ParameterError(f"parameter strategy: {strategy!r} is not known", advice=nearest(strategy, STRATEGIES))
    if int(parameters.get("serial", 1)) < 1:
        raise ParameterError(
            f"parameter serial: {parameters['serial']} is below 1", advice="Give the number of instances that change at the same time."
        )


def check_values(inventory: Inventory, runbook: str, parameters: Mapping[str, Any]) -> None:
    """Checks the names, and the values by the function `check` of the runbook's own procedure. Touches nothing."""
    check_names(inventory, parameters)
    module = import_module(f"balbook.procedures.{runbook}") if runbook in NAMES else None
    if check := getattr(module, "check", None):
        check(inventory, parameters)


def _require_known(parameter: str, name: str, known: Mapping[str, object], inventory: Inventory) -> None:
    if name not in known:
        found = f"{name!r} is not in {inventory.path}" if name else "no value is given"
        raise ParameterError(f"parameter {parameter}: {found}", advice=nearest(name, known))
