"""Prepare hosts: check what the applications ask of them; directories, accounts, OS packages, a balancer of one's own.

Without privilege (no `become`, not root) it does what it may and lists what it leaves out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from balbook.commands import balancer as balancing
from balbook.commands import files, firewall, nginx, systemd
from balbook.commands import system as system_commands
from balbook.errors import BadInput, nearest
from balbook.facts.system import System, system
from balbook.inventory.models import Application
from balbook.plan.model import Plan, Precondition, Step, ensured
from balbook.procedures import Check
from balbook.procedures.parts import supervision
from balbook.procedures.parts.balancer_steps import distribution_balancers, own_balancer, packages_step
from balbook.procedures.parts.look import SILENT
from balbook.procedures.parts.preconditions import (
    certificate_preconditions,
    has_privilege,
    host_preconditions,
    manages_system,
    memory_limit,
    missing_tools,
    row,
)
from balbook.procedures.parts.site import Site
from balbook.show.table import Table
from balbook.transport import fan_out


def preflight(site: Site) -> Table:
    """What the hosts are."""
    rows: list[tuple[object, ...]] = []
    outcomes = site.ask_all(_hosts(site), lambda host: system(site.host(host).root))
    for host in _hosts(site):
        if host in outcomes.failed:
            rows.append((host, "unreachable", outcomes.failed[host].message, "", "", ""))
            continue
        found = outcomes.succeeded[host]
        rows.append((host, found.os, found.cpus, f"{found.memory_mb:,} MB", f"{found.disk_mb:,} MB", found.java or "-"))
    return Table(("host", "OS", "processors", "memory", "free disk", "Java"), rows, title="Hosts")


def plan(site: Site) -> Plan:
    """The steps that prepare the hosts, all hosts at the same time; for one that cannot be asked, that it must be.

    Raises the hosts' errors where none can.
    """
    hosts = _hosts(site)
    found, clocks, preconditions = _asked(site, hosts)
    steps: list[Step] = []
    for name in found:
        host, clock_s = site.host(name), clocks[name]
        preconditions += host_preconditions(name, host, found[name], _applications_on(site, name), clock_s)
        preconditions += certificate_preconditions(site, name, clock_s)
        preconditions += _ports(site, name, found[name])
        preconditions += _left_out(site, name, found[name])
        steps += _steps(site, name, found[name])
    unique = {p.what: p for p in preconditions}
    return Plan("provision", "", tuple(_with_state(site, steps)), subject={"hosts": hosts}, preconditions=tuple(unique.values()))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Every step's own check, asked anew."""
    return [
        Check(f"{step.host}: {step.title}", site.transport.execute(step.host, step.done).status == 0) for step in plan.steps if step.done
    ]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The hosts as they are now."""
    return [preflight(site)]


def _hosts(site: Site) -> list[str]:
    wanted = list(site.parameters.get("hosts", [])) or list(site.inventory.hosts)
    for name in wanted:
        if name not in site.inventory.hosts:
            raise BadInput(f"parameter hosts: {name!r} is not in {site.inventory.path}", advice=nearest(name, site.inventory.hosts))
    return wanted


def _asked(site: Site, hosts: Sequence[str]) -> tuple[dict[str, System], dict[str, float], list[Precondition]]:
    """What the hosts are, what this machine's clock said then, and a precondition for each that does not answer while others do."""

    def ask(host: str) -> tuple[System, float]:
        before_s = time.time()
        said = site.ask(host, system(site.host(host).root))
        return said, min(max(said.epoch, before_s - 1), time.time())  # it looked some time between, and leaves fractions out

    outcomes = fan_out(hosts, ask)
    silent = {host: error for host, error in outcomes.failed.items() if isinstance(error, SILENT)}
    found = {host: said for host, (said, _) in outcomes.succeeded.items()}
    clocks = {host: clock_s for host, (_, clock_s) in outcomes.succeeded.items()}
    if not found or len(silent) < len(outcomes.failed):
        outcomes.require()
    whys = {host: f"unreachable: {error.message.removeprefix(f'{host}: ')}. {error.advice}".rstrip(". ") for host, error in silent.items()}
    rows = [row(f"{host}: takes commands", False, why) for host, why in whys.items()]
    return found, clocks, rows


def _applications_on(site: Site, host: str) -> list[Application]:
    return [app for app in site.inventory.applications.values() if any(i.host == host for i in app.instances)]


def _names_on(site: Site, host: str) -> list[str]:
    return [name for name, app in site.inventory.applications.items() if any(i.host == host for i in app.instances)]


def _os_packages(site: Site, name: str) -> list[str]:
    """What the inventory asks for on this host, for itself and for its applications."""
    return sorted({*site.host(name).os_packages, *(p for app in _applications_on(site, name) for p in app.requires.os_packages)})


