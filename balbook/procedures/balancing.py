"""Steps that change what a balancer sends where: one place for every kind of balancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from balbook import balancing
from balbook import transport as transports
from balbook.balancing import Place, State
from balbook.command import Command
from balbook.commands import nginx
from balbook.errors import Refused
from balbook.facts.balancer import configuration, parse_servers
from balbook.inventory.models import Application, Balancer, Instance
from balbook.procedures.site import Site


@dataclass(frozen=True)
class Front:
    """An application's balancer: its host, its files, and the commands that change it."""

    site: Site
    name: str
    balancer: Balancer
    place: Place
    path: str

    @property
    def host(self) -> str:
        return self.balancer.host

    def text(self, states: Mapping[str, State]) -> str:
        """The configuration that has these instances in or out of service."""
        return balancing.render_balancer(self.site.inventory, self.site.application_name, states)

    def apply(self, states: Mapping[str, State]) -> Command:
        """Puts the configuration in force and waits for requests that old workers still serve."""
        longest_s = max(route.timeout_s for route in self.site.application.routes.values())
        return nginx.apply_configuration(
            self.place,
            self.path,
            self.text(states),
            generation_port=self.balancer.generation_port,
            generation_host=balancing.generation_host(self.site.application_name),
            old_workers_within_s=longest_s + 10,
        )

    def is_applied(self, states: Mapping[str, State]) -> Command:
        """Exit 0 where it is in force."""
        return nginx.is_applied(
            self.path,
            self.text(states),
            generation_port=self.balancer.generation_port,
            generation_host=balancing.generation_host(self.site.application_name),
        )

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

    def read(self) -> str:
        """The configuration that stands on the host; empty where there is none."""
        return transports.run(self.site.transport, self.host, configuration(self.path)).stdout

    def in_service(self, text: str) -> dict[str, bool]:
        """Whether each instance is in service, by the configuration's text; one that is not in it is not."""
        servers = parse_servers(text)
        application = self.site.application
        return {i.name: servers.get(f"{self.site.host(i.host).address}:{i.port}", False) for i in application.instances}


def front(site: Site) -> Front | None:
    """The application's balancer; None where it has none. Refuses kinds that only the configuration renderer knows."""
    application: Application = site.application
    if application.balancer is None:
        return None
    balancer = site.inventory.balancers[application.balancer]
    if balancer.kind == "haproxy":
        raise Refused(f"balancer {application.balancer}: hot deployment behind {balancer.kind} is not there yet", advice="Use kind: nginx.")
    place = balancing.place(site.inventory, application.balancer)
    path = balancing.configuration_path(site.inventory, site.application_name)
    return Front(site, application.balancer, balancer, place, path)
