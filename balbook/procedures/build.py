"""Build an application into one executable and keep it in the artifact store: its consolidated project, or its single package.

A single package (`source` in the inventory) comes from its directory or git repository and is tested right before it is built.

An input (packages with their resolved versions, sources and tests, flags, distribution) is not built a second time: two builds of
one input differ in bytes, so bytes are never compared. An artifact that another controller has published from the same input is
retrieved from the registry: its version is taken, and a second build would have other content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook.artifacts.registry import Published
from balbook.artifacts.sources import Sources
from balbook.artifacts.store import Artifact
from balbook.commands import ballerina
from balbook.errors import BalbookError
from balbook.facts.ballerina import PHASES, parse_package, parse_version
from balbook.local.digests import canonical, sha256_of
from balbook.plan.model import Plan, Precondition, Publish, Run, Step, Upload
from balbook.procedures import Check
from balbook.procedures.parts.bal_outputs import bal_outputs
from balbook.procedures.parts.packages import read_package
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.project import Project, project, single, wanted_packages
from balbook.procedures.parts.sharing import exchange_step, registry_of, right_content
from balbook.procedures.parts.site import Site
from balbook.record.events import Timed
from balbook.record.journal import Journal
from balbook.show.table import Shown, Table


def preflight(site: Site) -> Table:
    """The package, or the resolved packages, of the next build."""
    if site.application.source:
        package, origin = read_package(site, site.application.source)
        return Table(("package", "version", "sources"), [(package.full_name, package.version, origin.origin)], title=site.application_name)
    found = project(site)
    rows = [(name, version) for name, version in sorted(found.resolved.items())]
    return Table(("package", "version"), rows, title=f"{site.application_name}: resolved packages")


def plan(site: Site) -> Plan:
    """Build, and publish to the store; nothing where the store holds an artifact of the same input."""
    package = read_package(site, site.application.source)[1] if site.application.source else None
    found, kind = single(site, package) if package else project(site), site.application.artifact
    root = site.host(found.host).root
    distribution = parse_version(site.transport.execute(found.host, ballerina.bal(root, "/", "version", within_s=60)).stdout)
    digest = input_digest(found, kind, distribution)
    version = _version(found, digest)
    is_built = site.store.built_from(site.application_name, digest) is not None
    elsewhere = None if is_built else _published(site, version, digest)
    rows = [row(f"{found.host}: bal is installed", bool(distribution), distribution, met_by="install")]
    rows += [] if package else _consolidated(site, found)
    subject = {"input_digest": digest, "packages": found.resolved, "distribution": distribution, "kind": kind, "version": version}
    if elsewhere:
        title = f"{site.application_name} {elsewhere.version}, built from the same input elsewhere, from the registry into the store"
        steps = [exchange_step(site, "retrieve", elsewhere, title, is_done=False)]
    else:
        steps = _test(found, root, package, is_built) if package else []
        steps += [_step(site, found, subject, is_built)] if found.exists else []
    return Plan("build", site.application_name, tuple(steps), subject=subject, preconditions=tuple(rows))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The store holds the artifact of this input, whole, with the versions that were resolved."""
    artifact = site.store.built_from(site.application_name, str(plan.subject["input_digest"]))
    checks = [Check("the store holds the artifact", artifact is not None)]
    if artifact:
        checks.append(right_content("the artifact in the store has the right sha256", site.store.check, artifact))
        lacking = sorted(set(site.application.packages) - set(artifact.packages))
        checks.append(Check("the artifact has every package of the inventory", not lacking, ", ".join(lacking)))
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The artifact with its packages, the seconds of each phase of its build, and the output of `bal`."""
    artifact = site.store.built_from(site.application_name, str(plan.subject["input_digest"]))
    rows: list[tuple[object, ...]] = [(name, version) for name, version in sorted(artifact.packages.items())] if artifact else []
    title = f"{site.application_name} {artifact.version}, sha256 {artifact.sha256}" if artifact else "No artifact"
    shown: list[Shown] = [Table(("package", "version"), rows, title=title)]
    journal = Journal(run_dir / "journal.jsonl")
    if artifact and "phases" in artifact.details:
        shown.append(_phase_table(artifact))
        _record(journal, artifact)
    tests, *outputs = bal_outputs(plan, journal)
    return [*shown, *([tests] if site.application.source else []), *outputs]


def _published(site: Site, version: str, digest: str) -> Published | None:
    """The registry's artifact of the same input; None where no registry can be asked or the registry has no such artifact."""
    if site.inventory.registry is None or not version:
        return None
    try:
        there = registry_of(site).published(site.application_name, version)
    except BalbookError:
        return None  # a registry that cannot be asked hinders no build; publishing says why
    return there if there and there.details.get("input_digest") == digest else None


