"""Install Ballerina's distribution and its consolidate tool on build hosts, and a Java runtime on build and app hosts.

The distribution is the zip, unpacked below the host's root: it needs no privilege, and versions stand side by side (two
versioned packages of the operating system own the same paths). It brings no Java runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook import transport as transports
from balbook.commands import ballerina
from balbook.commands import system as system_commands
from balbook.errors import BadInput, Failed
from balbook.facts.ballerina import java_needed, parse_sha256, parse_version
from balbook.facts.system import System, system
from balbook.inventory import Inventory
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Plan, Precondition, Run, Step, Upload, ensured
from balbook.procedures import Check
from balbook.procedures.parts.preconditions import manages_system, row
from balbook.procedures.parts.site import Site
from balbook.show.table import Table
from balbook.transport import fan_out

ADDRESS = "https://dist.ballerina.io/downloads"
RELEASES = "https://github.com/ballerina-platform/ballerina-distribution/releases/download"
"""The release page, with the same files; Ballerina's sha256 files are there and nowhere else."""
VERSION = r"\d{4}\.\d+\.\d+\Z"
STAND_IN = "lab stand-in"
LAB_JAVA = 17
LATER_JAVA = (17, 21, 25)
"""Versions with long support; programs that were made for an earlier version run on them."""


@dataclass(frozen=True)
class Origin:
    """The source of the archive: a local file, or an address that the hosts fetch from; and its sha256."""

    url: str
    file: Path | None
    sha256: str


def check(inventory: Inventory, parameters: Mapping[str, Any]) -> None:
    """BadInput where `version` is not a version of Ballerina."""
    _version(parameters)


def preflight(site: Site) -> Table:
    """The distributions on the build hosts."""
    _version(site.parameters)
    rows = [(host, version or "-", "yes" if is_lab else "no") for host, (version, is_lab) in _versions(site).items()]
    return Table(("host", "Ballerina", "stand-in"), rows, title="Build hosts")


def plan(site: Site) -> Plan:
    """A Java runtime on build and app hosts, the distribution and the tool on build hosts."""
    version = _version(site.parameters)
    needed = LAB_JAVA if site.inventory.lab else java_needed(version)
    builders, apps = _with_role(site, "build"), _with_role(site, "app")
    systems = site.ask_all([*builders, *apps], lambda host: system(site.host(host).root)).require()
    installed = {host: found for host, (found, _) in _versions(site).items()}
    is_missing = any(installed[host] != version for host in builders)
    origin = _origin(site, version, builders) if is_missing else Origin("", None, "")
    java = [made for host in systems for made in _java(site, host, systems[host], needed)]
    rows = tuple(made for made in java if isinstance(made, Precondition))
    steps = [made for made in java if isinstance(made, Step)]
    steps += [step for host in builders for step in _distribution(site, host, version, origin, installed[host] == version)]
    return Plan("install", "", tuple(steps), subject={"version": version}, preconditions=rows)


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Every build host has the version, as its own `bal` says, and the tool."""
    version = str(plan.subject["version"])
    checks = [
        Check(f"{host}: bal version says {version}", found == version, found or "no bal") for host, (found, _) in _versions(site).items()
    ]
    for host in _with_role(site, "build"):
        has_tool = site.holds(host, ballerina.has_tool(site.host(host).root))
        checks.append(Check(f"{host}: the tool {ballerina.TOOL} is installed", has_tool))
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The build hosts as they are now."""
    return [preflight(site)]


def _version(parameters: Mapping[str, Any]) -> str:
    version = str(parameters.get("version", ""))
    if not re.match(VERSION, version):
        raise BadInput(f"parameter version: {version!r} is not a version of Ballerina", advice="Give a version such as 2201.13.1.")
    return version


def _with_role(site: Site, role: str) -> list[str]:
    wanted = list(site.parameters.get("hosts", [])) or list(site.inventory.hosts)
    return [name for name in wanted if role in site.host(name).roles]


def _versions(site: Site) -> dict[str, tuple[str, bool]]:
    """The version that each build host's `bal` says, and True where that is a lab's stand-in."""

    def one(host: str) -> tuple[str, bool]:
        output = site.transport.execute(host, ballerina.bal(site.host(host).root, "/", "version", within_s=60)).stdout
        return parse_version(output), STAND_IN in output

    return fan_out(_with_role(site, "build"), one).require()


