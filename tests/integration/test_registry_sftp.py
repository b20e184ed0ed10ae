"""A registry on a real SFTP server: a host of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balbook.artifacts.registry import Registry
from balbook.artifacts.store import Store
from balbook.errors import BadInput, HostKeyError, LoginRefused, Refused, StoreError
from balbook.transport.sftp import SftpFiles
from tests.integration.hotel import Hotel
from tests.run_folders import make_key

pytestmark = pytest.mark.integration
AT = datetime(2026, 3, 1, tzinfo=UTC)


def files_on(hotel: Hotel, name: str, *, known_hosts: Path | None = None, key: Path | None = None) -> SftpFiles:
    host, lab = hotel.inventory.hosts["app1"], hotel.lab
    root = f"{lab.servers['app1'].home}/registry/{name}"
    identities = (str(key or lab.client_key),)
    known = str(known_hosts or lab.known_hosts)
    return SftpFiles(host.address, lab.ports["app1.ssh"], host.user or "", root, identities=identities, known_hosts=known)


@pytest.fixture
def files(deployed: Hotel, tmp_path: Path) -> Iterator[SftpFiles]:
    made = files_on(deployed, tmp_path.name)
    yield made
    made.close()


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "hotel.jar"
    path.write_bytes(os.urandom(200_000))
    return path


def test_what_is_published_is_found_and_retrieved(files: SftpFiles, jar: Path, tmp_path: Path) -> None:
    registry = Registry(files, "sftp://lab/registry")
    assert registry.artifacts("hotel") == []
    old, is_new = registry.publish("hotel", "1.10.0", "jar", jar, at=AT)
    assert is_new
    assert registry.publish("hotel", "1.10.0", "jar", jar, at=AT) == (old, False)
    new, _ = registry.publish("hotel", "1.9.0", "native", jar, at=AT + timedelta(days=1))
    assert registry.artifacts("hotel") == [old, new]
    assert registry.find("hotel") == new
    artifact, _ = registry.retrieve("hotel", "1.10.0", Store(tmp_path / "store"))
    assert artifact.path.read_bytes() == jar.read_bytes()


def test_other_content_is_refused_and_no_name_is_ever_written_over(files: SftpFiles, jar: Path, tmp_path: Path) -> None:
    registry = Registry(files, "sftp://lab/registry")
    first, _ = registry.publish("hotel", "1.0.0", "jar", jar, at=AT)
    content = jar.read_bytes()
    jar.write_bytes(b"PK other")
    with pytest.raises(Refused, match="raise the version"):
        registry.publish("hotel", "1.0.0", "jar", jar, at=AT)
    assert not files.create(first.name, jar)
    assert files.fetch(first.name, tmp_path / "content")
    assert (tmp_path / "content").read_bytes() == content
    assert files.children(f"hotel/1.0.0/{first.sha256}") == ["app.jar"]


def test_an_upload_that_ends_early_leaves_no_version(files: SftpFiles, jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(files, "sftp://lab/registry")
    with monkeypatch.context() as patched:
        patched.setattr(files._sftp(), "rename", lambda *names: (_ for _ in ()).throw(OSError("the connection was lost")))
        with pytest.raises(StoreError, match="the connection was lost"):
            registry.publish("hotel", "1.0.0", "jar", jar, at=AT)
    with pytest.raises((StoreError, BadInput)):
        registry.find("hotel", "1.0.0")
    assert registry.publish("hotel", "1.0.0", "jar", jar, at=AT)[1]


def test_the_server_must_be_known_and_must_know_the_key(deployed: Hotel, tmp_path: Path) -> None:
    unknown = tmp_path / "known_hosts"
    unknown.touch()
    with pytest.raises(HostKeyError):
        files_on(deployed, "x", known_hosts=unknown).fetch("a", tmp_path / "a")
    with pytest.raises(LoginRefused):
        files_on(deployed, "x", key=make_key(tmp_path, "stranger")).fetch("a", tmp_path / "a")


def test_a_folder_that_may_not_be_written_is_a_store_error(deployed: Hotel, jar: Path) -> None:
    files = files_on(deployed, "x")
    files._root = "/proc/nowhere"
    with pytest.raises(StoreError, match="sftp://"):
        Registry(files, "sftp://lab/registry").publish("hotel", "1.0.0", "jar", jar, at=AT)
    files.close()
