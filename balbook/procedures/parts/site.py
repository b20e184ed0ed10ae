"""The site of a procedure: the inventory, the parameters, the hosts, and the names of places on the hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from balbook import transport as transports
from balbook.artifacts.store import Store
from balbook.commands import health
from balbook.commands.command import Command
from balbook.errors import BadInput, nearest
from balbook.facts import Fact
from balbook.inventory.models import Application, Host, Instance, Inventory
from balbook.plan.settings import LeasePlace
from balbook.transport import Outcomes, Transport, fan_out

Value = TypeVar("Value")


@dataclass(frozen=True)
class Site:
    """One runbook's view of the world. A parameter `strategy` replaces the strategy that the inventory gives the application."""

    inventory: Inventory
    transport: Transport
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inventory", with_strategy(self.inventory, self.parameters))

    @property
    def application_name(self) -> str:
        """The application that the parameters name; BadInput where the inventory has no such application."""
        name, known = str(self.parameters.get("application", "")), self.inventory.applications
        if name not in known:
            raise BadInput(f"parameter application: {name!r} is not in {self.inventory.path}", advice=nearest(name, known))
        return name

    @property
    def application(self) -> Application:
        return self.inventory.applications[self.application_name]

    @cached_property
    def store(self) -> Store:
        return Store(self.inventory.resolve(self.inventory.artifacts))

    def host(self, name: str) -> Host:
        return self.inventory.hosts[name]

    def application_dir(self, host: str, application: str = "") -> str:
        """`ROOT/APPLICATION` on that host."""
        return f"{self.host(host).root}/{application or self.application_name}"

    def artifact_path(self, host: str, sha256: str) -> str:
        """`ROOT/APPLICATION/artifacts/SHA256` on that host: one file for all releases of the same artifact."""
        return f"{self.application_dir(host)}/artifacts/{sha256}"

    def instance_dir(self, instance: Instance) -> str:
        """`ROOT/APPLICATION/instances/PORT` on the instance's host."""
        return f"{self.application_dir(instance.host)}/instances/{instance.port}"

    @property
    def application_hosts(self) -> list[str]:
        """The hosts of the application's instances, each once, in the inventory's order."""
        return list(dict.fromkeys(instance.host for instance in self.application.instances))

    @property
    def lease_place(self) -> LeasePlace:
        """The application's lease: on its balancer's host, else on the first instance's."""
        return lease_place(self.inventory, self.application_name)

    def instances_on(self, host: str) -> list[Instance]:
        """The application's instances on one host."""
        return [instance for instance in self.application.instances if instance.host == host]

    def is_healthy(self, instance: Instance) -> Command:
        """Exits 0 on the instance's host where the instance is healthy."""
        check = self.application.health
        return health.is_healthy(instance.port, check.path, check.expect)

    def holds(self, host: str, command: Command) -> bool:
        """True where the read-only command exits 0 on the host."""
        return self.transport.execute(host, command).status == 0

    def read(self, host: str, command: Command) -> str:
        """The output of a read-only command on the host; CommandFailed where its status is unexpected."""
        return transports.run(self.transport, host, command).stdout

    def ask(self, host: str, fact: Fact[Value]) -> Value:
        """A fact of one host."""
        return fact.parse(self.read(host, fact.command))

    def ask_all(self, hosts: Iterable[str], fact: Callable[[str], Fact[Value]]) -> Outcomes[Value]:
        """A fact of every host, side by side."""
        return fan_out(hosts, lambda host: self.ask(host, fact(host)))


def with_strategy(inventory: Inventory, parameters: Mapping[str, Any]) -> Inventory:
    """The inventory with the parameters' strategy for their application, where they name one."""
    name, strategy = str(parameters.get("application", "")), str(parameters.get("strategy", ""))
    if not strategy or name not in inventory.applications:
        return inventory
    changed = inventory.applications[name].model_copy(update={"strategy": strategy})
    return inventory.model_copy(update={"applications": {**inventory.applications, name: changed}})


def lease_place(inventory: Inventory, application: str) -> LeasePlace:
    """The place of an application's lease."""
    app = inventory.applications[application]
    host = inventory.balancers[app.balancer].host if app.balancer else app.instances[0].host
    return LeasePlace(application, host, f"{inventory.hosts[host].root}/locks/{application}")
