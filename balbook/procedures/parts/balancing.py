"""Changing what a balancer sends where: one place for every kind of balancer.

NGINX is changed by its file and a reload. HAProxy's instances are drained and readmitted through its runtime socket: no
reload, no connection is closed; its file says the same, for its next start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from balbook import transport as transports
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
        """Has these instances in or out of service, once those that leave have no request in hand."""

    @abstractmethod
    def is_applied(self, states: Mapping[str, State]) -> Command:
        """Exit 0 where that is so: those that are out of service have no request in hand."""

    @abstractmethod
    def finish(self) -> tuple[Action, ...]:
        """The whole configuration as the inventory has it, with every instance in service."""

    @abstractmethod
    def is_final(self) -> Command:
        """Exit 0 where that is in force."""

    @abstractmethod
    def read(self) -> str:
        """What the balancer has now; empty where it has nothing of balbook's."""

    @abstractmethod
    def in_service(self, text: str) -> dict[str, bool]:
        """Whether each instance is in service, by what `read` said; one that is not in it is not."""

    @staticmethod
    @abstractmethod
    def start(place: Place, content: str, generation_port: int) -> Command:
        """Starts a balancer with this main file, or has the one that runs take it."""

    @staticmethod
    @abstractmethod
    def is_running(place: Place, content: str) -> Command:
        """Exit 0 where it runs with this main file."""

    @staticmethod
    @abstractmethod
    def stop(place: Place) -> Command:
        """Ends a balancer of balbook's own once its clients are served; one that does not run is no error."""

    def text(self, states: Mapping[str, State]) -> str:
        """The configuration that has these instances in or out of service."""
        return balancing.render_balancer(self.site.inventory, self.site.application_name, states)

    def is_reachable(self, instance: Instance) -> bool:
        """Whether requests from the balancer's own host get there: by address they all go to one, and to a passive one none."""
        application = self.site.application
        if self.balancer.method == "ip_hash":
            return len(application.instances) == 1
        return application.strategy != "active_passive" or instance.name == application.instances[0].name

    def answers(self, instance: Instance) -> Command:
        """Exit 0 once this instance answered a health request through the balancer."""
        application = self.site.application
        scheme = "http" if not self.balancer.tls else "https"
        port = self.balancer.tls.listen if self.balancer.tls else self.balancer.listen
        return nginx.through_balancer(
            f"{scheme}://127.0.0.1:{port}{application.health.path}",
            self.site.host(instance.host).address,
            instance.port,
            expect=application.health.expect,
            host_name=balancing.host_name(self.site.application_name),
            requests=4 * len(application.instances) + 4,
        )

    @property
    def longest_s(self) -> float:
        """How long a request that is in hand may take, another application's too: a reload waits for all."""
        return balancing.longest_s(self.site.inventory, self.name)

    def _by_file(self, text: str) -> dict[str, bool]:
        servers = parse_servers(text)
        return {s.name: servers.get(s.address, False) for s in balancing.servers_of(self.site.inventory, self.site.application_name, {})}


class NginxFront(Front):
    """NGINX, open source or Plus."""

    is_running, stop = staticmethod(nginx.is_running), staticmethod(nginx.stop)

    @staticmethod
    def start(place: Place, text: str, generation_port: int) -> Command:
        return nginx.start(place, text)

    def apply(self, states: Mapping[str, State]) -> tuple[Action, ...]:
        return (Run(self._configure(states)),)

    def is_applied(self, states: Mapping[str, State]) -> Command:
        return nginx.is_applied(
            self.path,
            self.text(states),
            generation_port=self.balancer.generation_port,
            generation_host=balancing.generation_host(self.site.application_name),
            pid_file=self.place.pid_file if "down" in states.values() else "",
        )

    def finish(self) -> tuple[Action, ...]:
        return self.apply({})

    def is_final(self) -> Command:
        return self.is_applied({})

    def read(self) -> str:
        return transports.run(self.site.transport, self.host, configuration(self.path)).stdout

    def in_service(self, text: str) -> dict[str, bool]:
        return self._by_file(text)

    def _configure(self, states: Mapping[str, State]) -> Command:
        return nginx.apply_configuration(
            self.place,
            self.path,
            self.text(states),
            generation_port=self.balancer.generation_port,
            generation_host=balancing.generation_host(self.site.application_name),
            old_workers_within_s=self.longest_s + 10,
        )


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
        """Its generation is that of the last reload, and changes of instances are none: so both are looked at."""
        text, port = self.text({}), self.balancer.generation_port
        return haproxy.are_states(self.place, text, self.site.application_name, self._words({}), generation_port=port)

    def read(self) -> str:
        return transports.run(self.site.transport, self.host, haproxy.configuration(self.place, self.site.application_name)).stdout

    def in_service(self, text: str) -> dict[str, bool]:
        runtime, words = parse_runtime(text), self._server_words()
        return {name: is_in and runtime.get(words[name], False) for name, is_in in self._by_file(text).items()}

    def _words(self, states: Mapping[str, State]) -> dict[str, Literal["drain", "ready"]]:
        return {word: "ready" if states.get(name, "up") == "up" else "drain" for name, word in self._server_words().items()}

    def _server_words(self) -> dict[str, str]:
        return {s.name: s.word for s in balancing.servers_of(self.site.inventory, self.site.application_name, {})}


FRONTS: dict[Kind, type[Front]] = {
    "nginx": NginxFront,
    "nginx_plus": NginxFront,
    "haproxy": HaproxyFront,
}
"""How each kind is changed; beside it, what a new one needs is a row in `inventory/balancers.py` and a template."""


def file_diff(path: str, there: str, text: str) -> str:
    """How a balancer's file would change, for the reader. `there` may have runtime states behind it, which are left out.

    What is not balbook's is not shown: it is refused when the plan is applied, and it may hold a password.
    """
    before = without_runtime(there) if there.startswith(balancing.MARKER) else ""
    return diff_of({path.lstrip("/"): before}, {path.lstrip("/"): text})


def front(site: Site) -> Front | None:
    """The application's balancer; None where it has none."""
    application = site.application
    if application.balancer is None:
        return None
    balancer = site.inventory.balancers[application.balancer]
    place = balancing.place(site.inventory, application.balancer)
    path = balancing.configuration_path(site.inventory, site.application_name)
    return FRONTS[balancer.kind](site, application.balancer, balancer, place, path)