def _steps(site: Site, name: str, found: System) -> Iterator[Step]:
    host = site.host(name)
    packages = sorted({*_os_packages(site, name), *missing_tools(host, found)})
    if packages and manages_system(host, found):
        yield packages_step(name, packages)
    for application in _names_on(site, name) if manages_system(host, found) else []:
        account = site.inventory.applications[application].account or application
        title, make = f"service account {account}, without a shell", system_commands.make_account(account)
        yield ensured("account", name, title, system_commands.has_account(account), make, about=f"{name} {account}", group="accounts")
    yield _directories(site, name)
    if "build" in host.roles and host.become:
        yield _root_of_login(site, name)
    for application in _names_on(site, name) if manages_system(host, found) else []:
        yield unit_step(site, name, application)
    if manages_system(host, found):
        yield from distribution_balancers(site, name, found)
        yield from _firewall(site, name)
    for balancer_name, balancer in site.inventory.balancers.items():
        if balancer.host == name and balancer.configuration == "own" and balancing.applications_of(site.inventory, balancer_name):
            yield own_balancer(site, name, balancer_name, found)


def _directories(site: Site, name: str) -> Step:
    root = site.host(name).root
    paths = [f"{root}/locks"]
    for application in _names_on(site, name):
        place = site.application_dir(name, application)
        paths += [place, f"{place}/releases", f"{place}/artifacts", f"{place}/instances"]
    there = files.are_directories(paths, is_privileged=True)
    make = files.make_directories(paths, is_privileged=True)
    return ensured("directories", name, f"directories below {root}", there, make, group="directories")


def _root_of_login(site: Site, name: str) -> Step:
    """Builds run without privilege, so what they write to is the login's."""
    root = site.host(name).root
    title, there = f"{root} is the login's, for builds without privilege", files.are_directories([root])
    return ensured("root", name, title, there, files.make_directories_of_login([root]), group="root")


def unit_step(site: Site, name: str, application: str) -> Step:
    """The service account's processes are started by systemd, from a script of root's."""
    text, there = supervision.unit_text(site, name, application), supervision.has_unit(site, name, application)
    assert there is not None
    unit = f"{systemd.UNITS}/{systemd.template_name(application)}"
    return ensured(
        "unit",
        name,
        f"systemd unit {systemd.template_name(application)}",
        there,
        files.put_file(supervision.launcher_path(site, name, application), (systemd.launcher(),), "0755", is_privileged=True),
        files.put_file(unit, (text,), is_privileged=True),
        systemd.reload_units(),
        about=f"{name} {application}",
        group="units",
    )


def _firewall(site: Site, name: str) -> Iterator[Step]:
    """What the applications and balancers of the host listen on must be reached, where it has a firewall at all."""
    ports = {i.port for app in site.inventory.applications.values() for i in app.instances if i.host == name}
    for balancer in site.inventory.balancers.values():
        if balancer.host == name:
            ports |= {balancer.listen, *([balancer.tls.listen] if balancer.tls else [])}
    if ports:
        title = f"the firewall, where one is active, lets in {', '.join(map(str, sorted(ports)))}"
        check, let_in = firewall.is_open(sorted(ports)), firewall.open_ports(sorted(ports))
        yield ensured("firewall", name, title, check, let_in, group="firewall")


def _ports(site: Site, name: str, found: System) -> Iterator[Precondition]:
    """Ports must be free, or in use by the application itself (which has a directory then), or by the balancer itself."""
    for application in _names_on(site, name):
        for instance in site.inventory.applications[application].instances:
            if instance.host != name:
                continue
            place = f"{site.application_dir(name, application)}/instances/{instance.port}"
            is_free = instance.port not in found.listening
            is_ours = not is_free and site.transport.execute(name, files.are_directories([place], is_privileged=True)).status == 0
            yield row(f"{name}: port {instance.port} is free or {application}'s own", is_free or is_ours)
    for balancer_name, balancer in site.inventory.balancers.items():
        if balancer.host != name or not balancing.applications_of(site.inventory, balancer_name):
            continue
        its_place = balancing.place(site.inventory, balancer_name)
        for port in (balancer.listen, *([balancer.tls.listen] if balancer.tls else []), balancer.generation_port):
            is_ours = port in found.listening and site.transport.execute(name, nginx.holds_port(its_place, port)).status == 0
            yield row(f"{name}: port {port} is free or the balancer {balancer_name}'s own", port not in found.listening or is_ours)


def _left_out(site: Site, name: str, found: System) -> Iterator[Precondition]:
    host = site.host(name)
    for application in _names_on(site, name):
        yield from memory_limit(name, host, application, site.inventory.applications[application])
    if host.supervisor == "process" and (packages := _os_packages(site, name)):
        yield Precondition(f"{name}: OS packages: {', '.join(packages)}", "left out", "install them by hand")
    if host.supervisor == "process" or has_privilege(host, found):
        return
    for what in ("service accounts", "OS packages", "system limits"):
        yield Precondition(f"{name}: {what}", "left out", "needs privilege: `become: sudo`")


def _with_state(site: Site, steps: list[Step]) -> list[Step]:
    """The steps with what their checks say now, all hosts side by side, sorted so that groups stand together."""

    def on_host(host: str) -> dict[str, bool]:
        return {s.id: s.done is not None and site.transport.execute(host, s.done).status == 0 for s in steps if s.host == host}

    states = fan_out([s.host for s in steps], on_host).require()
    order = ["packages", "accounts", "directories", "root", "units", "balancers", "firewall"]
    ordered = sorted(steps, key=lambda s: order.index(s.group))
    done = {s.id: states[s.host][s.id] for s in ordered}
    return [replace(s, is_done=done[s.id], diff="" if done[s.id] else s.diff) for s in ordered]
