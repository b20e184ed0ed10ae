"""What provisioning does on a host for its balancers: one as the distribution ships it, or one of balbook's own."""

from __future__ import annotations

from collections.abc import Iterator

from balbook import transport as transports
from balbook.commands import balancer as balancing
from balbook.commands import haproxy, nginx, systemd
from balbook.commands import system as system_commands
from balbook.facts.balancer import configuration
from balbook.facts.system import System
from balbook.plan.model import Run, Step
from balbook.procedures.parts.balancing import file_diff
from balbook.procedures.parts.site import Site


def distribution_balancers(site: Site, name: str, found: System) -> Iterator[Step]:
    """NGINX as the distribution ships it, running; HAProxy, whose configuration is one file, with balbook's in its place."""
    for balancer_name, balancer in site.inventory.balancers.items():
        if balancer.host != name or balancer.configuration == "own" or balancer.kind == "nginx_plus":
            continue
        if balancer.kind not in found.tools:
            package = system_commands.has_os_packages([balancer.kind])
            yield Step(
                verb="packages",
                about=f"{name} {balancer.kind}",
                host=name,
                title=f"OS packages: {balancer.kind}",
                group="packages",
                done=package,
                actions=(Run(system_commands.install_os_packages([balancer.kind])),),
            )
        check, diff = systemd.is_enabled(balancer.kind), ""
        actions: tuple[Run, ...] = (Run(systemd.enable_now(balancer.kind)),)
        if balancer.kind == "haproxy" and (names := list(balancing.applications_of(site.inventory, balancer_name))):
            place, text = balancing.place(site.inventory, balancer_name), balancing.render_balancer(site.inventory, names[0], {})
            check = haproxy.is_running(place, text)
            actions = (*actions, Run(haproxy.apply_configuration(place, text, generation_port=balancer.generation_port)))
            diff = _diff(site, name, place.main, text)
        yield Step(
            verb="balancer",
            about=balancer_name,
            host=name,
            title=f"{balancer.kind} of the distribution's runs, now and after a boot",
            group="balancers",
            done=check,
            actions=actions,
            verify=(Run(check),),
            diff=diff,
        )


def own_balancer(site: Site, host: str, balancer_name: str, found: System) -> Step:
    """A balancer of balbook's own; one of the other kind that ran at the same place ends first, since it has the ports."""
    place, balancer = balancing.place(site.inventory, balancer_name), site.inventory.balancers[balancer_name]
    is_haproxy = balancer.kind == "haproxy"
    if is_haproxy:
        text = balancing.render_balancer(site.inventory, next(iter(balancing.applications_of(site.inventory, balancer_name))), {})
        is_running, other = haproxy.is_running(place, text), nginx.stop(place)
        start = haproxy.apply_configuration(place, text, generation_port=balancer.generation_port)
    else:
        text = balancing.render_main(site.inventory, balancer_name, is_root=found.is_root)
        is_running, start, other = nginx.is_running(place, text), nginx.start(place, text), haproxy.stop(place)
    return Step(
        verb="balancer",
        about=balancer_name,
        host=host,
        title=f"{'a HAProxy' if is_haproxy else 'an NGINX'} of balbook's own for {balancer_name}",
        group="balancers",
        done=is_running,
        actions=(Run(other), Run(start)),
        verify=(Run(is_running),),
        diff=_diff(site, host, place.main, text),
    )


def _diff(site: Site, host: str, path: str, text: str) -> str:
    """How a balancer's file would change."""
    return file_diff(path, transports.run(site.transport, host, configuration(path)).stdout, text)
