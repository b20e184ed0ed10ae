"""Changes of a balancer's targets: one place for every kind of balancer.

NGINX is changed by its file and a reload. HAProxy's instances are drained and readmitted through its runtime socket: no
reload, no connection is closed; its file says the same, for its next start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from balbook.commands import balancer as balancing
from balbook.commands import haproxy, nginx
from balbook.commands.balancer import Place, State
from balbook.commands.command import Command
from balbook.facts.balancer import configuration, parse_runtime, parse_servers, without_runtime
from balbook.inventory.balancers import Kind
from balbook.inventory.models import Balancer, Instance
from balbook.plan.model import Action, Run
from balbook.procedures.parts.release import diff_of
from balbook.procedures.parts.site import Site


@dataclass(frozen=True)
class Front(ABC):
    """An application's balancer: its host, its files, and the actions that change it."""

    site: Site
    name: str
    balancer: Balancer
    place: Place
    path: str

    @property
    def host(self) -> str:
        return self.balancer.host

    @abstractmethod
    def apply(self, states: Mapping[str, State]) -> tuple[Action, ...]:
        """Puts these instances in or out of service, once those that leave have no request in hand."""

    @abstractmethod
    def is_applied(self, states: Mapping[str, State]) -> Command:
        """Exits 0 where these states are in force and the instances out of service have no request in hand."""

    @abstractmethod
    def read(self) -> str:
        """The balancer's present configuration; empty where the balancer has none of balbook's."""

    def finish(self) -> tuple[Action, ...]:
        """Puts the whole configuration in force as the inventory has it, with every instance in service."""
        return self.apply({})

    def is_final(self) -> Command:
        """Exits 0 where the inventory's configuration is in force."""
        return self.is_applied({})

    def in_service(self, text: str) -> dict[str, bool]:
        """By instance, True where it is in service, as `read` said; False for an instance that is missing in `text`."""
        servers = parse_servers(text)
        return {s.name: servers.get(s.address, False) for s in self._servers}

    @staticmethod
    @abstractmethod
    def start(place: Place, content: str, generation_port: int) -> Command:
        """Starts a balancer with this main file, or reloads the running one with the file."""

    @staticmethod
    @abstractmethod
    def is_running(place: Place, content: str) -> Command:
        """Exits 0 where the balancer runs with this main file."""

    @staticmethod
    @abstractmethod
    def stop(place: Place) -> Command:
        """Ends a balancer of balbook's own once its clients are served; a balancer that does not run is no error."""

    def text(self, states: Mapping[str, State]) -> str:
        """The configuration that has these instances in or out of service."""
        return balancing.render_balancer(self.site.inventory, self.site.application_name, states)

    def is_reachable(self, instance: Instance) -> bool:
        """True where requests from the balancer's own host reach the instance; `ip_hash` sends all to one, a passive one gets none."""
        application = self.site.application
        if self.balancer.method == "ip_hash":
            return len(application.instances) == 1
        return application.strategy != "active_passive" or instance.name == application.instances[0].name

    def answers(self, instance: Instance) -> Command:
        """Exits 0 once this instance answered a health request through the balancer."""
        check, tls = self.site.application.health, self.balancer.tls
        url = f"https://127.0.0.1:{tls.listen}{check.path}" if tls else f"http://127.0.0.1:{self.balancer.listen}{check.path}"
        address, host_name = self.site.host(instance.host).address, balancing.host_name(self.site.application_name)
        requests = 4 * len(self.site.application.instances) + 4
        return nginx.through_balancer(url, address, instance.port, expect=check.expect, host_name=host_name, requests=requests)

    @property
    def longest_s(self) -> float:
        """The longest time of a request in hand, of other applications too: a reload waits for all."""
        return balancing.longest_s(self.site.inventory, self.name)

    @property
    def _servers(self) -> list[balancing.Server]:
        return balancing.servers_of(self.site.inventory, self.site.application_name, {})


class NginxFront(Front):
    """NGINX, open source or Plus."""

    is_running, stop = staticmethod(nginx.is_running), staticmethod(nginx.stop)

    @staticmethod
    def start(place: Place, text: str, generation_port: int) -> Command:
        return nginx.start(place, text)

    def apply(self, states: Mapping[str, State]) -> tuple[Action, ...]:
        within_s = self.longest_s + 10
        change = nginx.apply_configuration(self.place, self.path, self.text(states), **self._generation, old_workers_within_s=within_s)
        return (Run(change),)

    def is_applied(self, states: Mapping[str, State]) -> Command:
        pid_file = self.place.pid_file if "down" in states.values() else ""
        return nginx.is_applied(self.path, self.text(states), **self._generation, pid_file=pid_file)

    def read(self) -> str:
        return self.site.read(self.host, configuration(self.path))

    @property
    def _generation(self) -> dict[str, Any]:
        host = balancing.generation_host(self.site.application_name)
        return {"generation_port": self.balancer.generation_port, "generation_host": host}


class HaproxyFront(Front):
    """HAProxy."""

    is_running, stop = staticmethod(haproxy.is_running), staticmethod(haproxy.stop)

    @staticmethod
    def start(place: Place, text: str, generation_port: int) -> Command:
        return haproxy.apply_configuration(place, text, generation_port=generation_port)

    def apply(self, states: Mapping[str, State]) -> tuple[Action, ...]:
        name, within_s = self.site.application_name, self.longest_s + 10
        return (Run(haproxy.put_states(self.place, self.text(states), name, self._words(states), within_s=within_s)),)

    def is_applied(self, states: Mapping[str, State]) -> Command:
        return haproxy.are_states(self.place, self.text(states), self.site.application_name, self._words(states))

    def finish(self) -> tuple[Action, ...]:
        return (Run(self.start(self.place, self.text({}), self.balancer.generation_port)), *self.apply({}))

    def is_final(self) -> Command:
        """Exits 0 where both the last reload's generation and the states since then are the inventory's."""
        text, port = self.text({}), self.balancer.generation_port
        return haproxy.are_states(self.place, text, self.site.application_name, self._words({}), generation_port=port)

    def read(self) -> str:
        return self.site.read(self.host, haproxy.configuration(self.place, self.site.application_name))

    def in_service(self, text: str) -> dict[str, bool]:
        runtime, by_file = parse_runtime(text), super().in_service(text)
        return {s.name: by_file[s.name] and runtime.get(s.word, False) for s in self._servers}

    def _words(self, states: Mapping[str, State]) -> dict[str, Literal["drain", "ready"]]:
        return {s.word: "ready" if states.get(s.name, "up") == "up" else "drain" for s in self._servers}


FRONTS: dict[Kind, type[Front]] = {
    "nginx": NginxFront,
    "nginx_plus": NginxFront,
    "haproxy": HaproxyFront,
}
"""The class that changes each kind; a new kind also needs a row in `inventory/balancers.py` and a template."""


def file_diff(path: str, there: str, text: str) -> str:
    """The change of a balancer's file, for the reader. Runtime states behind the text of `there` are left out.

    A file that is not balbook's is not shown: the engine refuses to replace the file, and its text may hold a password.
    """
    before = without_runtime(there) if there.startswith(balancing.MARKER) else ""
    return diff_of({path.lstrip("/"): before}, {path.lstrip("/"): text})


def front(site: Site) -> Front | None:
    """The application's balancer; None where it has none."""
    name = site.application.balancer
    if name is None:
        return None
    balancer, place = site.inventory.balancers[name], balancing.place(site.inventory, name)
    path = balancing.configuration_path(site.inventory, site.application_name)
    return FRONTS[balancer.kind](site, name, balancer, place, path)
