"""Publish an artifact from the store to the registry, and its package to Ballerina Central where the inventory says so.

Versions are immutable: the same content under the same version is left alone, other content is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from balbook.artifacts.registry import Published
from balbook.artifacts.store import Artifact
from balbook.errors import BadInput, BalbookError, StoreError
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Plan, Precondition, Step
from balbook.procedures import Check, pack_push
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.sharing import exchange_step, place_of, registry_of, release_subject, right_content, stored, where_table
from balbook.procedures.parts.site import Site
from balbook.show.table import Shown, Table


@dataclass(frozen=True)
class Found:
    """The artifact to publish (from the store, or from a file that goes into the store), and the present holders of its version.

    `trouble`: why the registry, or the store, cannot be used; empty where they can.
    """

    artifact: Artifact | None
    kept: Artifact | None
    published: Published | None
    trouble: str = ""


def preflight(site: Site) -> Table:
    """The release in the store and in the registry."""
    place, found = place_of(site), _look(site)
    return where_table(site, {"this machine": found.artifact, place.url: found.trouble or found.published})


def plan(site: Site) -> Plan:
    """Into the registry; an artifact that was built elsewhere goes into the store first."""
    found, place = _look(site), place_of(site)
    rows = [row(f"{place.url} and the store can be used", not found.trouble, found.trouble)]
    steps: list[Step] = []
    subject: dict[str, Any] = {}
    if found.artifact is None:
        rows.append(row("the artifact is in the store", False, f"the store has no artifact of {site.application_name}", met_by="build"))
    else:
        rows += _immutable(found, found.artifact)
        steps += _steps(site, found, found.artifact)
        subject = release_subject(found.artifact, place.url)
    if central := _central(site):
        pushing = pack_push.plan(central)
        steps, rows = [*steps, *pushing.steps], [*rows, *pushing.preconditions]
        subject |= {"packages": pushing.subject["packages"], "new": pushing.subject["new"]}
    return Plan("publish_artifact", site.application_name, tuple(steps), subject=subject, preconditions=tuple(rows))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The registry has the version, and its content, read anew, is the published content."""
    registry, version, sha256 = registry_of(site), str(plan.subject["version"]), str(plan.subject["artifact_sha256"])
    there = registry.published(site.application_name, version)
    checks = [Check(f"{registry.location} has {site.application_name} {version}", there is not None and there.sha256 == sha256)]
    if there:
        checks.append(right_content("the published content has the right sha256", registry.check, there))
    central = _central(site)
    return [*checks, *(pack_push.verify(central, plan) if central else ())]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The places of the artifact now."""
    central = _central(site)
    return [preflight(site), *(pack_push.evidence(central, plan, run_dir) if central else ())]


def _look(site: Site) -> Found:
    artifact = kept = None
    try:
        artifact = _from_file(site)
        if artifact is None and site.store.artifacts(site.application_name):
            artifact = site.store.find(site.application_name, str(site.parameters.get("release", "latest")))
        kept = stored(site, artifact.version) if artifact else None
    except StoreError as exc:
        return Found(artifact, None, None, exc.message)
    try:
        registry = registry_of(site)
        return Found(artifact, kept, registry.published(site.application_name, artifact.version) if artifact else None)
    except BalbookError as exc:  # unreachable, missing credentials: the plan says so before anything is done
        return Found(artifact, kept, None, exc.message)


def _from_file(site: Site) -> Artifact | None:
    """The file that the parameter `file` names, as an artifact of the store."""
    given = str(site.parameters.get("file", ""))
    if not given:
        return None
    version, kind, file = str(site.parameters["release"]), site.application.artifact, _executable(site, given)
    if version == "latest":
        raise BadInput("parameter release: 'latest' is not a version for a file", advice="Give the version of this file, such as 1.4.0.")
    about: dict[str, Any] = {"sha256": sha256_of_file(file), "bytes": file.stat().st_size, "path": file}
    return Artifact(application=site.application_name, version=version, kind=kind, published_at="", **about)


def _executable(site: Site, given: str) -> Path:
    """The file, or the only executable of a directory such as `target/bin`."""
    path = site.inventory.resolve(given)
    if path.is_file():
        return path
    is_jar = site.application.artifact == "jar"
    found = sorted(p for p in path.glob("*") if p.is_file() and (p.suffix == ".jar") == is_jar) if path.is_dir() else []
    if len(found) != 1:
        kind = site.application.artifact
        what = f"holds {len(found)} files of the kind {kind}, not 1" if path.is_dir() else "does not exist"
        raise BadInput(f"parameter file: {path} {what}", advice="Name the file that `bal build` made, such as target/bin/rooms.jar.")
    return found[0]


def _immutable(found: Found, wanted: Artifact) -> Iterator[Precondition]:
    """The store and the registry have no other content under this version."""
    for where, there in (("the store", found.kept), ("the registry", found.published)):
        told = ""
        if there and there.sha256 != wanted.sha256:
            told = f"{where} has sha256 {there.sha256[:12]}…, this artifact {wanted.sha256[:12]}…: {_advice(wanted, there)}"
        yield row(f"{where} has no other content as {wanted.application} {wanted.version}", not told, told)


def _advice(wanted: Artifact, there: Artifact | Published) -> str:
    digest = wanted.details.get("input_digest")
    if digest and there.details.get("input_digest") == digest:
        return "both were built from the same input; remove this one from the store, and the runbook build retrieves the other"
    return "raise the version"


def _steps(site: Site, found: Found, wanted: Artifact) -> Iterator[Step]:
    about = f"{wanted.application} {wanted.version} (sha256 {wanted.sha256[:12]}…)"
    if site.parameters.get("file"):
        title = f"{about}: {wanted.path} into the store"
        yield exchange_step(site, "keep", wanted, title, is_done=found.kept is not None, source=str(wanted.path))
    is_there = found.published is not None and found.published.sha256 == wanted.sha256
    yield exchange_step(site, "publish", wanted, f"{about} to {place_of(site).url}", is_done=is_there)


def _central(site: Site) -> Site | None:
    """The site of `pack_push` for the application's package; None where it does not go to Central."""
    if not place_of(site).central or not site.application.source:
        return None
    return replace(site, parameters={"packages": [site.application.source], "repository": "central"})
