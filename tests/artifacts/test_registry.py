from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balbook.artifacts.backends import open_registry
from balbook.artifacts.registry import Published, Registry
from balbook.artifacts.store import Store
from balbook.errors import BadInput, Refused, StoreError
from balbook.local.digests import sha256_of_file
from tests.registry_servers import CREDENTIALS, RawRepository, raw_repository, s3_bucket

AT = datetime(2026, 3, 1, tzinfo=UTC)
has_s3 = all(map(importlib.util.find_spec, ("s3fs", "moto", "flask")))


@pytest.fixture
def server() -> Iterator[RawRepository]:
    with raw_repository() as made:
        yield made


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_bucket("registry") as url:
        yield url


@pytest.fixture(
    params=[
        "folder",
        "http",
        pytest.param("s3", marks=[pytest.mark.integration, pytest.mark.skipif(not has_s3, reason="s3fs or moto is not installed")]),
    ]
)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    match request.param:
        case "folder":
            yield open_registry("shared/registry", base=tmp_path)
        case "http":
            yield open_registry(request.getfixturevalue("server").url, credentials=CREDENTIALS)
        case _:
            yield open_registry(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def jar(folder: Path, content: bytes = b"PK one") -> Path:
    path = folder / "hotel.jar"
    path.write_bytes(content)
    return path


def publish(registry: Registry, file: Path, version: str = "1.0.0", *, at: datetime = AT) -> tuple[Published, bool]:
    return registry.publish("hotel", version, "jar", file, at=at, packages={"acme/rooms": "1.0.0"}, details={"distribution": "2201.13.1"})


def test_what_is_published_is_retrieved_with_all_that_is_known_of_it(registry: Registry, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    published, is_new = publish(registry, jar(tmp_path, content))
    assert is_new
    store = Store(tmp_path / "store")
    artifact, is_new = registry.retrieve("hotel", "1.0.0", store)
    assert is_new
    assert artifact.path.read_bytes() == content
    assert (artifact.sha256, artifact.kind, artifact.bytes) == (published.sha256, "jar", 300_000)
    assert artifact.packages == {"acme/rooms": "1.0.0"}
    assert artifact.details == {"distribution": "2201.13.1", "registry": registry.location}
    assert artifact.published_at == published.published_at
    assert registry.retrieve("hotel", "1.0.0", store) == (artifact, False)


def test_the_same_again_is_already_there_and_other_content_is_refused(registry: Registry, tmp_path: Path) -> None:
    first, _ = publish(registry, jar(tmp_path))
    assert publish(registry, jar(tmp_path), at=AT + timedelta(days=1)) == (first, False)
    with pytest.raises(Refused, match="raise the version"):
        publish(registry, jar(tmp_path, b"PK other"))
    artifact, _ = registry.retrieve("hotel", "1.0.0", Store(tmp_path / "store"))
    assert artifact.sha256 == first.sha256


def test_a_release_is_found_by_version_by_digest_and_as_the_latest(registry: Registry, tmp_path: Path) -> None:
    old, _ = publish(registry, jar(tmp_path), "1.10.0")
    new, _ = publish(registry, jar(tmp_path, b"PK two"), "1.9.0", at=AT + timedelta(days=1))
    assert registry.find("hotel", "1.10.0") == old
    if registry._files.children("hotel") is None:
        for release in ("latest", old.sha256[:12], "0" * 64, "9.9.9"):
            with pytest.raises(BadInput, match="cannot be listed"):
                registry.find("hotel", release)
        return
    assert registry.artifacts("hotel") == [old, new]
    assert registry.find("hotel") == new
    assert registry.find("hotel", old.sha256[:12]) == old
    for wrong in ("1.1.0", old.sha256[:11]):
        with pytest.raises(BadInput, match="no release"):
            registry.find("hotel", wrong)
    with pytest.raises(StoreError, match="no artifact of 'inn'"):
        registry.find("inn")


def test_a_whole_digest_is_found_without_a_list_by_who_knows_no_version(registry: Registry, tmp_path: Path) -> None:
    first, _ = publish(registry, jar(tmp_path), "1.0.0")
    publish(registry, jar(tmp_path), "1.0.1", at=AT + timedelta(days=1))
    other, _ = publish(registry, jar(tmp_path, b"PK two"), "2.0.0", at=AT + timedelta(days=2))
    assert registry.find("hotel", first.sha256) == first  # of the same content the first
    assert registry.find("hotel", other.sha256) == other
    artifact, _ = registry.retrieve("hotel", other.sha256, Store(tmp_path / "store"))
    assert (artifact.version, artifact.path.read_bytes()) == ("2.0.0", b"PK two")


def test_what_was_published_without_its_digests_file_gets_it_when_it_is_published_again(server: RawRepository, tmp_path: Path) -> None:
    registry = open_registry(server.url, credentials=CREDENTIALS)
    published, _ = publish(registry, jar(tmp_path))
    (digest,) = [path for path in server.contents if "/by-sha256/" in path]
    del server.contents[digest]
    with pytest.raises(BadInput, match="cannot be listed"):
        registry.find("hotel", published.sha256)
    assert publish(registry, jar(tmp_path)) == (published, False)
    assert registry.find("hotel", published.sha256) == published


@pytest.mark.parametrize("text", [b"[", b"[]", b'{"version": "../x"}', b'{"version": "9.9.9"}', b'{"version": "2.0.0"}'])
def test_a_digests_file_that_is_none_or_not_so_is_not_believed(server: RawRepository, tmp_path: Path, text: bytes) -> None:
    registry = open_registry(server.url, credentials=CREDENTIALS)
    published, _ = publish(registry, jar(tmp_path))
    publish(registry, jar(tmp_path, b"PK two"), "2.0.0")
    server.contents[f"/repository/raw/hotel/by-sha256/{published.sha256}.json"] = text
    with pytest.raises(BadInput, match="cannot be listed"):
        registry.find("hotel", published.sha256)


def test_what_stands_there_is_told_by_version_and_read_anew(registry: Registry, tmp_path: Path) -> None:
    assert registry.published("hotel", "1.0.0") is None
    published, _ = publish(registry, jar(tmp_path))
    assert registry.published("hotel", "1.0.0") == published
    registry.check(published)
    with pytest.raises(StoreError, match="has vanished"):
        registry.check(replace(published, sha256="0" * 64))


def test_content_that_was_changed_is_found_by_a_check(tmp_path: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    published, _ = publish(registry, jar(tmp_path))
    content = tmp_path / "registry" / published.name
    content.chmod(0o644)
    content.write_bytes(b"PK changed")
    with pytest.raises(StoreError, match="was published"):
        registry.check(published)


def test_of_two_publishers_of_one_version_one_wins_and_nothing_is_mixed(registry: Registry, tmp_path: Path) -> None:
    outcomes: list[object] = []

    def race(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            outcomes.append(publish(registry, jar(folder, b"PK %d" % number)))
        except Refused as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    won = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
    assert len(outcomes) == 4
    assert len(won) == 1
    registry.retrieve("hotel", "1.0.0", Store(tmp_path / "store"))


def test_a_half_upload_is_no_version_and_the_next_attempt_goes_on(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = registry._files.create

    def dies(name: str, source: Path) -> bool:
        if name.endswith("artifact.json"):
            raise StoreError("the connection was lost")
        return create(name, source)

    with monkeypatch.context() as patched:
        patched.setattr(registry._files, "create", dies)
        with pytest.raises(StoreError):
            publish(registry, jar(tmp_path))
    with pytest.raises((StoreError, BadInput)):
        registry.find("hotel", "1.0.0")
    assert publish(registry, jar(tmp_path))[1]


def test_words_that_would_leave_the_registry_are_refused(registry: Registry, tmp_path: Path) -> None:
    for application, version in (("../hotel", "1.0.0"), ("hotel", "1/0"), ("hotel", ".."), ("", "1.0.0")):
        with pytest.raises(BadInput):
            registry.publish(application, version, "jar", jar(tmp_path), at=AT)
    with pytest.raises(BadInput):
        registry.find("hotel", "../../etc")
    with pytest.raises(BadInput, match="kind"):
        registry.publish("hotel", "1.0.0", "war", jar(tmp_path), at=AT)
    with pytest.raises(BadInput, match="is not a file"):
        registry.publish("hotel", "1.0.0", "jar", tmp_path, at=AT)


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "has vanished"),
        (lambda path: (path.chmod(0o644), path.write_bytes(b"PK evil")), "sha256 is"),
        (lambda path: (path.chmod(0o644), path.write_bytes(b"")), "sha256 is"),
    ],
)
def test_an_artifact_that_vanished_or_changed_is_never_handed_out(tmp_path: Path, spoil: Spoil, message: str) -> None:
    registry = open_registry(f"file://{tmp_path}/registry")
    published, _ = publish(registry, jar(tmp_path))
    spoil(tmp_path / "registry" / published.name)
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError, match=message):
        registry.retrieve("hotel", "1.0.0", store)
    assert store.artifacts("hotel") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"application": "hotel"}'])
