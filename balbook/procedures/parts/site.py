"""Where a procedure works: the inventory, the parameters, the hosts; and the names of places on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from balbook import transport as transports
from balbook.artifacts.store import Store
from balbook.errors import BadInput, nearest
from balbook.facts import Fact
from balbook.inventory.models import Application, Host, Instance, Inventory
from balbook.plan.settings import LeasePlace
from balbook.transport import Outcomes, Transport, fan_out

Value = TypeVar("Value")


@dataclass(frozen=True)
class Site:
    """One runbook's view of the world. A parameter `strategy` stands in for that of the inventory's application."""

    inventory: Inventory
    transport: Transport
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inventory", with_strategy(self.inventory, self.parameters))

    @property
    def application_name(self) -> str:
        """The application that the parameters name; BadInput where the inventory has none such."""
        name = str(self.parameters.get("application", ""))
        if name not in self.inventory.applications:
            raise BadInput(
                f"parameter application: {name!r} is not in {self.inventory.path}", advice=nearest(name, self.inventory.applications)
            )
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

    def ask(self, host: str, fact: Fact[Value]) -> Value:
        """A fact of one host."""
        return fact.parse(transports.run(self.transport, host, fact.command).stdout)

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
    """Where an application's lease lives."""
    app = inventory.applications[application]
    host = inventory.balancers[app.balancer].host if app.balancer else app.instances[0].host
    return LeasePlace(application, host, f"{inventory.hosts[host].root}/locks/{application}")
