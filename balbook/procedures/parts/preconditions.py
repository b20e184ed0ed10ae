"""The preconditions of plans."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.commands import balancer as balancing
from balbook.commands import nginx, systemd
from balbook.facts.ballerina import java_needed
from balbook.facts.certificates import certificate
from balbook.facts.system import System
from balbook.inventory.models import Application, Host
from balbook.plan.model import Precondition
from balbook.procedures.parts import supervision
from balbook.procedures.parts.look import Seen
from balbook.procedures.parts.site import Site

MAX_CLOCK_OFF_S = 5
DEFAULT_JAVA = 17
LEAST_FREE_MB = 256
"""The least free disk of a host without applications; applications name their own need."""
LEAST_DAYS = 14
"""The least days that a certificate is still valid: time to get another one."""
UNPACKING = {"unzip", "python3", "jar"}
BY_HAND = "install this program by hand: balbook does not manage the host's system"
PROVISION = "provision"
UNIT = "the systemd unit matches the inventory"


def row(what: str, is_met: bool, found: object = "", *, met_by: str = "") -> Precondition:
    """One precondition; `met_by`: the runbook that meets it."""
    return Precondition(what, "met" if is_met else "unmet", str(found), "" if is_met else met_by)


def writable(site: Site, host: str, system: System) -> Precondition:
    """The host's root belongs to balbook."""
    return row(f"{host}: balbook can write below {site.host(host).root}", system.is_root_writable, met_by=PROVISION)


def manages_system(host: Host, system: System) -> bool:
    """True where balbook manages accounts and packages: not where instances are merely processes of the login."""
    return host.supervisor == "systemd" and has_privilege(host, system)


def has_privilege(host: Host, system: System) -> bool:
    """True where balbook has the privilege to change the system."""
    return bool(host.become) or system.is_root


def deployment_preconditions(site: Site, seen: Seen, distribution: str = "", kind: str = "") -> list[Precondition]:
    """The preconditions of a deployment on its hosts. `kind`: the artifact's, where it differs from the inventory's."""
    rows: list[Precondition] = []
    units = supervision.units(site)
    for host in site.application_hosts:
        system = seen.systems[host]
        rows.append(writable(site, host, system))
        rows.append(_curl(host, site.host(host), system))
        if host in units:
            rows.append(row(f"{host}: {UNIT}", units[host], met_by=PROVISION))
        rows += memory_limit(host, site.host(host), site.application_name, site.application)
        if (kind or site.application.artifact) == "jar":
            wanted = site.application.requires.java or _java_of(site, distribution)
            said, has_java = f"Java {system.java}" if system.java else "no Java", (system.java or 0) >= wanted
            rows.append(row(f"{host}: a Java runtime, {wanted} or later", has_java, said))
    if seen.front:
        rows += _balancer(site, seen)
    return rows


def memory_limit(name: str, host: Host, application_name: str, application: Application) -> list[Precondition]:
    """Says in the plan that nothing enforces the memory limit, where systemd does not keep the instances."""
    if host.supervisor == "systemd" or not application.system.memory_mb:
        return []
    what = f"{name}: {application_name} is limited to {application.system.memory_mb} MB of memory"
    return [Precondition(what, "left out", "only systemd enforces the limit; limit a jar's heap by -Xmx in java_options")]


def missing_tools(host: Host, system: System) -> list[str]:
    """The OS packages that balbook's own commands lack on the host: curl, and a program that unpacks Ballerina's zip."""
    lacks_unzip = "build" in host.roles and not UNPACKING & set(system.tools)
    return [*([] if "curl" in system.tools else ["curl"]), *(["unzip"] if lacks_unzip else [])]


def tools(name: str, host: Host, system: System) -> list[Precondition]:
    """The tools are installed, or come by this plan; else somebody installs them by hand."""
    missing = missing_tools(host, system)
    comes = manages_system(host, system)
    wanted = {"curl": "curl is installed", **({"unzip": "unzip or python3 is installed"} if "build" in host.roles else {})}
    said = "installed by this plan" if comes else BY_HAND
    return [row(f"{name}: {what}", comes or tool not in missing, said if tool in missing else "") for tool, what in wanted.items()]