def test_a_damaged_entry_is_named(tmp_path: Path, text: str) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    publish(registry, jar(tmp_path))
    about = tmp_path / "registry" / "hotel" / "1.0.0" / "artifact.json"
    about.chmod(0o644)
    about.write_text(text)
    with pytest.raises(StoreError, match="cannot be read"):
        registry.find("hotel", "1.0.0")


def test_an_entry_of_another_version_is_not_taken_for_this_one(tmp_path: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    publish(registry, jar(tmp_path))
    (tmp_path / "registry" / "hotel" / "1.0.0").rename(tmp_path / "registry" / "hotel" / "2.0.0")
    with pytest.raises(StoreError, match="cannot be read"):
        registry.find("hotel", "2.0.0")


@pytest.mark.parametrize(
    ("location", "message"),
    [("ftp://host/x", "'ftp'"), ("htps://host/x", "'https'"), ("https://me:secret@host/x", "address contains a password")],
)
def test_an_address_that_cannot_be_used_is_bad_input(location: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        open_registry(location)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_credentials_never_cross_a_network_in_clear() -> None:
    with pytest.raises(BadInput, match="in clear"):
        open_registry("http://nexus.example.com/raw", credentials=CREDENTIALS)
    open_registry("https://nexus.example.com/raw", credentials=CREDENTIALS)


def test_wrong_credentials_are_said_without_being_shown(server: RawRepository, tmp_path: Path) -> None:
    registry = open_registry(server.url, credentials="ci:wrong-password")
    with pytest.raises(StoreError) as caught:
        publish(registry, jar(tmp_path))
    assert "401" in str(caught.value)
    assert "credentials" in str(caught.value)
    assert "wrong-password" not in str(caught.value)
    assert server.contents == {}


def test_credentials_are_not_handed_to_the_server_that_another_one_points_to(server: RawRepository) -> None:
    with raw_repository() as other:
        server.moved_to = other.url
        with pytest.raises(StoreError, match="401"):
            open_registry(server.url, credentials=CREDENTIALS).find("hotel", "1.0.0")
        assert other.authorizations == [None]


def test_a_server_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    with raw_repository() as server:
        url = server.url
    with pytest.raises(StoreError, match="Is the address right"):
        publish(open_registry(url), jar(tmp_path))


def test_a_download_that_is_cut_off_is_never_handed_out(server: RawRepository, tmp_path: Path) -> None:
    registry = open_registry(server.url, credentials=CREDENTIALS)
    published = publish(registry, jar(tmp_path, os.urandom(200_000)))[0]
    entry = registry.find("hotel", "1.0.0")
    assert entry == published
    server.is_cutting_off = True
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError):
        registry.retrieve("hotel", "1.0.0", store)
    assert store.artifacts("hotel") == []


@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_a_repository_that_refuses_to_replace_has_the_other_content(
    server: RawRepository, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.refuses_with = status
    registry = open_registry(server.url, credentials=CREDENTIALS)
    files = registry._files
    assert files.create("a/b", jar(tmp_path))
    answers = iter([False, True])  # as where another publisher comes between the question and the PUT
    monkeypatch.setattr(files, "_is_there", lambda name: next(answers))
    assert not files.create("a/b", jar(tmp_path, b"PK two"))
    assert server.contents["/repository/raw/a/b"] == b"PK one"


@pytest.mark.integration
@pytest.mark.skipif(not has_s3, reason="s3fs or moto is not installed")
def test_a_bucket_that_is_missing_is_a_store_error(s3: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no-such-bucket-here"):
        publish(open_registry("s3://no-such-bucket-here/x"), jar(tmp_path))


def test_a_published_file_is_the_one_that_was_given(tmp_path: Path) -> None:
    file = jar(tmp_path)
    assert publish(open_registry(str(tmp_path / "r")), file)[0].sha256 == sha256_of_file(file)
