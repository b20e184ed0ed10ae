"""Prepare hosts: check what the applications ask of them; directories, accounts, OS packages, a balancer of one's own.

Without privilege (no `become`, not root) the runbook does what the login can do and lists what is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from balbook.commands import balancer as balancing
from balbook.commands import files, firewall, nginx, systemd
from balbook.commands import system as system_commands
from balbook.errors import BadInput, nearest
from balbook.facts.system import System, system
from balbook.inventory.models import Application, Balancer
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

ORDER = ("packages", "account", "directories", "root", "unit", "balancer", "firewall")
"""The verbs of the steps. Steps of one verb run side by side, on all hosts."""


def preflight(site: Site) -> Table:
    """The hosts: system, processors, memory, free disk, Java."""
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
    """The steps that prepare the hosts, all hosts at the same time; an unmet precondition for a host that does not answer.

    Raises the hosts' errors where no host answers.
    """
    hosts = _hosts(site)
    asked, preconditions = _asked(site, hosts)
    steps: list[Step] = []
    for name, (found, clock_s) in asked.items():
        preconditions += host_preconditions(name, site.host(name), found, list(_applications(site, name).values()), clock_s)
        preconditions += certificate_preconditions(site, name, clock_s)
        preconditions += (*_ports(site, name, found), *_left_out(site, name, found))
        steps += _steps(site, name, found)
    unique = {p.what: p for p in preconditions}
    return Plan("provision", "", tuple(_with_state(site, steps)), subject={"hosts": hosts}, preconditions=tuple(unique.values()))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Every step's own check, asked anew."""
    return [Check(f"{step.host}: {step.title}", site.holds(step.host, step.done)) for step in plan.steps if step.done]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The hosts as they are now."""
    return [preflight(site)]


def _hosts(site: Site) -> list[str]:
    wanted = list(site.parameters.get("hosts", [])) or list(site.inventory.hosts)
    for name in wanted:
        if name not in site.inventory.hosts:
            raise BadInput(f"parameter hosts: {name!r} is not in {site.inventory.path}", advice=nearest(name, site.inventory.hosts))
    return wanted


def _asked(site: Site, hosts: Sequence[str]) -> tuple[Mapping[str, tuple[System, float]], list[Precondition]]:
    """By host its system and this machine's clock at that moment; and a precondition for each host that alone does not answer."""

    def ask(host: str) -> tuple[System, float]:
        before_s = time.time()
        said = site.ask(host, system(site.host(host).root))
        return said, min(max(said.epoch, before_s - 1), time.time())  # it looked some time between, and leaves fractions out

    outcomes = fan_out(hosts, ask)
    silent = {host: error for host, error in outcomes.failed.items() if isinstance(error, SILENT)}
    if not outcomes.succeeded or len(silent) < len(outcomes.failed):
        outcomes.require()
    whys = {host: f"unreachable: {error.message.removeprefix(f'{host}: ')}. {error.advice}".rstrip(". ") for host, error in silent.items()}
    return outcomes.succeeded, [row(f"{host}: takes commands", False, why) for host, why in whys.items()]


def _applications(site: Site, host: str) -> dict[str, Application]:
    return {name: app for name, app in site.inventory.applications.items() if any(i.host == host for i in app.instances)}


def _balancers(site: Site, host: str) -> dict[str, Balancer]:
    return {name: balancer for name, balancer in site.inventory.balancers.items() if balancer.host == host}


def _listens_on(balancer: Balancer) -> list[int]:
    return [balancer.listen, *([balancer.tls.listen] if balancer.tls else [])]


def _os_packages(site: Site, name: str) -> list[str]:
    """The OS packages that the inventory asks for on this host, for the host itself and for its applications."""
    return sorted({*site.host(name).os_packages, *(p for app in _applications(site, name).values() for p in app.requires.os_packages)})


def _steps(site: Site, name: str, found: System) -> Iterator[Step]:
    host, is_managed = site.host(name), manages_system(site.host(name), found)
    packages = sorted({*_os_packages(site, name), *missing_tools(host, found)})
    if packages and is_managed:
        yield packages_step(name, packages)
    yield _directories(site, name)
    if "build" in host.roles and host.become:
        yield _root_of_login(site, name)
    if is_managed:
        for application, app in _applications(site, name).items():
            yield _account(name, app.account or application)
            yield unit_step(site, name, application)
        yield from distribution_balancers(site, name, found)
        yield from _firewall(site, name)
    for balancer_name, balancer in _balancers(site, name).items():
        if balancer.configuration == "own" and balancing.applications_of(site.inventory, balancer_name):
            yield own_balancer(site, name, balancer_name, found)


