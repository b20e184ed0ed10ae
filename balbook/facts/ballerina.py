"""The output and the files of `bal`: exit status first, then files, then text."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from balbook.errors import BadInput, Failed
from balbook.facts import Said

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


ADVICE = (
    ("Two incompatible versions exist", "Publish the package that needs the older one anew, made with the newer; then consolidate."),
    ("unauthorized access token", "Is `central.token` of the inventory valid, and for this organization?"),
    ("already exists in remote repository", "A published version is never replaced: raise `version` in Ballerina.toml."),
    ("connection to the remote repository host failed", "Can the build host reach Central? Then apply again."),
    ("compilation contains errors", "Mend the lines that are named above, then apply again."),
    ("cannot resolve module", "Is that package published? Push it first: balbook apply pack_push."),
    ("there are test failures", "Mend the tests that failed, or what they test."),
    ("GraalVM installation directory", "Set GRAALVM_HOME for the build host's sessions (/etc/environment), or build a jar."),
    ("cannot find 'native-image'", "GRAALVM_HOME must name a GraalVM that has native-image."),
    ("did not end within", "Look at the build host and at Central, then apply again."),
)
"""Advice by the words of `bal`, which prints no error codes. The first row that fits counts."""


@dataclass(frozen=True)
class BuildTime:
    """How long a build took: seconds by phase, and in all."""

    phases: Mapping[str, float]
    total_s: float


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
    return sorted(service for table in _consolidated(text) for service in table.get("options", {}).get("services", []))


def is_consolidated(text: str) -> bool:
    """Whether this `Ballerina.toml` is of a project that the consolidate tool has made."""
    return bool(_consolidated(text))


def parse_left_over(text: str) -> list[str]:
    """`org/name` of each `[[dependency]]` table without a service: the tool leaves them behind when it removes one."""
    names = {f"{table.get('org')}/{table.get('name')}" for table in tomllib.loads(text).get("dependency", [])}
    return sorted(names - set(parse_services(text)))


def parse_dependencies(text: str) -> dict[str, str]:
    """`org/name` → version of every package that `Dependencies.toml` resolved, the standard library left out."""
    tables = tomllib.loads(text).get("package", []) if text.strip() else []
    return {f"{t['org']}/{t['name']}": str(t["version"]) for t in tables if t["org"] not in ("ballerina", "ballerinai")}


def parse_tests(output: str) -> Tests:
    """Sums the counts over all modules. They say how many, not whether it went well: the exit status does."""
    counts = dict.fromkeys(("passing", "failing", "skipped"), 0)
    for number, word in re.findall(r"^\s*(\d+) (passing|failing|skipped)\b", output, re.MULTILINE):
        counts[word] += int(number)
    return Tests(**counts)


def parse_build_time(text: str) -> BuildTime:
    """From `target/build-time.json` (which has milliseconds), phases that did not run left out; Failed where it is none."""
    try:
        data: Mapping[str, Any] = json.loads(text)
        phases = {label: data[key] / 1000 for key, label in PHASES.items() if data.get(key, 0) > 0}
        return BuildTime(phases, max(data.get("totalDuration", 0) / 1000, sum(phases.values())))
    except (ValueError, TypeError, AttributeError) as exc:
        raise Failed(f"build-time.json cannot be read: {exc}", advice="Is this the distribution that `bal version` says?") from exc


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


def java_needed(version: str) -> int:
    """The major version of the Java runtime that a distribution, and what it builds, needs."""
    year, update = (int(part) for part in version.split(".")[:2])
    return 21 if (year, update) >= (2201, 11) else 17


def said(output: str) -> Said:
    """The output of `bal`: the counts of its tests, and advice after a failure; empty where only its own words help."""
    counts = asdict(parse_tests(output))
    advice = next((advice for words, advice in ADVICE if words in output), "")
    return Said(counts if any(counts.values()) else None, advice)


def built(dependencies: str, build_time: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The packages of a build, by its `Dependencies.toml`, and how long it took, by its `build-time.json`."""
    took = parse_build_time(build_time)
    return parse_dependencies(dependencies), {"build_s": took.total_s, "phases": dict(took.phases)}


def newest(versions: list[str]) -> str | None:
    """The highest stable version of a list, pre-releases only where there is nothing else."""
    known = [v for v in versions if _SEMVER.match(v)]
    stable = [v for v in known if "-" not in v.split("+")[0]]
    return max(stable or known, key=_precedence, default=None)


def _consolidated(text: str) -> list[Mapping[str, Any]]:
    tables = tomllib.loads(text).get("tool", {}).get("consolidate-packages", [])
    return tables if isinstance(tables, list) else []


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