def host_preconditions(name: str, host: Host, system: System, applications: Sequence[Application], clock_s: float) -> list[Precondition]:
    """The preconditions of the runbook `provision` on a host: OS, clock, and the sum of its applications' needs."""
    off_s = system.epoch - clock_s
    rows = [
        row(f"{name}: runs Linux", bool(system.cpus) and bool(system.os), system.os),
        row(f"{name}: clock within {MAX_CLOCK_OFF_S} s of this machine's", abs(off_s) <= MAX_CLOCK_OFF_S, f"{off_s:+.0f} s"),
        *tools(name, host, system),
    ]
    if applications:
        cpus = max(app.requires.cpus for app in applications)
        memory_mb = sum(app.requires.memory_mb for app in applications)
        nofile = max(app.system.nofile for app in applications)
        rows += [
            row(f"{name}: at least {cpus} processors", system.cpus >= cpus, system.cpus),
            row(f"{name}: at least {memory_mb} MB of memory", system.memory_mb >= memory_mb, f"{system.memory_mb} MB"),
            row(f"{name}: a process can open {nofile} files", system.nofile >= nofile, system.nofile),
        ]
    disk_mb = sum(app.requires.disk_mb for app in applications) if applications else LEAST_FREE_MB
    return [*rows, row(f"{name}: at least {disk_mb} MB free below {host.root}", system.disk_mb >= disk_mb, f"{system.disk_mb} MB")]


def certificate_preconditions(site: Site, host: str, clock_s: float) -> list[Precondition]:
    """The certificates of the balancers on a host exist and stay valid for a while."""
    rows = []
    for balancer in site.inventory.balancers.values():
        if balancer.host == host and balancer.tls:
            fact = certificate(balancer.tls.certificate)
            found = fact.parse(site.transport.execute(host, fact.command).stdout)
            days = found.days_left(clock_s)
            said = found.problem if days is None else f"{days:.0f} days left" if days >= 0 else f"expired {-days:.0f} days ago"
            what = f"{host}: the certificate {balancer.tls.certificate} is valid for at least {LEAST_DAYS} more days"
            rows.append(row(what, days is not None and days >= LEAST_DAYS, said))
    return rows


def _curl(name: str, host: Host, system: System) -> Precondition:
    is_there = "curl" in system.tools
    comes = manages_system(host, system)
    return row(f"{name}: curl is installed", is_there, "" if is_there or comes else BY_HAND, met_by=PROVISION if comes else "")


def _java_of(site: Site, distribution: str) -> int:
    """The Java version that the distribution of the build needs; a lab's stand-in needs less."""
    return java_needed(distribution) if distribution and not site.inventory.lab else DEFAULT_JAVA


def _balancer(site: Site, seen: Seen) -> list[Precondition]:
    front = seen.front
    assert front is not None
    found, rows = seen.systems[front.host], []
    if front.balancer.kind == "nginx_plus":
        version = site.transport.execute(front.host, nginx.version()).stdout.strip() or "no NGINX"
        advice = "" if "nginx-plus" in version else "; open source has no active checks: use kind haproxy, or strategy active_active"
        rows.append(row(f"{front.host}: the balancer {front.name} is NGINX Plus", not advice, version + advice))
    what = f"{front.host}: the balancer {front.name} runs"
    program = front.balancer.traits.program
    if front.place.is_own or front.balancer.traits.is_one_file:
        main = balancing.render_main(site.inventory, front.name, is_root=found.is_root)
        return [*rows, row(what, site.holds(front.host, front.is_running(front.place, main)), met_by=PROVISION)]
    if found.has_systemd:
        return [*rows, row(what, site.holds(front.host, systemd.is_enabled(program)), met_by=PROVISION)]
    return [*rows, row(what, program in found.tools)]
