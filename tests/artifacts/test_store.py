"""The artifact store: versions that never change."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balbook.artifacts.store import Artifact, Store
from balbook.errors import BadInput, Refused, StoreError
from balbook.local.digests import sha256_of_file

AT = datetime(2026, 1, 31, tzinfo=UTC)


def publish(store: Store, version: str, content: str = "", minutes: int = 0) -> tuple[Artifact, bool]:
    file = store.root.with_name(f"{version}-{threading.get_ident()}.jar")
    file.write_text(content or version)
    return store.publish("hotel", version, "jar", file, at=AT + timedelta(minutes=minutes), packages={"acme/rooms": version})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_is_published_is_found_with_all_that_was_said_of_it(store: Store) -> None:
    artifact, is_new = publish(store, "1.0.0")
    assert is_new
    assert artifact == store.find("hotel", "1.0.0")
    assert (artifact.sha256, artifact.bytes, artifact.packages) == (sha256_of_file(artifact.path), 5, {"acme/rooms": "1.0.0"})
    store.check(artifact)


def test_latest_is_what_was_published_last_not_the_greatest_version(store: Store) -> None:
    publish(store, "2.0.0")
    publish(store, "1.9.9", minutes=1)
    assert store.find("hotel").version == "1.9.9"


def test_a_release_is_found_by_the_beginning_of_its_sha256(store: Store) -> None:
    artifact, _ = publish(store, "1.0.0")
    assert store.find("hotel", artifact.sha256[:12]) == artifact
    with pytest.raises(BadInput):
        store.find("hotel", artifact.sha256[:11])


def test_the_same_content_again_changes_nothing(store: Store) -> None:
    first, _ = publish(store, "1.0.0")
    assert publish(store, "1.0.0", minutes=9) == (first, False)


def test_other_content_under_the_same_version_is_refused(store: Store) -> None:
    first, _ = publish(store, "1.0.0")
    with pytest.raises(Refused, match="already published"):
        publish(store, "1.0.0", content="something else")
    store.check(first)


def race(store: Store, contents: list[str], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Publishers that all have seen that nothing is there, before the first of them puts its draft in place."""
    ready = threading.Barrier(len(contents), timeout=20)
    place = Store._place
    found: list[object] = []

    def place_together(*args: object) -> object:
        ready.wait()
        return place(*args)  # type: ignore[arg-type]

    def one(content: str) -> None:
        try:
            found.append(publish(store, "1.0.0", content))
        except (Refused, StoreError) as exc:
            found.append(exc)

    monkeypatch.setattr(Store, "_place", place_together)
    threads = [threading.Thread(target=one, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def drafts(store: Store) -> list[Path]:
    return list((store.root / "hotel").glob(".*"))


def test_of_publishers_of_the_same_content_at_once_one_wins_and_all_succeed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = race(store, ["same"] * 4, monkeypatch)
    assert sorted(is_new for _, is_new in found) == [False, False, False, True]  # type: ignore[misc]
    assert drafts(store) == []


def test_of_publishers_of_other_content_at_once_one_wins_and_the_other_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = race(store, ["one", "other"], monkeypatch)
    assert sorted(type(f).__name__ for f in found) == ["Refused", "tuple"]
    store.check(store.find("hotel"))
    assert drafts(store) == []


def test_the_draft_of_a_publisher_that_was_killed_is_no_artifact(store: Store) -> None:
    artifact, _ = publish(store, "1.0.0")
    artifact.path.parent.rename(store.root / "hotel" / ".1.0.0.x7f3")
    with pytest.raises(StoreError, match="no artifact"):
        store.find("hotel")


def test_an_artifact_that_has_vanished_is_named(store: Store) -> None:
    artifact, _ = publish(store, "1.0.0")
    artifact.path.unlink()
    with pytest.raises(StoreError, match="vanished"):
        store.check(artifact)


def test_an_artifact_that_was_changed_is_named_with_both_digests(store: Store) -> None:
    artifact, _ = publish(store, "1.0.0")
    artifact.path.write_text("evil")
    with pytest.raises(StoreError) as caught:
        store.check(artifact)
    assert artifact.sha256 in str(caught.value)
    assert sha256_of_file(artifact.path) in str(caught.value)


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("balbook.artifacts.store.shutil.copyfile", full)
    with pytest.raises(StoreError, match="No space left"):
        publish(store, "1.0.0")
    assert list((store.root / "hotel").iterdir()) == []


def test_a_file_that_changes_while_it_is_copied_is_not_published(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.artifacts.store.shutil.copyfile", lambda source, target: Path(target).write_text("half"))
    with pytest.raises(StoreError, match="changed while"):
        publish(store, "1.0.0")
    assert list((store.root / "hotel").iterdir()) == []


@pytest.mark.parametrize("name", ["../hotel", "a/b", "", "-rf", "a b", "a;b"])
def test_a_hostile_name_touches_nothing(store: Store, name: str, tmp_path: Path) -> None:
    file = tmp_path / "app.jar"
    file.write_text("x")
    for application, version in ((name, "1.0.0"), ("hotel", name)):
        with pytest.raises(BadInput):
            store.publish(application, version, "jar", file, at=AT)
    with pytest.raises(BadInput):
        store.artifacts(name)
    assert not store.root.exists()


def test_an_unknown_release_is_answered_with_the_nearest(store: Store) -> None:
    publish(store, "1.10.0")
    with pytest.raises(BadInput) as caught:
        store.find("hotel", "1.10.1")
    assert "1.10.0" in caught.value.advice


def test_a_damaged_entry_is_named(store: Store) -> None:
    artifact, _ = publish(store, "1.0.0")
    (artifact.path.parent / "artifact.json").write_text("{")
    with pytest.raises(StoreError, match=r"artifact\.json cannot be read"):
        store.find("hotel")


def test_a_store_that_cannot_be_reached_is_said_with_what_to_do(store: Store, tmp_path: Path) -> None:
    artifact, _ = publish(store, "1.0.0")
    (tmp_path / "file").touch()
    elsewhere = Store(tmp_path / "file" / "store")
    for act in (
        lambda: elsewhere.artifacts("hotel"),
        lambda: publish_in(elsewhere, tmp_path / "1.0.0.jar"),
        lambda: store.check(dataclasses.replace(artifact, path=store.root)),
    ):
        with pytest.raises(StoreError) as refused:
            act()
        assert "`artifacts` in the inventory names the store" in refused.value.advice


def publish_in(store: Store, file: Path) -> object:
    file.write_text("1.0.0")
    return store.publish("hotel", "1.0.0", "jar", file, at=AT)


@pytest.mark.parametrize("refused", ["iterdir", "exists", "mkdir"])
def test_a_store_that_the_file_system_keeps_to_itself_raises_no_error_of_pythons(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def refuse(path: Path, *args: object, **options: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    file = tmp_path / "1.0.0.jar"
    file.write_text("1.0.0")
    if refused != "mkdir":
        publish(store, "1.0.0")
    monkeypatch.setattr(Path, refused, refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        store.publish("hotel", "2.0.0", "jar", file, at=AT) if refused == "mkdir" else store.artifacts("hotel")
