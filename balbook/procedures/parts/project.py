"""The consolidated project of an application: in the deployment repository, and its working copy on the build host.

The repository (`APPLICATION/` beside the inventory) counts: its tests and its pinned `Dependencies.toml` go to the
host, and the files that the tool and the resolution made on the host come back, to be committed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from balbook.artifacts import sources
from balbook.commands import ballerina
from balbook.errors import BadInput
from balbook.facts.ballerina import is_consolidated, newest, parse_dependencies, parse_left_over, parse_services
from balbook.procedures.parts.packages import build_host, central_url
from balbook.procedures.parts.site import Site
from balbook.transport import fan_out

KEPT = ("Ballerina.toml", "Dependencies.toml", "main.bal", ".gitignore")


@dataclass(frozen=True)
class Project:
    """The project as it stands: texts are empty where the file is missing, digests `none` where the folder is missing."""

    host: str
    place: str
    repository: Path
    toml: str
    dependencies: str
    digest: str
    tested_digest: str

    @property
    def exists(self) -> bool:
        return bool(self.toml)

    @property
    def services(self) -> list[str]:
        return parse_services(self.toml) if self.toml else []

    @property
    def is_consolidated(self) -> bool:
        return is_consolidated(self.toml)

    @property
    def left_over(self) -> list[str]:
        """Packages whose `[[dependency]]` table has outlived their service."""
        return parse_left_over(self.toml) if self.toml else []

    @property
    def resolved(self) -> dict[str, str]:
        """The version of every package in the project."""
        return parse_dependencies(self.dependencies)

    @property
    def is_tested(self) -> bool:
        return self.digest != "none" and self.digest == self.tested_digest


def project(site: Site) -> Project:
    """Reads the project of the application on the build host."""
    host = build_host(site)
    place = f"{site.host(host).root}/projects/{site.application_name}"

    files = ("Ballerina.toml", "Dependencies.toml", ".balbook-tested")
    toml, dependencies, tested = (site.read(host, ballerina.read(f"{place}/{name}")) for name in files)
    digest = site.read(host, ballerina.tree_digest(place)).strip()
    return Project(host, place, site.inventory.resolve(site.application_name), toml, dependencies, digest, tested.strip())


def single(site: Site, found: sources.Sources) -> Project:
    """An application that is one package, as it will stand on the build host: its sources are its digest."""
    host = build_host(site)
    toml = found.text("Ballerina.toml")
    place = f"{site.host(host).root}/packages/{site.application_name}"
    return Project(host, place, Path(found.origin), toml, found.files.get("Dependencies.toml", b"").decode(), found.sha256, "")


def repository_sources(site: Site, found: Project) -> sources.Sources | None:
    """The project in the deployment repository; None where the repository has none yet."""
    if not found.repository.is_dir():
        return None
    return sources.from_directory(found.repository, site.store.root / ".sources")


def with_repository(found: Project, kept: sources.Sources | None) -> Project:
    """The project as it will stand once the repository's files are the host's."""
    if kept is None:
        return found
    digest = sources.tree_digest(kept.files)
    toml, dependencies = (kept.files.get(name, b"").decode("utf-8", errors="replace") for name in KEPT[:2])
    tested = found.tested_digest if digest == found.digest else ""
    return replace(found, toml=toml, dependencies=dependencies, digest=digest, tested_digest=tested)


def wanted_packages(site: Site) -> list[str]:
    """The packages of the application; BadInput where the application has no packages to consolidate."""
    packages = sorted(set(site.application.packages))
    if not packages:
        advice = f"List the packages in applications.{site.application_name}.packages."
        raise BadInput(f"application {site.application_name} has no packages: nothing to consolidate", advice=advice)
    return packages


def newer(site: Site, found: Project) -> dict[str, str]:
    """The newer versions that Central offers, by package; a package that Central does not answer about keeps its pin."""

    def one(package: str) -> str:
        result = site.transport.execute(found.host, ballerina.fetch_text(f"{central_url(site)}/packages/{package}"))
        pinned = found.resolved.get(package, "")
        best = newest([*(_strings(result.stdout) if result.status == 0 else []), *([pinned] if pinned else [])])
        return best if best and best != pinned else ""

    offered = fan_out(wanted_packages(site), one).require()
    return {package: version for package, version in offered.items() if version}


def _strings(text: str) -> list[str]:
    try:
        data = json.loads(text)
    except ValueError:
        return []
    return [v for v in data if isinstance(v, str)] if isinstance(data, list) else []
