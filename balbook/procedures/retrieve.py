"""Retrieve a release from the registry into the artifact store, checked by its sha256, and bring it to the application's hosts.

An artifact that has vanished from the registry, was changed in the registry, or was cut off on its way is refused and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from balbook.artifacts.registry import Published
from balbook.artifacts.store import FILE_OF_KIND, Artifact
from balbook.commands import files
from balbook.errors import BalbookError, StoreError
from balbook.facts.system import system
from balbook.plan.model import Plan, Precondition, Step, Upload
from balbook.procedures import Check
from balbook.procedures.parts.preconditions import row, writable
from balbook.procedures.parts.sharing import exchange_step, find, place_of, registry_of, release_subject, stored, where_table
from balbook.procedures.parts.site import Site
from balbook.show.table import Shown, Table
from balbook.transport import fan_out


def preflight(site: Site) -> Table:
    """The release in the registry and in the store."""
    place = place_of(site)
    try:
        published = find(site, registry_of(site), _release(site))
    except BalbookError as exc:
        return where_table(site, {place.url: exc.message})
    kept, trouble = _kept(site, published.version)
    return where_table(site, {place.url: published, "this machine": trouble or kept})


def plan(site: Site) -> Plan:
    """From the registry into the store, and from the store to every host."""
    place, name = place_of(site), site.application_name
    what = f"{place.url} has {name} {_release(site)}"
    try:
        published = find(site, registry_of(site), _release(site))
    except BalbookError as exc:
        return Plan("retrieve", name, (), preconditions=(row(what, False, exc.message), *_hosts(site)))
    kept, trouble = _kept(site, published.version)
    is_kept = kept is not None and kept.sha256 == published.sha256
    rows = [row(what, True, published.version), row("the store has nothing else under this version", not trouble, trouble)]
    if published.kind != site.application.artifact:
        found = f"the artifact is a {published.kind}, the inventory says {site.application.artifact}"
        rows.append(row("the artifact is of the inventory's kind", False, found))
    title = f"{name} {published.version} (sha256 {published.sha256[:12]}…) from {place.url}"
    steps = [exchange_step(site, "retrieve", published, title, is_done=is_kept), *_uploads(site, published)]
    subject, preconditions = release_subject(published, place.url), (*rows, *_hosts(site))
    return Plan("retrieve", name, tuple(steps), subject=subject, preconditions=preconditions)


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The store and every host have the content that was published, read anew."""
    version, sha256 = str(plan.subject["version"]), str(plan.subject["artifact_sha256"])
    kept, trouble = _kept(site, version)
    checks = [Check(f"the store has {version} with the right sha256", kept is not None and kept.sha256 == sha256, trouble or sha256)]
    checks += [Check(f"{host} has the artifact with the right sha256", is_there) for host, is_there in _is_there(site, sha256).items()]
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The places of the release now, and its packages."""
    kept, _ = _kept(site, str(plan.subject.get("version", "")))
    rows = sorted(kept.packages.items()) if kept else []
    return [preflight(site), Table(("package", "version"), rows, title="Packages of the release")]


def _release(site: Site) -> str:
    return str(site.parameters.get("release", "latest"))


def _kept(site: Site, version: str) -> tuple[Artifact | None, str]:
    """The store's artifact of this version, and why the artifact cannot be used."""
    try:
        return stored(site, version), ""
    except StoreError as exc:
        return None, exc.message


def _hosts(site: Site) -> Iterator[Precondition]:
    found = site.ask_all(site.application_hosts, lambda host: system(site.host(host).root)).require()
    for host, there in found.items():
        yield writable(site, host, there)


def _uploads(site: Site, published: Published) -> Iterator[Step]:
    """Uploads to all hosts at the same time; a release is assembled from the uploaded file."""
    name, sha256 = FILE_OF_KIND[published.kind], published.sha256
    source, step = site.store.root / published.application / published.version / name, partial(Step, verb="upload", group="hosts")
    for host, is_there in _is_there(site, published.sha256).items():
        place = site.artifact_path(host, sha256)
        done, title = files.is_there(place, sha256, is_privileged=True), f"{name} to {host} ({published.bytes:,} bytes)"
        upload = Upload(str(source), sha256, place, "0755", is_privileged=True)
        yield step(host=host, title=title, done=done, is_done=is_there, actions=(upload,))


def _is_there(site: Site, sha256: str) -> dict[str, bool]:
    """True by host where the host has the file; all hosts are asked side by side, and each reads the whole file."""

    def ask(host: str) -> bool:
        return site.holds(host, files.is_there(site.artifact_path(host, sha256), sha256, is_privileged=True))

    return fan_out(site.application_hosts, ask).require()
