"""What publishing to a registry and retrieving from it share: the inventory's registry, and steps of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Published, Registry
from balbook.artifacts.store import Artifact, chosen
from balbook.errors import BadInput
from balbook.inventory.models import Registry as Place
from balbook.plan.model import CONTROLLER, Exchange, Step, Way
from balbook.procedures.parts.site import Site
from balbook.secrets.references import resolve
from balbook.show.table import Table


def place_of(site: Site) -> Place:
    """The inventory's registry; BadInput where it names none."""
    if site.inventory.registry is None:
        raise BadInput(
            f"{site.inventory.path}: no registry is named", advice="Add one, such as `registry: {url: s3://acme-artifacts/ballerina}`."
        )
    return site.inventory.registry


def registry_of(site: Site) -> Registry:
    """The inventory's registry, opened; BadInput where its credentials cannot be read."""
    place, base = place_of(site), site.inventory.path.parent
    credentials = resolve(place.credentials, os.environ, base=base) if place.credentials else ""
    return open_registry(place.url, credentials=credentials, base=base)


def find(site: Site, registry: Registry, release: str) -> Published:
    """The release in the registry. Of one that cannot be listed the store says which version `latest` or a digest is."""
    name = site.application_name
    try:
        return registry.find(name, release)
    except BadInput:
        known = chosen(site.store.artifacts(name), release)
        there = registry.published(name, known.version) if known else None
        if there is None:
            raise
        return there


def stored(site: Site, version: str) -> Artifact | None:
    """What the store has under this version, read and checked; None where it has nothing. StoreError where it was changed."""
    found = next((a for a in site.store.artifacts(site.application_name) if a.version == version), None)
    if found:
        site.store.check(found)
    return found


def exchange_step(site: Site, way: Way, about: Artifact | Published, title: str, *, is_done: bool, source: str = "") -> Step:
    """One artifact's way on this machine."""
    place = None if way == "keep" else place_of(site)
    action = Exchange(
        way=way,
        store=str(site.store.root),
        application=about.application,
        version=about.version,
        kind=about.kind,
        sha256=about.sha256,
        registry=place.url if place else "",
        credentials=(place.credentials or "") if place else "",
        base=str(site.inventory.path.parent),
        source=source,
    )
    what = f"{about.application} {about.version}"
    return Step(verb=way, about=what, host=CONTROLLER, title=title, actions=(action,), is_done=is_done)


def where_table(site: Site, found: Mapping[str, Artifact | Published | str | None]) -> Table:
    """What the store and the registry have of a release; a text says why nobody knows."""
    rows: list[tuple[object, ...]] = []
    for where, there in found.items():
        if isinstance(there, str):
            rows.append((where, "?", there, "-", "-"))
        elif there is None:
            rows.append((where, "-", "not there", "-", "-"))
        else:
            rows.append((where, there.version, there.sha256, there.kind, f"{there.bytes:,}"))
    title = f"{site.application_name} {site.parameters.get('release', 'latest')}"
    return Table(("where", "version", "sha256", "kind", "bytes"), rows, title=title)
