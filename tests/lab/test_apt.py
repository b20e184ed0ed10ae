"""A repository of Debian packages that is made without dpkg, and read by it where it is there."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from balbook.lab import apt, fleet
from balbook.local.digests import sha256_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    apt.write_repository(tmp_path / "packages", apt.SAMPLE)
    return tmp_path / "packages"


def test_every_package_is_listed_with_its_size_and_sha256(repository: Path) -> None:
    stanzas = [dict(line.split(": ", 1) for line in s.splitlines()) for s in (repository / "Packages").read_text().split("\n\n")]
    assert [s["Package"] for s in stanzas] == [p.name for p in apt.SAMPLE]
    for stanza in stanzas:
        content = (repository / stanza["Filename"]).read_bytes()
        assert (stanza["Size"], stanza["SHA256"]) == (str(len(content)), sha256_of(content))
    assert gzip.decompress((repository / "Packages.gz").read_bytes()) == (repository / "Packages").read_bytes()


def test_the_release_has_the_sha256_of_both_lists(repository: Path) -> None:
    lines = (repository / "Release").read_text().split("SHA256:\n")[1].splitlines()
    for digest, size, name in (line.split() for line in lines):
        content = (repository / name).read_bytes()
        assert (digest, int(size)) == (sha256_of(content), len(content))
    assert [line.split()[2] for line in lines] == ["Packages", "Packages.gz"]


def test_an_archives_members_begin_at_even_places() -> None:
    package = apt.DebianPackage("odd", "1", "with a file of an odd length", {"/usr/share/odd": "x" * 7})
    content, place, names = apt.deb(package), len(apt.AR_MAGIC), []
    while place < len(content):
        assert place % 2 == 0
        header = content[place : place + 60].decode()
        assert header.endswith("`\n")
        names.append(header[:16].strip())
        place += 60 + int(header[48:58])
        place += place % 2
    assert names == ["debian-binary", "control.tar.gz", "data.tar.gz"]


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="only Debian has dpkg-deb")
def test_dpkg_reads_a_package(repository: Path) -> None:
    driver = apt.SAMPLE[0]
    shown = subprocess.run(["dpkg-deb", "--field", repository / driver.file], capture_output=True, text=True, check=True)
    assert shown.stdout == driver.control()
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", repository / driver.file], capture_output=True, check=True).stdout
    shown = subprocess.run(["tar", "-t"], input=listed, capture_output=True, check=True)  # type: ignore[assignment]
    assert b"./usr/share/lab-database-driver/driver.conf" in bytes(shown.stdout).split()  # type: ignore[arg-type]


def test_the_labs_application_asks_for_what_the_lab_serves() -> None:
    assert fleet.OS_PACKAGE in {package.name for package in apt.SAMPLE}
    (depended,) = next(p for p in apt.SAMPLE if p.name == fleet.OS_PACKAGE).depends
    assert depended.split()[0] in {package.name for package in apt.SAMPLE}
