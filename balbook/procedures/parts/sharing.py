"""The common part of publishing to a registry and retrieving from it: the inventory's registry, and steps of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Published, Registry
from balbook.artifacts.store import Artifact, chosen
from balbook.errors import BadInput, BalbookError
from balbook.inventory.models import Registry as Place
from balbook.plan.model import CONTROLLER, Exchange, Step, Way
from balbook.procedures import Check
from balbook.procedures.parts.site import Site
from balbook.secrets.references import resolve
from balbook.show.table import Table

Content = TypeVar("Content", Artifact, Published)


def place_of(site: Site) -> Place:
    """The inventory's registry; BadInput where the inventory names none."""
    if site.inventory.registry is None:
        advice = "Add a registry, such as `registry: {url: s3://acme-artifacts/ballerina}`."
        raise BadInput(f"{site.inventory.path}: no registry is named", advice=advice)
    return site.inventory.registry


def registry_of(site: Site) -> Registry:
    """The inventory's registry, opened; BadInput where its credentials cannot be read."""
    place, base = place_of(site), site.inventory.path.parent
    credentials = resolve(place.credentials, os.environ, base=base) if place.credentials else ""
    return open_registry(place.url, credentials=credentials, base=base)


def find(site: Site, registry: Registry, release: str) -> Published:
    """The release in the registry. Where the registry cannot list, the store says which version `latest` or a digest names."""
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
    """The store's artifact of this version, read and checked; None where the store has none. StoreError where it was changed."""
    found = next((a for a in site.store.artifacts(site.application_name) if a.version == version), None)
    if found:
        site.store.check(found)
    return found


def exchange_step(site: Site, way: Way, about: Artifact | Published, title: str, *, is_done: bool, source: str = "") -> Step:
    """The step that moves one artifact on this machine."""
    place = None if way == "keep" else place_of(site)
    registry, credentials = (place.url, place.credentials or "") if place else ("", "")
    store, base = str(site.store.root), str(site.inventory.path.parent)
    names = (about.application, about.version, about.kind, about.sha256)
    action = Exchange(way, store, *names, registry=registry, credentials=credentials, base=base, source=source)
    name = f"{about.application} {about.version}"
    return Step(verb=way, about=name, host=CONTROLLER, title=title, actions=(action,), is_done=is_done)


def where_table(site: Site, found: Mapping[str, Artifact | Published | str | None]) -> Table:
    """The release in the store and in the registry; a text says why that is not known."""
    rows: list[tuple[object, ...]] = []
    for where, there in found.items():
        if there is None or isinstance(there, str):
            rows.append((where, "?" if there else "-", there or "not found", "-", "-"))
        else:
            rows.append((where, there.version, there.sha256, there.kind, f"{there.bytes:,}"))
    title = f"{site.application_name} {site.parameters.get('release', 'latest')}"
    return Table(("where", "version", "sha256", "kind", "bytes"), rows, title=title)


def right_content(what: str, check: Callable[[Content], object], there: Content) -> Check:
    """The check that what was stored is read anew and has the sha256 that belongs to it."""
    try:
        check(there)
    except BalbookError as exc:
        return Check(what, False, exc.message, exc.message)
    return Check(what, True, there.sha256)


def release_subject(about: Artifact | Published, url: str) -> dict[str, str]:
    """The subject of a plan that moves this artifact between the store and the registry."""
    return {"version": about.version, "kind": about.kind, "artifact_sha256": about.sha256, "registry": url}
