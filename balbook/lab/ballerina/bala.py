"""Ballerina archives: a zip with `bala.json`, `package.json`, `dependency-graph.json`, `docs/` and `modules/`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from balbook.lab.ballerina.package import DISTRIBUTION, Sources, read_source
from balbook.lab.ballerina.said import Refusal
from balbook.local.atomic_files import replacing

PLATFORM = "any"


def bala_name(sources: Sources) -> str:
    """The archive's file name, `<org>-<name>-any-<version>.bala`."""
    return f"{sources.org}-{sources.name}-{PLATFORM}-{sources.version}.bala"


def write_bala(destination: Path, sources: Sources, readme: str, built_at: datetime) -> Path:
    """Writes the package's archive with the time of its making, so that two archives differ in bytes."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with replacing(destination, is_durable=False) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in _files(sources, readme, built_at).items():
            entry = zipfile.ZipInfo(name, built_at.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode(errors="surrogateescape"))
    return destination


def unpack(bala: Path, repository: Path) -> Path:
    """Unpacks an archive into a repository (`<org>/<name>/<version>/<platform>`), over an earlier one."""
    with zipfile.ZipFile(bala) as archive:
        names = archive.namelist()
        if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in names):
            raise Refusal(f"error: invalid bala file: {bala}")
        about = json.loads(archive.read("package.json"))
        place: Path = repository / about["organization"] / about["name"] / about["version"] / about["platform"]
        for name in names:
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    return place


def identity(bala: Path) -> tuple[str, str, str]:
    """Org, name and version in an archive. Raises Refusal where the file is not an archive."""
    try:
        with zipfile.ZipFile(bala) as archive:
            about = json.loads(archive.read("package.json"))
        return str(about["organization"]), str(about["name"]), str(about["version"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
        raise Refusal(f"ballerina: invalid bala file: {bala}") from exc


def read_unpacked(place: Path) -> Sources:
    """The sources in an unpacked archive."""
    about = json.loads((place / "package.json").read_text())
    graph = json.loads((place / "dependency-graph.json").read_text())
    modules = {d.name: {f.name: read_source(f) for f in sorted(d.glob("*.bal"))} for d in sorted((place / "modules").iterdir())}
    dependencies = {f"{p['org']}/{p['name']}": p["version"] for p in graph["packages"] if not p.get("root")}
    return Sources(about["organization"], about["name"], about["version"], modules, dependencies)


def _files(sources: Sources, readme: str, built_at: datetime) -> dict[str, str]:
    documents: Mapping[str, Any] = {
        "bala.json": {"bala_version": "2.0.0", "built_by": "balbook lab stand-in"},
        "package.json": {
            "organization": sources.org,
            "name": sources.name,
            "version": sources.version,
            "export": [sources.name],
            "ballerina_version": DISTRIBUTION,
            "implementation_vendor": "balbook lab stand-in",
            "language_spec_version": "2024R1",
            "platform": PLATFORM,
            "template": False,
            "built_at": built_at.isoformat(),
        },
        "dependency-graph.json": {"packages": _graph(sources), "modules": []},
    }
    files = {name: json.dumps(value, indent=2) + "\n" for name, value in documents.items()}
    files["docs/README.md"] = readme
    for module, texts in sources.modules.items():
        files |= {f"modules/{module}/{Path(name).name}": text for name, text in texts.items()}
    return files


def _graph(sources: Sources) -> list[dict[str, Any]]:
    split = [(*name.split("/"), version) for name, version in sources.dependencies.items()]
    wanted = [dict(zip(("org", "name", "version"), words, strict=True)) for words in split]
    root = {"org": sources.org, "name": sources.name, "version": sources.version, "root": True, "dependencies": wanted}
    return [root, *({**dependency, "dependencies": []} for dependency in wanted)]
