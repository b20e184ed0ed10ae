"""`registry publish|retrieve|list`: publishes artifacts to a registry, and retrieves them into the inventory's store."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Registry
from balbook.artifacts.store import FILE_OF_KIND, Store
from balbook.cli import common
from balbook.cli.common import Action, argument
from balbook.errors import BadInput, InventoryError
from balbook.secrets.references import resolve
from balbook.secrets.secret_ref import SecretRef
from balbook.show.table import Table

REGISTRY = "BALBOOK_REGISTRY"


def _publish(args: argparse.Namespace) -> int:
    """Publishes one file."""
    published, is_new = _registry(args).publish(args.application, args.version, args.kind, args.file, at=datetime.now(UTC))
    return _say(args, published.version, published.sha256, "published" if is_new else "")


def _retrieve(args: argparse.Namespace) -> int:
    """Copies one release into the store, from which the release can be deployed."""
    inventory = common.inventory_of(args)
    store = Store(inventory.resolve(inventory.artifacts))
    artifact, is_new = _registry(args).retrieve(args.application, args.release, store)
    return _say(args, artifact.version, artifact.sha256, f"retrieved into {store.root}" if is_new else "")


def _say(args: argparse.Namespace, version: str, sha256: str, done: str) -> int:
    artifact = f"{args.application} {version}"
    data = {"artifact": artifact, "sha256": sha256, "is_new": bool(done)}
    common.show(args, data, f"{artifact}: {done or 'is already there'}, sha256 {sha256}")
    return 0


def _list(args: argparse.Namespace) -> int:
    """Prints one line for each artifact."""
    found = _registry(args).artifacts(args.application)
    rows = [(a.published_at[:19], a.version, a.kind, f"{a.bytes:,}", a.sha256) for a in found]
    table = Table(("published", "version", "kind", "bytes", "sha256"), rows, note="" if rows else "Nothing is published.")
    common.show(args, {"artifacts": [vars(artifact) for artifact in found]}, table)
    return 0


def _registry(args: argparse.Namespace) -> Registry:
    location = args.url or os.environ.get(REGISTRY, "")
    if location:
        is_http = location.startswith(("http://", "https://"))  # the others have credentials of their own
        credentials = resolve(args.credentials, os.environ) if args.credentials and is_http else ""
        return open_registry(location, credentials=credentials, base=Path.cwd())
    try:
        inventory = common.inventory_of(args)
    except InventoryError:
        if args.inventory:
            raise
        inventory = None
    if inventory is None or inventory.registry is None:
        raise BadInput("no registry is named", advice=f"Give --url URL, set {REGISTRY}, or name a registry in the inventory.")
    reference = args.credentials or inventory.registry.credentials
    credentials = inventory.secrets.reveal(SecretRef(reference)) if reference else ""
    return open_registry(inventory.registry.url, credentials=credentials, base=inventory.path.parent)


def _action(summary: str, words: str, run: common.Run, *own: common.Argument) -> Action:
    return Action(summary, f"balbook registry {words} --url s3://acme-artifacts/ballerina", (*SHARED, *own), run)


EXAMPLE = "balbook registry publish hotel 1.4.0 target/bin/hotel.jar --url s3://acme-artifacts/ballerina"
URL_HELP = f"directory, file:, s3:, sftp:, https: (default: {REGISTRY}, then the inventory's registry)"
SHARED = (
    common.APPLICATION,
    argument("--url", default="", metavar="URL", help=URL_HELP),
    argument("--credentials", default="", metavar="REFERENCE", help="user:password for HTTP, as env:NAME or file:PATH"),
    common.INVENTORY,
    common.JSON,
)
ACTIONS = {
    "publish": _action(
        "put a file into the registry under a version that is never replaced",
        "publish hotel 1.4.0 target/bin/hotel.jar",
        _publish,
        argument("version", metavar="VERSION"),
        argument("file", type=Path, metavar="FILE", help="the file that bal build made"),
        argument("--kind", choices=sorted(FILE_OF_KIND), default="jar", help="default: jar"),
    ),
    "retrieve": _action(
        "copy a release from the registry into the inventory's store, checked",
        "retrieve hotel 1.4.0",
        _retrieve,
        argument("release", metavar="RELEASE", help="a version, the first 12 characters of a sha256, or latest"),
    ),
    "list": _action("list the artifacts of the registry, the newest last", "list hotel", _list),
}
