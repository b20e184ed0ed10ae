"""A small repository of Debian packages, written from data alone, so that a machine without dpkg can make it too.

The repository is a flat one, as `deb [trusted=yes] URL ./` names it; only the hosts of the lab are told to trust its packages.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from balbook.local.digests import sha256_of

AR_MAGIC = b"!<arch>\n"


@dataclass(frozen=True)
class DebianPackage:
    """A package for all architectures. `files`: absolute path → content."""

    name: str
    version: str
    summary: str
    files: Mapping[str, str]
    depends: tuple[str, ...] = field(default=())

    @property
    def file(self) -> str:
        return f"{self.name}_{self.version}_all.deb"

    def control(self) -> str:
        """The control file of the package."""
        lines = [f"Package: {self.name}", f"Version: {self.version}", "Architecture: all", "Maintainer: balbook lab <lab@example.invalid>"]
        lines += [f"Depends: {', '.join(self.depends)}"] if self.depends else []
        return "\n".join([*lines, "Section: misc", "Priority: optional", f"Description: {self.summary}", ""])


SAMPLE = (
    DebianPackage(
        "lab-database-driver",
        "1.2.0",
        "stand-in for a driver that an application needs",
        {"/usr/share/lab-database-driver/driver.conf": "protocol = lab\n"},
        depends=("lab-database-common (>= 1.0)",),
    ),
    DebianPackage(
        "lab-database-common", "1.0.3", "files that drivers of the lab share", {"/usr/share/lab-database-common/README": "shared\n"}
    ),
)
"""The driver that the lab's application needs, and the package that the driver depends on."""


def sources_line(url: str) -> str:
    """A line of `sources.list` for the repository behind `url`."""
    return f"deb [trusted=yes] {url} ./\n"


def write_repository(folder: Path, packages: Sequence[DebianPackage]) -> None:
    """Writes the packages, and the two lists that apt asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for package in packages:
        content = deb(package)
        (folder / package.file).write_bytes(content)
        place = f"Filename: ./{package.file}\nSize: {len(content)}\nSHA256: {sha256_of(content)}\n"
        entries.append(package.control() + place)
    listed = "\n".join(entries).encode()
    files = {"Packages": listed, "Packages.gz": gzip.compress(listed, mtime=0)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = "".join(f" {sha256_of(content)} {len(content)} {name}\n" for name, content in files.items())
    (folder / "Release").write_text(f"Origin: balbook lab\nSuite: lab\nDate: {formatdate(usegmt=True)}\nSHA256:\n{sums}")


def deb(package: DebianPackage) -> bytes:
    """The package as a file: an `ar` archive of a version, the control file, and the package's files."""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"/control": package.control()}),
        "data.tar.gz": _tar(package.files),
    }
    written = AR_MAGIC
    for name, content in members.items():
        written += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        written += content + b"\n" * (len(content) % 2)
    return written


def _tar(files: Mapping[str, str]) -> bytes:
    """An archive of the files and the folders above them, owned by root, as `./path`."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "/"}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(f".{folder}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f".{path}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
