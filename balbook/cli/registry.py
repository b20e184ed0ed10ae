"""`registry publish|retrieve|list`: artifacts in a registry, and from there into the inventory's store."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Registry
from balbook.artifacts.store import FILE_OF_KIND, Store
from balbook.cli import common
from balbook.errors import BadInput, InventoryError
from balbook.secrets.references import resolve
from balbook.secrets.secret_ref import SecretRef
from balbook.show.table import Table

REGISTRY = "BALBOOK_REGISTRY"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `registry`, one parser for each action."""
    parser.epilog = "example: balbook registry publish hotel 1.4.0 target/bin/hotel.jar --url s3://acme-artifacts/ballerina"
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    publishing = _action(actions, "publish", "put a file into the registry under a version that is never replaced")
    publishing.add_argument("version", metavar="VERSION")
    publishing.add_argument("file", type=Path, metavar="FILE", help="what bal build made")
    publishing.add_argument("--kind", choices=sorted(FILE_OF_KIND), default="jar", help="default: jar")
    publishing.set_defaults(run=publish)
    retrieving = _action(actions, "retrieve", "copy a release from the registry into the inventory's store, checked")
    retrieving.add_argument("release", metavar="RELEASE", help="a version, the first 12 characters of a sha256, or latest")
    retrieving.set_defaults(run=retrieve)
    listing = _action(actions, "list", "what the registry holds, the newest last")
    listing.set_defaults(run=list_all)


def publish(args: argparse.Namespace) -> int:
    """Publishes one file."""
    published, is_new = _registry(args).publish(args.application, args.version, args.kind, args.file, at=datetime.now(UTC))
    _say(args, f"{args.application} {published.version}", published.sha256, is_new, "published")
    return 0


def retrieve(args: argparse.Namespace) -> int:
    """Copies one release into the store, from which it can be deployed."""
    inventory = common.inventory_of(args)
    store = Store(inventory.resolve(inventory.artifacts))
    artifact, is_new = _registry(args).retrieve(args.application, args.release, store)
    _say(args, f"{args.application} {artifact.version}", artifact.sha256, is_new, f"retrieved into {store.root}")
    return 0


def list_all(args: argparse.Namespace) -> int:
    """One line an artifact."""
    found = _registry(args).artifacts(args.application)
    if args.json:
        common.print_json({"artifacts": [vars(artifact) for artifact in found]})
        return 0
    rows = [(a.published_at[:19], a.version, a.kind, f"{a.bytes:,}", a.sha256) for a in found]
    print(Table(("published", "version", "kind", "bytes", "sha256"), rows, note="" if rows else "Nothing is published."))
    return 0


def _action(actions: Any, name: str, what: str) -> argparse.ArgumentParser:
    rest = {"publish": " 1.4.0 target/bin/hotel.jar", "retrieve": " 1.4.0", "list": ""}[name]
    example = f"example: balbook registry {name} hotel{rest} --url s3://acme-artifacts/ballerina"
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, epilog=example)
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument(
        "--url", default="", metavar="URL", help=f"directory, file:, s3:, sftp:, https: (else {REGISTRY}, else the inventory's)"
    )
    parser.add_argument("--credentials", default="", metavar="REFERENCE", help="user:password for HTTP, as env:NAME or file:PATH")
    common.add_inventory(parser)
    common.add_json(parser)
    return parser


def _registry(args: argparse.Namespace) -> Registry:
    location = args.url or os.environ.get(REGISTRY, "")
    if not location:
        return _of_inventory(args)
    is_http = location.startswith(("http://", "https://"))  # the others have credentials of their own
    credentials = resolve(args.credentials, os.environ) if args.credentials and is_http else ""
    return open_registry(location, credentials=credentials, base=Path.cwd())


def _of_inventory(args: argparse.Namespace) -> Registry:
    try:
        inventory = common.inventory_of(args)
    except InventoryError:
        if args.inventory:
            raise
        inventory = None
    if inventory is None or inventory.registry is None:
        raise BadInput("no registry is named", advice=f"Give --url URL, set {REGISTRY}, or name one in the inventory.")
    place, base = inventory.registry, inventory.path.parent
    reference = args.credentials or place.credentials
    credentials = inventory.secrets.reveal(SecretRef(reference)) if reference else ""
    return open_registry(place.url, credentials=credentials, base=base)


def _say(args: argparse.Namespace, what: str, sha256: str, is_new: bool, done: str) -> None:
    if args.json:
        common.print_json({"artifact": what, "sha256": sha256, "is_new": is_new})
    else:
        print(f"{what}: {done if is_new else 'is already there'}, sha256 {sha256}")