def _phase_table(artifact: Artifact) -> Table:
    phases = artifact.details["phases"]
    rows = [(phase, f"{phases[phase]:.3f}") for phase in PHASES.values() if phase in phases]
    return Table(("phase", "seconds"), [*rows, ("total", f"{artifact.details['build_s']:.3f}")], title=f"Build of {artifact.version}")


def _record(journal: Journal, artifact: Artifact) -> None:
    """Records the times of a build of this run, once; a retrieved artifact was built by another run."""
    history = journal.history()
    if history.applied and history.applied.changes and "registry" not in artifact.details and not history.timed:
        phases = {f"{phase.replace(' ', '_')}_s": seconds for phase, seconds in artifact.details["phases"].items()}
        journal.append(Timed(version=artifact.version, kind=artifact.kind, build_s=artifact.details["build_s"], more=phases))


def _consolidated(site: Site, found: Project) -> list[Precondition]:
    return [
        row("the consolidated project exists", found.exists, met_by="consolidate"),
        row("the project's packages are those of the inventory", found.services == wanted_packages(site), met_by="consolidate"),
        row("the project's tests passed on its present files", found.is_tested, met_by="consolidate"),
    ]


def _test(found: Project, root: str, package: Sources, is_built: bool) -> list[Step]:
    """Brings the sources as they are now and tests them; sources that were built before were tested before."""
    archive, done = f"{root}/packages/{package.sha256}.tar", ballerina.nothing() if is_built else None
    bring = (Upload(str(package.archive), package.sha256, archive), Run(ballerina.unpack(archive, found.place, package.sha256)))
    name = parse_package(found.toml, f"{package.origin}/Ballerina.toml").full_name
    common: dict[str, Any] = {"host": found.host, "done": done, "is_done": is_built}
    return [
        Step(verb="sources", about=name, title=f"sources from {package.origin}", actions=bring, **common),
        Step(verb="test", about=name, reads="bal", title="bal test", actions=(Run(ballerina.bal(root, found.place, "test")),), **common),
    ]


def input_digest(found: Project, kind: str, distribution: str) -> str:
    """The sha256 (hex) over all that decides the result of a build."""
    about = {"packages": found.resolved, "sources": found.digest, "flags": _flags(kind), "distribution": distribution}
    return sha256_of(canonical(about))


def _flags(kind: str) -> list[str]:
    """The flags of `bal build`; `--sticky` builds the versions that were tested, however old the pins are."""
    return ["--sticky", "--graalvm"] if kind == "native" else ["--sticky"]


def _version(found: Project, digest: str) -> str:
    """The project's own version with the start of the input digest: the same input is the same version."""
    if not found.exists:
        return ""
    return f"{parse_package(found.toml, f'{found.place}/Ballerina.toml').version}+{digest[:8]}"


def _step(site: Site, found: Project, subject: Mapping[str, Any], is_done: bool) -> Step:
    kind, version, name = str(subject["kind"]), str(subject["version"]), site.application_name
    package = parse_package(found.toml, f"{found.place}/Ballerina.toml").name
    digests = {"input_digest": str(subject["input_digest"]), "project_digest": found.digest}
    publish = Publish(
        path=f"{found.place}/target/bin/{package}" + (".jar" if kind == "jar" else ""),
        store=str(site.store.root),
        application=name,
        version=version,
        kind=kind,
        reads="bal build",
        beside=(f"{found.place}/Dependencies.toml", f"{found.place}/target/build-time.json"),
        details={**digests, "distribution": str(subject["distribution"]), "build_host": found.host},
    )
    return Step(
        verb="build",
        about=name,
        host=found.host,
        title=f"bal build{' --graalvm' if kind == 'native' else ''}: {name} {version} into the store",
        done=ballerina.nothing() if is_done else None,
        is_done=is_done,
        actions=(Run(ballerina.bal(site.host(found.host).root, found.place, "build", *_flags(kind), "--dump-build-time")), publish),
        reads="bal",
    )
