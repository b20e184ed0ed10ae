"""Files appear whole or not at all, under no name but their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from balbook.local.atomic_files import create, creating, new_folder, replacing, write_bytes, write_text


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_text(path, "Übergabe\n")
    write_bytes(path, b"two")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"two", [path])


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o644])
def test_a_mode_is_set_whatever_the_umask_is(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "given", "", mode=mode)
        write_text(tmp_path / "usual", "")
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "given"), mode_of(tmp_path / "usual")) == (mode, 0o600)


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.tar.gz"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half of it" * (1 // 0))
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])


def test_a_name_that_is_taken_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "00000001.json"
    assert create(path, b"first", mode=0o444)
    assert not create(path, b"second")
    with pytest.raises(FileExistsError), creating(path) as file:
        file.write(b"third")
    assert (path.read_bytes(), mode_of(path), list(tmp_path.iterdir())) == (b"first", 0o444, [path])


def test_an_error_names_the_file_and_not_its_private_name(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "plan.json"
    with pytest.raises(FileNotFoundError) as refused:
        write_text(path, "")
    assert refused.value.filename == str(path)


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "hotel" / "1.0.0"
    with pytest.raises(FileNotFoundError), new_folder(place) as draft:
        (draft / "hotel.jar" / "half").write_text("half")
    assert list(place.parent.iterdir()) == []
    with new_folder(place, mode=0o755) as draft:
        (draft / "hotel.jar").write_text("jar")
    assert (mode_of(place), (place / "hotel.jar").read_text()) == (0o755, "jar")
    with pytest.raises(OSError, match="not empty"), new_folder(place) as draft:
        (draft / "hotel.jar").write_text("another")
    assert (list(place.parent.iterdir()), (place / "hotel.jar").read_text()) == ([place], "jar")


def test_it_is_on_disk_before_it_has_its_name_and_the_name_is_before_anything_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    write_text(tmp_path / "plan.json", "{}")
    assert seen == ["flushed a file", "named plan.json", f"flushed {tmp_path.name}"]
    seen.clear()
    write_text(tmp_path / "progress.json", "{}", is_durable=False)
    assert seen == ["named progress.json"]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed and named from now on, in order."""
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flush(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}")
        seen.append(f"flushed {path.readlink().name}" if path.is_dir() else "flushed a file")
        fsync(fd)

    def name(source: Path, target: Path) -> None:
        replace(source, target)
        seen.append(f"named {target.name}")

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", name)
    return seen
