"""The base image of VMs: when it is made, made anew, kept or refused; nothing is installed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from balbook.errors import Failed, Refused
from balbook.lab import vm_image

Made = list[str]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images lie, on a machine without a lab."""
    (tmp_path / "mounts").write_text("")
    monkeypatch.setattr(vm_image, "MOUNTS", tmp_path / "mounts")
    return tmp_path / "labs" / ".base"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The names of the drafts that were made."""
    found: Made = []

    def make(draft: Path, source: str, say: object) -> None:
        found.append(draft.name)
        (draft / "root" / "etc").mkdir(parents=True)
        (draft / "root" / "etc" / "hosts").write_text("localhost")

    monkeypatch.setattr(vm_image, "_make", make)
    return found


def provide(base: Path, **in_use: str) -> Path:
    return vm_image.provide(base, lambda line: None, in_use)


def mount(base: Path, lab: str, image: str, option: str = "lowerdir") -> None:
    """A host of the lab stands on the image."""
    place = f"{base.parent}/{lab}/hosts/app1/root"
    line = f"bb-app1 {place} overlay rw,relatime,{option}={base / image}/root,upperdir=/u,workdir=/w 0 0\n"
    with vm_image.MOUNTS.open("a") as mounts:
        mounts.write(f"{line}proc /proc proc rw 0 0\n")


def other_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm_image, "recipe", lambda: {"version": 0, "mirror": ""})


def test_it_is_made_once(base: Path, made: Made) -> None:
    image = provide(base)
    assert provide(base) == image
    assert made == [f"{image.name}.part"]
    assert [p.name for p in base.iterdir()] == [image.name]


def test_one_of_another_recipe_goes_unless_a_lab_stands_on_it(base: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    old = provide(base)
    other_recipe(monkeypatch)
    mount(base, "unreadable", old.name)
    assert provide(base) != old
    assert old.exists(), "a host stands on it, whatever its lab says"
    vm_image.MOUNTS.write_text("")
    provide(base, default=old.name)
    assert old.exists(), "its lab says so"
    new = provide(base, default="")
    assert [p.name for p in base.iterdir()] == [new.name]
    assert len(made) == 2


def test_a_damaged_one_is_made_anew(base: Path, made: Made) -> None:
    image = provide(base)
    (image / "root" / "etc" / "hosts").write_text("another")
    assert provide(base, default="") == image
    assert len(made) == 2
    assert vm_image.is_whole(image)


@pytest.mark.parametrize("option", ["lowerdir", "lowerdir+"])
def test_a_damaged_one_that_labs_stand_on_is_left_to_them(base: Path, made: Made, option: str) -> None:
    image = provide(base)
    (image / "root" / "stray").touch()
    mount(base, "unreadable", image.name, option)
    mount(base, "elsewhere", "0123456789abcdef")
    with pytest.raises(Refused, match="hosts of lab default, unreadable use") as caught:
        provide(base, default=image.name, second="")
    assert "balbook lab down" in caught.value.advice
    assert (image / "root" / "stray").exists()
    assert len(made) == 1


def test_labs_of_another_home_that_share_the_images_count_too(base: Path, made: Made, tmp_path: Path) -> None:
    image = provide(base)
    (image / "root" / "stray").touch()
    other = tmp_path / "other" / ".base"
    other.parent.mkdir()
    other.symlink_to(base)
    mount(other, "default", image.name)
    with pytest.raises(Refused, match=f"of lab {tmp_path}/other/default use"):
        provide(base)


def test_a_build_that_fails_leaves_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(draft: Path, source: str, say: object) -> None:
        (draft / "root").mkdir()
        raise Failed("no mirror")

    monkeypatch.setattr(vm_image, "_make", fail)
    with pytest.raises(Failed, match="no mirror"):
        provide(base)
    assert list(base.iterdir()) == []


def relink(root: Path) -> None:
    seen = os.lstat(root / "link")
    (root / "link").unlink()
    (root / "link").symlink_to("one.sh")
    os.utime(root / "link", ns=(seen.st_atime_ns, seen.st_mtime_ns), follow_symlinks=False)


def regroup(root: Path) -> None:
    groups = {1, *os.getgroups()} if os.geteuid() == 0 else set(os.getgroups())
    others = sorted(groups - {os.lstat(root / "file").st_gid})
    if not others:
        pytest.skip("only who is in two groups can give a file to another")
    os.chown(root / "file", -1, others[0])


@pytest.mark.parametrize("change", [relink, regroup])
def test_another_group_or_target_of_a_link_is_another_image(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("two.sh")
    seen = tmp_path.stat()
    before = vm_image.contents(tmp_path)
    change(tmp_path)
    os.utime(tmp_path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert vm_image.contents(tmp_path) != before


def test_a_build_that_hangs_without_a_word_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm_image, "UNSHARED", ())
    monkeypatch.setattr(vm_image, "BUILD_WITHIN_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Failed, match=r"sleep did not end within 0\.3 s"):
        vm_image._followed(["sleep", "20"], tmp_path / "log", lambda line: None)
    assert time.monotonic() - began < 15
    with pytest.raises(Failed, match="sh ended with status 3:\nno mirror"):
        vm_image._followed(["sh", "-c", "echo no mirror; exit 3"], tmp_path / "log", lambda line: None)
