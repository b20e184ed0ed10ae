"""Provisioning steps for a host's balancers: one as the distribution ships it, or one of balbook's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from balbook.commands import balancer as balancing
from balbook.commands import system as system_commands
from balbook.commands import systemd
from balbook.facts.balancer import configuration
from balbook.facts.system import System
from balbook.plan.model import Step, ensured
from balbook.procedures.parts.balancing import FRONTS, file_diff
from balbook.procedures.parts.site import Site


def packages_step(host: str, packages: Sequence[str], about: str = "") -> Step:
    """The host has these OS packages."""
    has, install = system_commands.has_os_packages(list(packages)), system_commands.install_os_packages(list(packages))
    return ensured("packages", host, f"OS packages: {', '.join(packages)}", has, install, about=about)


def distribution_balancers(site: Site, name: str, found: System) -> Iterator[Step]:
    """NGINX as the distribution ships it, running; HAProxy, whose configuration is one file, with balbook's in its place."""
    for balancer_name, balancer in site.inventory.balancers.items():
        program = balancer.traits.program
        if balancer.host != name or balancer.configuration == "own" or not balancer.traits.is_packaged:
            continue
        if program not in found.tools:
            yield packages_step(name, [program], f"{name} {program}")
        check, diff, commands = systemd.is_enabled(program), "", [systemd.enable_now(program)]
        if balancer.traits.is_one_file and balancing.applications_of(site.inventory, balancer_name):
            front, place = FRONTS[balancer.kind], balancing.place(site.inventory, balancer_name)
            text = balancing.render_main(site.inventory, balancer_name, is_root=found.is_root)
            check = front.is_running(place, text)
            commands.append(front.start(place, text, balancer.generation_port))
            diff = _diff(site, name, place.main, text)
        title = f"{program} of the distribution runs, now and after a boot"
        yield ensured("balancer", name, title, check, *commands, about=balancer_name, diff=diff)


def own_balancer(site: Site, host: str, balancer_name: str, found: System) -> Step:
    """A balancer of balbook's own. One of the other kind that ran at the same place ends first, since it holds the ports."""
    place, balancer = balancing.place(site.inventory, balancer_name), site.inventory.balancers[balancer_name]
    front, text = FRONTS[balancer.kind], balancing.render_main(site.inventory, balancer_name, is_root=found.is_root)
    others = dict.fromkeys(other.stop for other in FRONTS.values() if other.stop is not front.stop)
    commands = (*(stop(place) for stop in others), front.start(place, text, balancer.generation_port))
    title, diff = f"balbook's own {balancer.traits.program} for {balancer_name}", _diff(site, host, place.main, text)
    return ensured("balancer", host, title, front.is_running(place, text), *commands, about=balancer_name, diff=diff)


def _diff(site: Site, host: str, path: str, text: str) -> str:
    """The change of a balancer's file."""
    return file_diff(path, site.read(host, configuration(path)), text)
