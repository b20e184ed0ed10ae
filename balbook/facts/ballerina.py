"""What `bal` prints and writes, read as the facts about it say: exit status first, then files, then text."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from balbook.errors import BadInput, Failed

_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\Z")
PACKAGE_NAME = re.compile(r"(?!.*__)(?![0-9_])(?!\.+\Z)[A-Za-z0-9_.]{1,256}(?<!_)\Z")
ORG_NAME = re.compile(r"[A-Za-z0-9_]{1,256}\Z")
PHASES = {
    "projectLoadDuration": "load",
    "packageResolutionDuration": "resolve",
    "packageCompilationDuration": "compile",
    "codeGenDuration": "generate code",
    "testingExecutionDuration": "test",
    "emitArtifactDuration": "emit",
}


@dataclass(frozen=True)
class PackageId:
    """`org/name:version`."""

    org: str
    name: str
    version: str

    @property
    def full_name(self) -> str:
        return f"{self.org}/{self.name}"

    def __str__(self) -> str:
        return f"{self.full_name}:{self.version}"


@dataclass(frozen=True)
class Tests:
    """Counts of `bal test`, summed over modules."""

    passing: int = 0
    failing: int = 0
    skipped: int = 0


def parse_package(text: str, where: str) -> PackageId:
    """The package of a `Ballerina.toml`; BadInput naming `where` for what Ballerina does not allow."""
    try:
        table = tomllib.loads(text).get("package", {})
    except tomllib.TOMLDecodeError as exc:
        raise BadInput(f"{where}: {exc}", advice="Mend the file; `bal` would refuse it too.") from exc
    found = PackageId(str(table.get("org", "")), str(table.get("name", "")), str(table.get("version", "")))
    for what, value, pattern in (
        ("org", found.org, ORG_NAME),
        ("name", found.name, PACKAGE_NAME),
        ("version", found.version, _SEMVER),
    ):
        if not pattern.match(value):
            raise BadInput(f"{where}: package.{what} {value!r} is not allowed", advice=_allowed(what))
    return found


def parse_services(text: str) -> list[str]:
    """The services of a consolidated project's `Ballerina.toml`, as written, sorted; a service may stand there twice."""
    tables = tomllib.loads(text).get("tool", {}).get("consolidate-packages", [])
    return sorted(service for table in tables for service in table.get("options", {}).get("services", []))


def parse_dependencies(text: str) -> dict[str, str]:
    """`org/name` → version of every package that `Dependencies.toml` resolved, Ballerina's own left out."""
    tables = tomllib.loads(text).get("package", []) if text.strip() else []
    packages = {f"{t['org']}/{t['name']}": str(t["version"]) for t in tables}
    return {name: version for name, version in packages.items() if not name.startswith("ballerina")}


def parse_tests(output: str) -> Tests:
    """Sums the counts over all modules. They say how many, not whether it went well: the exit status does."""
    counts = dict.fromkeys(("passing", "failing", "skipped"), 0)
    for number, word in re.findall(r"^\s*(\d+) (passing|failing|skipped)\b", output, re.MULTILINE):
        counts[word] += int(number)
    return Tests(**counts)


def parse_build_time(text: str) -> dict[str, float]:
    """Seconds by phase from `target/build-time.json` (which has milliseconds), phases that did not run left out."""
    data: Mapping[str, Any] = json.loads(text)
    return {label: data[key] / 1000 for key, label in PHASES.items() if isinstance(data.get(key), int | float) and data[key] > 0}


def parse_version(output: str) -> str:
    """`2201.13.1` from `bal version`; lines that announce a newer version may come first. Empty where it is not there."""
    found = re.search(r"^Ballerina (\d+\.\d+\.\d+\S*) \(", output, re.MULTILINE)
    return found.group(1) if found else ""


def parse_sha256(text: str, name: str) -> str:
    """The digest from a `.sha256` file: `openssl dgst`'s `SHA2-256(path)= hex`, or `sha256sum`'s `hex  path`."""
    found = re.search(r"(?:^|= ?)([0-9a-fA-F]{64})(?:\s|\Z)", text.strip(), re.MULTILINE)
    if not found:
        raise Failed(f"{name}: no sha256 is in it", advice="Is this the right address? Expected 64 hexadecimal digits.")
    return found.group(1).lower()


def newest(versions: list[str]) -> str | None:
    """The highest stable version of a list, pre-releases only where there is nothing else."""
    known = [v for v in versions if _SEMVER.match(v)]
    stable = [v for v in known if "-" not in v.split("+")[0]]
    return max(stable or known, key=_precedence, default=None)


def _precedence(version: str) -> tuple[int, int, int, bool, str]:
    found = _SEMVER.match(version)
    assert found
    major, minor, patch, pre = found.groups()
    return int(major), int(minor), int(patch), pre is None, pre or ""


def _allowed(what: str) -> str:
    return {
        "org": "Letters, digits and _ only, at most 256.",
        "name": "Letters, digits, _ and . only; no leading digit, no leading or trailing _, no __.",
        "version": "A semantic version, such as 1.2.0.",
    }[what]