def _origin(site: Site, version: str, builders: Sequence[str]) -> Origin:
    """The archive's address and digest. Raises Failed where the digest cannot be read."""
    source = str(site.parameters.get("source", ""))
    if (source and "://" not in source) or source.startswith("file://"):
        file = site.inventory.resolve(source)
        if not file.is_file():
            raise BadInput(f"parameter source: {file} is not a file", advice="Name the zip of the distribution, or a mirror's address.")
        beside = file.with_name(f"{file.name}.sha256")
        listed = parse_sha256(beside.read_text(encoding="utf-8"), str(beside)) if beside.is_file() else sha256_of_file(file)
        return Origin("", file, listed)
    if source and not re.fullmatch(r"https?://[A-Za-z0-9._~:/%+-]+", source):
        raise BadInput(f"parameter source: {source!r} is not an address", advice="Give https://HOST/PATH, or a file.")
    url, listed = _addresses(source, version)
    result = transports.run(site.transport, builders[0], ballerina.fetch_text(listed))
    if result.status != 0:
        raise Failed(f"{builders[0]}: {listed} cannot be fetched: {result.stderr.strip()}", advice="Give a mirror or a file as `source`.")
    return Origin(url, None, parse_sha256(result.stdout, listed))


def _addresses(source: str, version: str) -> tuple[str, str]:
    """The addresses of the zip and of its sha256 file: side by side at a mirror, on the release page for Ballerina's own address."""
    name = f"ballerina-{version}-swan-lake.zip"
    if not source:
        return f"{ADDRESS}/{version}/{name}", f"{RELEASES}/v{version}/{name}.sha256"
    base = source.rstrip("/")
    url = base if base.endswith(".zip") else f"{base}/{version}/{name}"
    return url, f"{url}.sha256"


def _distribution(site: Site, host: str, version: str, origin: Origin, is_there: bool) -> Iterator[Step]:
    root = site.host(host).root
    archive, place, sha256 = f"{root}/ballerina/{version}.zip", f"{root}/ballerina", origin.sha256
    bring = Upload(str(origin.file), sha256, archive) if origin.file else Run(ballerina.download(origin.url, archive, sha256))
    unpack = Run(ballerina.install_distribution(archive, version, sha256, place, ballerina.bal_of(root)))
    has_version, has_tool = ballerina.has_version(root, version), ballerina.has_tool(root)
    todo = () if is_there else (bring, unpack)
    yield ensured("distribution", host, f"Ballerina {version}", has_version, *todo, group="install", is_done=is_there)
    title, is_done = f"the tool {ballerina.TOOL} {ballerina.TOOL_VERSION}", is_there and site.holds(host, has_tool)
    yield ensured("tool", host, title, has_tool, ballerina.pull_tool(root), group="install", is_done=is_done, reads="bal")


def _java(site: Site, host: str, found: System, needed: int) -> Iterator[Precondition | Step]:
    """The Java runtime for `bal` and for jars: installed where balbook manages the system, else a precondition."""
    is_builder = "build" in site.host(host).roles
    jars = [app for app in site.inventory.applications.values() if app.artifact == "jar" and any(i.host == host for i in app.instances)]
    wanted = max([*([needed] if is_builder else []), *(app.requires.java or needed for app in jars)], default=0)
    if not wanted:
        return
    has_java, said = (found.java or 0) >= wanted, f"Java {found.java}" if found.java else "no Java"
    if not manages_system(site.host(host), found):
        yield row(f"{host}: a Java runtime, {wanted} or later{'' if jars else ', for bal'}", has_java, said)
        return
    packages, check = java_packages(wanted), system_commands.has_java(wanted)
    if not has_java:
        yield _offered(site, host, wanted, said, packages)
    install = system_commands.install_java(packages)
    yield ensured("java", host, f"a Java runtime, {wanted}", check, install, group="java", is_done=has_java)


def java_packages(wanted: int) -> list[str]:
    """The packages of a runtime of this version or a later one, the best first: as Debian, Fedora and Adoptium call them."""
    versions = [wanted, *(later for later in LATER_JAVA if later > wanted)]
    return [name for v in versions for name in (f"openjdk-{v}-jre-headless", f"java-{v}-openjdk-headless", f"temurin-{v}-jre")]


def _offered(site: Site, host: str, wanted: int, said: str, packages: list[str]) -> Precondition:
    """The host's package manager offers such a package; where the manager has no lists yet, installing will tell."""
    result, what = (
        site.transport.execute(host, system_commands.find_java(packages)),
        f"{host}: the package manager offers Java {wanted} or later",
    )
    if result.status == system_commands.UNKNOWN:
        return row(what, True, "the host has not fetched its package lists yet")
    advice = f"add a repository that has one (Adoptium's has temurin-{wanted}-jre), or install a runtime by hand"
    return row(what, result.status == 0, result.stdout.strip() or f"{said}, and no package is offered: {advice}")
