"""Packages and their sources on this machine, and their state in the repository that receives them."""

from __future__ import annotations

import base64
import io
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from balbook.artifacts import sources
from balbook.artifacts.sources import Sources
from balbook.commands import ballerina
from balbook.errors import BadInput
from balbook.facts.ballerina import PackageId, parse_package
from balbook.inventory import Inventory
from balbook.inventory.secret_references import secret_references
from balbook.local.names import require_word
from balbook.procedures.parts.site import Site
from balbook.secrets.references import without_secrets
from balbook.transport import fan_out

CENTRAL = "https://api.central.ballerina.io/2.0/registry"
REPOSITORIES = ("central", "local")


@dataclass(frozen=True)
class Packed:
    """A package, its sources, and its state in the repository.

    `published`: `absent`, `same` (from these sources), `other` (from other sources), `lost` (pushed once, and gone from the
    repository), or why the state is not known.
    """

    package: PackageId
    sources: Sources
    published: str


@dataclass(frozen=True)
class Packages:
    """The named packages, and the directories that do not exist yet."""

    packed: tuple[Packed, ...]
    new: tuple[Path, ...]


def look(site: Site) -> Packages:
    """All packages that the parameters name; BadInput, before any connection, where a source is not a package."""
    wanted, new = named(site.inventory, site.parameters)
    there = [source for source in wanted if source not in new]
    found = fan_out(there, lambda source: read_package(site, source)).require()
    names = [package.full_name for package, _ in found.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"parameter packages: {twice[0]} is named twice", advice="Give one source for each package.")
    published = fan_out(there, lambda source: _published(site, *found[source])).require()
    return Packages(tuple(Packed(*found[source], published[source]) for source in there), tuple(new.values()))


def named(inventory: Inventory, parameters: Mapping[str, Any]) -> tuple[list[str], dict[str, Path]]:
    """The sources that the parameters name, and the ones that `bal new` makes. BadInput where a source cannot be a package."""
    wanted = list(dict.fromkeys(parameters.get("packages", [])))
    if not wanted:
        raise BadInput("parameter packages is empty", advice="Give directories or git+URL@ref, separated by commas.")
    if (name := parameters.get("repository", "central")) not in REPOSITORIES:
        raise BadInput(f"parameter repository: {name!r} is not known", advice="Give central or local.")
    return wanted, {source: directory for source in wanted if (directory := _new_directory(inventory, source))}


def build_host(site: Site) -> str:
    """The first host with the role build; BadInput where no host has the role."""
    hosts = [name for name, host in site.inventory.hosts.items() if "build" in host.roles]
    if not hosts:
        raise BadInput(f"{site.inventory.path}: no host has the role build", advice="Give one of the hosts `roles: [build]`.")
    return hosts[0]


def central_url(site: Site) -> str:
    """The registry's base address."""
    return (site.inventory.central.url or CENTRAL).rstrip("/")


def repository(site: Site) -> str:
    """The repository that packages are pushed to: `central` or `local`."""
    return str(site.parameters.get("repository", "central"))


def record_of(site: Site, package: PackageId) -> str:
    """The file on the build host with the sha256 of the sources that a version was pushed from."""
    root = site.host(build_host(site)).root
    return f"{root}/published/{repository(site)}/{package.org}/{package.name}/{package.version}"


def is_of(archive: bytes, package: PackageId, files: Mapping[str, bytes]) -> bool:
    """True where a published archive was made of these sources: by its modules' code and resources, not by times."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as bala:
            entries = {name: bala.read(name) for name in bala.namelist() if not name.endswith("/")}
    except zipfile.BadZipFile:
        return False
    return _code(entries) == _as_in_archive(package, files)


def _new_directory(inventory: Inventory, source: str) -> Path | None:
    """The directory that `bal new` makes; None for an existing directory and for git."""
    if sources.is_git(source):
        return None
    directory = inventory.resolve(source)
    if directory.exists():
        return None
    if not directory.parent.is_dir() or not re.search(r"[A-Za-z]", directory.name):
        raise BadInput(f"{directory} is not a directory", advice="Name a package's directory, or git+URL@ref.")
    require_word(directory.name, "parameter packages: the new package's directory")
    return directory


def read_package(site: Site, source: str) -> tuple[PackageId, Sources]:
    """A package and its sources on this machine, from a directory (relative to the inventory) or a commit of a git repository."""
    cache = site.store.root / ".sources"
    bare = without_secrets(os.environ, secret_references(site.inventory))
    is_git = sources.is_git(source)
    found = sources.from_git(source, cache, bare) if is_git else sources.from_directory(site.inventory.resolve(source), cache)
    return parse_package(found.text("Ballerina.toml"), f"{found.origin}/Ballerina.toml"), found


def _published(site: Site, package: PackageId, found: Sources) -> str:
    """The package's state by the record of its push; a version of another pusher is compared with these sources."""
    host = build_host(site)
    recorded = site.read(host, ballerina.read(record_of(site, package))).strip()
    if repository(site) == "local":
        return "absent" if not recorded else "same" if recorded == found.sha256 else "other"
    url = f"{central_url(site)}/packages/{package.org}/{package.name}/{package.version}"
    asked = site.transport.execute(host, ballerina.http_status(url))
    status = asked.stdout.strip()
    if status == "404":
        return "lost" if recorded else "absent"
    if not status.startswith(("2", "3")):
        said = f"answers {status}" if asked.status == 0 and status != "000" else f"does not answer: {asked.stderr.strip()}"
        return f"{central_url(site)} {said}"
    if recorded == found.sha256:
        return "same"
    archive = site.read(host, ballerina.fetch_base64(url))
    return "same" if is_of(base64.b64decode(archive), package, found.files) else "other"


def _code(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """`MODULE/FILE` of an archive's code, and its resources; tests, which newer archives hold too, left out."""
    found = {}
    for name, content in entries.items():
        parts = PurePosixPath(name).parts
        if "tests" not in parts and (parts[0] == "resources" or (parts[0] == "modules" and _is_code(parts[2:]))):
            found["/".join(parts[1:] if parts[0] == "modules" else parts)] = content
    return found


def _as_in_archive(package: PackageId, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sources under the names that an archive gives them."""
    found = {}
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        is_module = parts[0] == "modules" and len(parts) > 2
        module, rest = (f"{package.name}.{parts[1]}", parts[2:]) if is_module else (package.name, parts)
        if "tests" not in parts and (parts[0] == "resources" or _is_code(rest)):
            found[name if parts[0] == "resources" else "/".join((module, *rest))] = content
    return found


def _is_code(parts: tuple[str, ...]) -> bool:
    """True for a `.bal` file of the module itself, and for a file below its `resources`."""
    return (len(parts) == 1 and parts[0].endswith(".bal")) or (len(parts) > 1 and parts[0] == "resources")