def _account(name: str, account: str) -> Step:
    is_there, make = system_commands.has_account(account), system_commands.make_account(account)
    return ensured("account", name, f"service account {account}, without a shell", is_there, make, about=f"{name} {account}")


def _directories(site: Site, name: str) -> Step:
    root = site.host(name).root
    paths = [f"{root}/locks"]
    for application in _applications(site, name):
        place = site.application_dir(name, application)
        paths += [place, f"{place}/releases", f"{place}/artifacts", f"{place}/instances"]
    there, make = files.are_directories(paths, is_privileged=True), files.make_directories(paths, is_privileged=True)
    return ensured("directories", name, f"directories below {root}", there, make)


def _root_of_login(site: Site, name: str) -> Step:
    """Builds run without privilege, so the login owns the directories that builds write to."""
    root = site.host(name).root
    title = f"{root} belongs to the login, for builds without privilege"
    return ensured("root", name, title, files.are_directories([root]), files.make_directories_of_login([root]))


def unit_step(site: Site, name: str, application: str) -> Step:
    """The systemd unit that starts the service account's processes, from a script that root owns."""
    text, there = supervision.unit_text(site, name, application), supervision.has_unit(site, name, application)
    assert there is not None
    unit = systemd.template_name(application)
    writes = (
        files.put_file(supervision.launcher_path(site, name, application), (systemd.launcher(),), "0755", is_privileged=True),
        files.put_file(f"{systemd.UNITS}/{unit}", (text,), is_privileged=True),
        systemd.reload_units(),
    )
    return ensured("unit", name, f"systemd unit {unit}", there, *writes, about=f"{name} {application}", group="unit")


def _firewall(site: Site, name: str) -> Iterator[Step]:
    """Opens the ports of the host's applications and balancers, where the host has an active firewall."""
    ports = {i.port for app in site.inventory.applications.values() for i in app.instances if i.host == name}
    ports |= {port for balancer in _balancers(site, name).values() for port in _listens_on(balancer)}
    if wanted := sorted(ports):
        title = f"the firewall, where one is active, lets in {', '.join(map(str, wanted))}"
        yield ensured("firewall", name, title, firewall.is_open(wanted), firewall.open_ports(wanted))


def _ports(site: Site, name: str, found: System) -> Iterator[Precondition]:
    """Each port is free, or used by its application (which has a directory then), or by its balancer."""
    wanted = [
        (i.port, application, files.are_directories([f"{site.application_dir(name, application)}/instances/{i.port}"], is_privileged=True))
        for application, app in _applications(site, name).items()
        for i in app.instances
        if i.host == name
    ]
    for balancer_name, balancer in _balancers(site, name).items():
        if balancing.applications_of(site.inventory, balancer_name):
            place = balancing.place(site.inventory, balancer_name)
            ports = (*_listens_on(balancer), balancer.generation_port)
            wanted += [(port, f"the balancer {balancer_name}", nginx.holds_port(place, port)) for port in ports]
    for port, whose, is_ours in wanted:
        yield row(f"{name}: port {port} is free or {whose}'s own", port not in found.listening or site.holds(name, is_ours))


def _left_out(site: Site, name: str, found: System) -> Iterator[Precondition]:
    host = site.host(name)
    for application, app in _applications(site, name).items():
        yield from memory_limit(name, host, application, app)
    if host.supervisor == "process":
        if packages := _os_packages(site, name):
            yield Precondition(f"{name}: OS packages: {', '.join(packages)}", "left out", "install these packages by hand")
    elif not has_privilege(host, found):
        for what in ("service accounts", "OS packages", "system limits"):
            yield Precondition(f"{name}: {what}", "left out", "needs privilege: add `become: sudo` to the host")


def _with_state(site: Site, steps: list[Step]) -> list[Step]:
    """The steps with what their checks say now, all hosts side by side, sorted so that groups stand together."""

    def on_host(host: str) -> dict[str, bool]:
        return {s.id: s.done is not None and site.holds(host, s.done) for s in steps if s.host == host}

    states = fan_out([s.host for s in steps], on_host).require()
    ordered = [(step, states[step.host][step.id]) for step in sorted(steps, key=lambda s: ORDER.index(s.verb))]
    return [replace(step, group=step.verb, is_done=is_done, diff="" if is_done else step.diff) for step, is_done in ordered]
