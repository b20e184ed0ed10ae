"""What provisioning does on a host for its balancers: one as the distribution ships it, or one of balbook's own."""

from __future__ import annotations

from collections.abc import Iterator

from balbook import transport as transports
from balbook.commands import balancer as balancing
from balbook.commands import system as system_commands
from balbook.commands import systemd
from balbook.facts.balancer import configuration
from balbook.facts.system import System
from balbook.plan.model import Run, Step
from balbook.procedures.parts.balancing import FRONTS, file_diff
from balbook.procedures.parts.site import Site


def distribution_balancers(site: Site, name: str, found: System) -> Iterator[Step]:
    """NGINX as the distribution ships it, running; HAProxy, whose configuration is one file, with balbook's in its place."""
    for balancer_name, balancer in site.inventory.balancers.items():
        program = balancer.traits.program
        if balancer.host != name or balancer.configuration == "own" or not balancer.traits.is_packaged:
            continue
        if program not in found.tools:
            package = system_commands.has_os_packages([program])
            yield Step(
                verb="packages",
                about=f"{name} {program}",
                host=name,
                title=f"OS packages: {program}",
                group="packages",
                done=package,
                actions=(Run(system_commands.install_os_packages([program])),),
            )
        check, diff = systemd.is_enabled(program), ""
        actions: tuple[Run, ...] = (Run(systemd.enable_now(program)),)
        if balancer.traits.is_one_file and balancing.applications_of(site.inventory, balancer_name):
            front, place = FRONTS[balancer.kind], balancing.place(site.inventory, balancer_name)
            text = balancing.render_main(site.inventory, balancer_name, is_root=found.is_root)
            check = front.is_running(place, text)
            actions = (*actions, Run(front.start(place, text, balancer.generation_port)))
            diff = _diff(site, name, place.main, text)
        yield Step(
            verb="balancer",
            about=balancer_name,
            host=name,
            title=f"{program} of the distribution's runs, now and after a boot",
            group="balancers",
            done=check,
            actions=actions,
            verify=(Run(check),),
            diff=diff,
        )


def own_balancer(site: Site, host: str, balancer_name: str, found: System) -> Step:
    """A balancer of balbook's own; one of the other kind that ran at the same place ends first, since it has the ports."""
    place, balancer = balancing.place(site.inventory, balancer_name), site.inventory.balancers[balancer_name]
    front, text = FRONTS[balancer.kind], balancing.render_main(site.inventory, balancer_name, is_root=found.is_root)
    is_running, start = front.is_running(place, text), front.start(place, text, balancer.generation_port)
    others = dict.fromkeys(other.stop for other in FRONTS.values() if other.stop is not front.stop)
    return Step(
        verb="balancer",
        about=balancer_name,
        host=host,
        title=f"balbook's own {balancer.traits.program} for {balancer_name}",
        group="balancers",
        done=is_running,
        actions=(*(Run(stop(place)) for stop in others), Run(start)),
        verify=(Run(is_running),),
        diff=_diff(site, host, place.main, text),
    )


def _diff(site: Site, host: str, path: str, text: str) -> str:
    """How a balancer's file would change."""
    return file_diff(path, transports.run(site.transport, host, configuration(path)).stdout, text)
