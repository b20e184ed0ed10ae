"""Artifacts between files, the artifact store and a registry: what is done on this machine, without any host."""

from __future__ import annotations

from pathlib import Path

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Registry
from balbook.artifacts.store import Store
from balbook.commands.command import Result
from balbook.errors import StoreError
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Exchange
from balbook.record.journal import utc_now
from balbook.secrets.secret_ref import SecretRef
from balbook.transport import Reveal

CHANGED = "The artifact was changed since the plan was made. Make a new plan."


def exchange(action: Exchange, reveal: Reveal | None) -> Result:
    """Carries it out; raises StoreError where the content is not the plan's, Refused where the version has other content."""
    store = Store(Path(action.store))
    match action.way:
        case "keep":
            where, is_new = _keep(action, store)
        case "publish":
            where, is_new = _publish(action, store, _registry(action, reveal))
        case _:
            where, is_new = _retrieve(action, store, _registry(action, reveal))
    said = "in" if is_new else "already in"
    return Result(0, f"{action.application} {action.version}, sha256 {action.sha256}: {said} {where}\n")


def _keep(action: Exchange, store: Store) -> tuple[str, bool]:
    file = Path(action.source)
    _require(action.sha256, sha256_of_file(file) if file.is_file() else "nothing", str(file))
    _, is_new = store.publish(action.application, action.version, action.kind, file, at=utc_now())
    return str(store.root), is_new


def _publish(action: Exchange, store: Store, registry: Registry) -> tuple[str, bool]:
    artifact = store.find(action.application, action.version)
    store.check(artifact)
    _require(action.sha256, artifact.sha256, str(artifact.path))
    about = {"packages": artifact.packages, "details": artifact.details}
    _, is_new = registry.publish(action.application, action.version, action.kind, artifact.path, at=utc_now(), **about)
    return registry.location, is_new


def _retrieve(action: Exchange, store: Store, registry: Registry) -> tuple[str, bool]:
    published = registry.published(action.application, action.version)
    _require(action.sha256, published.sha256 if published else "nothing", f"{registry.location}: {action.application} {action.version}")
    artifact, is_new = registry.retrieve(action.application, action.version, store)
    store.check(artifact)
    return str(store.root), is_new


def _registry(action: Exchange, reveal: Reveal | None) -> Registry:
    credentials = reveal(SecretRef(action.credentials)) if action.credentials and reveal else ""
    return open_registry(action.registry, credentials=credentials, base=Path(action.base))


def _require(wanted: str, found: str, what: str) -> None:
    if found != wanted:
        raise StoreError(f"{what}: sha256 is {found}, but the plan is about {wanted}", advice=CHANGED)
