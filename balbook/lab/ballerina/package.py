"""Ballerina packages: their names, their files, their `Ballerina.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balbook.lab.ballerina.said import Refusal

DISTRIBUTION = "2201.13.1"
ORG = re.compile(r"[A-Za-z0-9_]{1,256}")
NAME = re.compile(r"(?![0-9._])(?!.*__)(?!.*\.\.)[A-Za-z0-9_.]{1,256}(?<![_.])")
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Sources:
    """The contents of a package's archive: name, version, and the files of each module by module name."""

    org: str
    name: str
    version: str
    modules: Mapping[str, Mapping[str, str]]
    dependencies: Mapping[str, str] = field(default_factory=dict)
    """The versions of the dependencies, by `org/name`."""

    @property
    def full_name(self) -> str:
        return f"{self.org}/{self.name}"


@dataclass(frozen=True)
class Package:
    """The directory of a package and the contents of its `Ballerina.toml`."""

    root: Path
    org: str
    name: str
    version: str
    manifest: Mapping[str, Any]

    def sources(self) -> Sources:
        """The files that are compiled, without tests."""
        modules = {self.name: _bal_files(self.root)}
        modules[self.name] |= _bal_files(self.root, "generated")
        for name, place in self._other_modules():
            modules[name] = modules.get(name, {}) | _bal_files(self.root, place)
        return Sources(self.org, self.name, self.version, modules)

    def tests(self) -> dict[str, dict[str, str]]:
        """The test files of each module."""
        found = {self.name: _bal_files(self.root, "tests")}
        for name, place in self._other_modules():
            found[name] = found.get(name, {}) | _bal_files(self.root, f"{place}/tests")
        return found

    def _other_modules(self) -> list[tuple[str, str]]:
        """Name and folder of each module but the default one."""
        folders = [folder for where in ("modules", "generated") for folder in sorted((self.root / where).glob("*")) if folder.is_dir()]
        return [(f"{self.name}.{folder.name}", str(folder.relative_to(self.root))) for folder in folders]

    @property
    def local_dependencies(self) -> dict[str, str]:
        """`[[dependency]]` tables with `repository = "local"`: version by `org/name`."""
        tables = self.manifest.get("dependency", [])
        return {f"{t['org']}/{t['name']}": str(t["version"]) for t in tables if t.get("repository") == "local"}


def open_package(root: Path, refusal: str) -> Package:
    """The package in a directory. Raises Refusal with this text where the directory has no package."""
    path = root / "Ballerina.toml"
    if not path.is_file():
        raise Refusal(refusal)
    try:
        manifest = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as exc:
        raise Refusal(f"error: invalid Ballerina.toml: {exc}") from exc
    table = manifest.get("package", {})
    name = str(table.get("name", package_name(root.resolve().name)))
    package = Package(root, str(table.get("org", "user")), name, str(table.get("version", "0.1.0")), manifest)
    _check_names(package)
    return package


def package_name(directory: str) -> str:
    """A legal package name made from the name of a directory.

    >>> package_name("hotel-app"), package_name("_my_package")
    ('hotel_app', 'my_package')
    """
    name = re.sub(r"[^A-Za-z0-9_.]", "_", directory)
    name = re.sub(r"_+", "_", name).strip("_.")
    return name if name and not name[0].isdigit() else f"app{name}"


def precedence(version: str) -> tuple[object, ...]:
    """Orders semantic versions; a pre-release comes before its release."""
    match = SEMVER.fullmatch(version)
    if not match:
        raise Refusal(f"error: invalid version: '{version}'")
    major, minor, patch, pre = match.groups()
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")] if pre else [(2, 0, "")]
    return (int(major), int(minor), int(patch), *parts)


def _bal_files(root: Path, place: str = ".") -> dict[str, str]:
    """The sources of one folder, by path below `root`."""
    files = sorted((root / place).glob("*.bal"))
    return {str(file.relative_to(root)): read_source(file) for file in files if file.is_file()}


def read_source(file: Path) -> str:
    """The text of a file; `encode(errors="surrogateescape")` gives the bytes back, in any encoding."""
    return file.read_bytes().decode(errors="surrogateescape")


_LEGAL = {
    "org": (ORG, "can only contain alphanumerics and underscores"),
    "name": (NAME, "can only contain alphanumerics, underscores and periods"),
    "version": (SEMVER, "should be compatible with semver"),
}


def _check_names(package: Package) -> None:
    for field_, (pattern, rule) in _LEGAL.items():
        if not pattern.fullmatch(getattr(package, field_)):
            wrong = f"ERROR [Ballerina.toml:(1:1,1:1)] invalid '{field_}' under [package]: '{field_}' {rule}"
            raise Refusal(f"{wrong}\nerror: package resolution contains errors")
