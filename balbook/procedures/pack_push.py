"""Test, pack and push packages from their source repositories: the CI side of the guide.

A package's sources are a directory or a commit of a git repository, read on this machine and brought to the build host. A
version that is published already is left alone where its sources are the same; where they differ, the version must rise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from balbook import sources
from balbook import transport as transports
from balbook.commands import ballerina
from balbook.errors import BadInput, BalbookError
from balbook.facts.ballerina import PackageId, parse_package
from balbook.journal import Journal
from balbook.plan import Plan, Run, Step, Upload
from balbook.procedures import Check
from balbook.procedures.bal_outputs import test_table
from balbook.procedures.preconditions import Row, row
from balbook.procedures.site import Site
from balbook.secrets import resolve
from balbook.sources import Sources
from balbook.table import Table
from balbook.transport import fan_out

CENTRAL = "https://api.central.ballerina.io/2.0/registry"
REPOSITORIES = ("central", "local")


@dataclass(frozen=True)
class Packed:
    """A package, its sources, and what the repository has of it: `same`, `other` (sources), `unknown` (sources), or `absent`."""

    package: PackageId
    sources: Sources
    published: str


def preflight(site: Site) -> Table:
    """The packages, and what the repository has of them."""
    rows = [(str(p.package), p.sources.origin, p.published) for p in _look(site)]
    return Table(("package", "sources", "in the repository"), rows, title=f"Packages for {_repository(site)}")


def plan(site: Site) -> Plan:
    """Bring the sources, test, pack, push; all packages side by side on their way to the build host, then one after the other."""
    host, packages = build_host(site), _look(site)
    rows: list[Row] = [
        row(f"{host}: bal is there", site.transport.execute(host, ballerina.has_bal(_root(site))).status == 0, otherwise=_install())
    ]
    rows += [_immutable(p) for p in packages if p.published in ("other", "unknown")]
    if _repository(site) == "central" and any(p.published == "absent" for p in packages):
        rows.append(_token(site))
    steps = [step for packed in packages for step in _steps(site, host, packed)]
    subject = {"packages": {p.package.full_name: p.package.version for p in packages}, "repository": _repository(site)}
    return Plan("pack_push", "", tuple(steps), subject=subject, preconditions=tuple(rows))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The repository has every package now."""
    return [Check(f"{p.package} is published from these sources", p.published == "same", p.published) for p in _look(site)]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The counts of the tests, and the packages."""
    return [test_table(Journal(run_dir / "journal.jsonl").events()), preflight(site)]


def build_host(site: Site) -> str:
    """The first host that builds; BadInput where there is none."""
    hosts = [name for name, host in site.inventory.hosts.items() if "build" in host.roles]
    if not hosts:
        raise BadInput(f"{site.inventory.path}: no host has the role build", advice="Give one of the hosts `roles: [build]`.")
    return hosts[0]


def central_url(site: Site) -> str:
    """The registry's base address."""
    return (site.inventory.central.url or CENTRAL).rstrip("/")


def _root(site: Site) -> str:
    return site.host(build_host(site)).root


def _repository(site: Site) -> str:
    repository = str(site.parameters.get("repository", "central"))
    if repository not in REPOSITORIES:
        raise BadInput(f"parameter repository: {repository!r} is not known", advice="central or local.")
    return repository


def _look(site: Site) -> list[Packed]:
    wanted = list(site.parameters.get("packages", []))
    if not wanted:
        raise BadInput("parameter packages is empty", advice="Directories, or git+URL@ref, separated by commas.")
    outcomes = fan_out(wanted, lambda source: _read(site, source)).require()
    packages = [outcomes[source] for source in dict.fromkeys(wanted)]
    names = [p[0].full_name for p in packages]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"parameter packages: {twice[0]} is named twice", advice="One source for each package.")
    return [Packed(package, found, _published(site, package, found)) for package, found in packages]


def _read(site: Site, source: str) -> tuple[PackageId, Sources]:
    cache = site.store.root / ".sources"
    found = sources.from_git(source, cache) if sources.is_git(source) else sources.from_directory(site.inventory.resolve(source), cache)
    return parse_package(found.text("Ballerina.toml"), f"{found.origin}/Ballerina.toml"), found


def _published(site: Site, package: PackageId, found: Sources) -> str:
    """What was recorded at the push, on the build host, decides; a version that somebody else pushed is held against these sources."""
    host = build_host(site)
    recorded = transports.run(site.transport, host, ballerina.read(_record(site, package))).stdout.strip()
    if recorded:
        return "same" if recorded == found.sha256 else "other"
    if _repository(site) == "local":
        return "absent"
    url = f"{central_url(site)}/packages/{package.org}/{package.name}/{package.version}"
    status = site.transport.execute(host, ballerina.http_status(url)).stdout.strip()
    return "absent" if status in ("404", "") else "unknown"


def _record(site: Site, package: PackageId) -> str:
    return f"{_root(site)}/published/{_repository(site)}/{package.org}/{package.name}/{package.version}"


def _immutable(packed: Packed) -> Row:
    found = "other sources" if packed.published == "other" else "sources that are not known here"
    return row(f"{packed.package} is not published yet", False, f"published from {found}: raise the version in Ballerina.toml")


def _token(site: Site) -> Row:
    """`bal push` without a token opens a browser and waits for ever, so it is looked for before the call."""
    what, reference = "Central's access token is there", site.inventory.central.token
    if not reference:
        return row(what, False, "the inventory has no central.token: add a reference such as env:BALLERINA_CENTRAL_ACCESS_TOKEN")
    try:
        resolve(reference, os.environ, base=site.inventory.path.parent)
    except BalbookError as exc:
        return row(what, False, exc.message)
    return row(what, True, reference)


def _install() -> str:
    return "met by runbook install"


def _steps(site: Site, host: str, packed: Packed) -> list[Step]:
    root, package, found = _root(site), packed.package, packed.sources
    place = f"{root}/sources/{package.org}/{package.name}"
    archive = f"{root}/sources/{found.sha256}.tar"
    is_done = packed.published == "same"
    record = _record(site, package)
    common = {"host": host, "group": "packages", "lane": package.full_name, "done": ballerina.remembers(record, found.sha256), "is_done": is_done}
    push = (
        ballerina.push(root, place, site.inventory.central.token or "")
        if _repository(site) == "central"
        else ballerina.bal(root, place, "push", "--repository=local", within_s=ballerina.PUSH_S)
    )
    return [
        Step(
            id=f"sources {package.full_name}",
            title=f"{package}: sources from {found.origin}",
            actions=(Upload(str(found.archive), found.sha256, archive), Run(ballerina.unpack(archive, place, found.sha256))),
            **common,  # type: ignore[arg-type]
        ),
        Step(id=f"test {package.full_name}", title=f"{package}: bal test", actions=(Run(ballerina.bal(root, place, "test")),), **common),  # type: ignore[arg-type]
        Step(id=f"pack {package.full_name}", title=f"{package}: bal pack", actions=(Run(ballerina.bal(root, place, "pack")),), **common),  # type: ignore[arg-type]
        Step(
            id=f"push {package.full_name}",
            title=f"{package}: bal push to {_repository(site)}",
            actions=(Run(push), Run(ballerina.remember(record, found.sha256))),
            verify=(Run(ballerina.remembers(record, found.sha256)),),
            **common,  # type: ignore[arg-type]
        ),
    ]
