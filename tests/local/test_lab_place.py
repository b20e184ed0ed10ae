"""Where labs live, and which one is taken for the running one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from balbook.errors import BadInput, Refused
from balbook.local import lab_place as place
from balbook.local.lab_place import State
from balbook.local.processes import identity

ALIVE = (os.getpid(), identity(os.getpid()))
GONE = (os.getpid(), "another boot:1")


def make_lab(home: Path, name: str, server: tuple[int, str] = ALIVE, *, is_up: bool = True) -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    place.write_state(folder, State("loopback", ports={"app1.ssh": 20001}, servers={"app1": server}, is_up=is_up))
    (folder / place.INVENTORY).write_text("version: 1\n")
    return folder


def environ(home: Path) -> dict[str, str]:
    return {place.VARIABLE: str(home)}


def test_labs_live_below_the_users_home_unless_the_variable_says_otherwise(tmp_path: Path) -> None:
    assert place.lab_folder("default", {"HOME": str(tmp_path)}) == tmp_path / ".local/state/balbook/labs/default"
    assert place.lab_folder("two", {"HOME": "/elsewhere", place.VARIABLE: str(tmp_path)}) == tmp_path / "two"


@pytest.mark.parametrize("name", ["", "..", "a/b", "-rf", "a b"])
def test_a_lab_name_that_is_no_single_path_component_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="lab's name"):
        place.lab_folder(name, environ(tmp_path))


def test_a_labs_home_that_cannot_be_written_in_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=place.VARIABLE):
        place.labs_home(environ(tmp_path / "my labs"))


def test_no_lab_runs_where_there_is_no_labs_home(tmp_path: Path) -> None:
    assert place.running_inventory(environ(tmp_path / "absent")) is None
    assert place.running_inventory(environ(tmp_path / "my labs")) is None


def test_the_only_running_lab_is_found_and_the_default_one_comes_first(tmp_path: Path) -> None:
    blue = make_lab(tmp_path, "blue")
    (tmp_path / ".lock").touch()
    assert place.running_inventory(environ(tmp_path)) == blue / "inventory.yaml"
    default = make_lab(tmp_path, "default")
    assert place.running_inventory(environ(tmp_path)) == default / "inventory.yaml"


def test_of_several_labs_none_is_guessed(tmp_path: Path) -> None:
    make_lab(tmp_path, "blue")
    make_lab(tmp_path, "green")
    assert place.running_inventory(environ(tmp_path)) is None


def test_a_lab_whose_servers_are_gone_or_that_never_came_up_does_not_run(tmp_path: Path) -> None:
    make_lab(tmp_path, "rebooted", GONE)
    make_lab(tmp_path, "interrupted", is_up=False)
    assert place.running_labs(environ(tmp_path)) == []


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State("loopback", ports={"lb1.listen": 20002}, servers={"lb1": (7, "b:8")}, is_up=True)
    place.write_state(tmp_path, state)
    assert place.read_state(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == [place.STATE]


def test_a_damaged_state_is_that_of_an_interrupted_start(tmp_path: Path) -> None:
    (tmp_path / place.STATE).write_text("{")
    state = place.read_state(tmp_path)
    assert state is not None
    assert not state.is_up


def test_a_state_of_a_newer_balbook_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / place.STATE).write_text(json.dumps({"version": place.VERSION + 1}))
    with pytest.raises(Refused, match="Install a newer balbook"):
        place.read_state(tmp_path)


def test_a_folder_that_is_no_labs_is_never_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    place.require_lab_or_nothing(tmp_path / "thesis")  # empty: a start that was interrupted at once
    (tmp_path / "thesis" / "chapter1.tex").touch()
    with pytest.raises(Refused, match="not the folder of a lab"):
        place.require_lab_or_nothing(tmp_path / "thesis")


def test_a_link_is_never_followed_to_what_would_be_removed(tmp_path: Path) -> None:
    make_lab(tmp_path, "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Refused, match="link"):
        place.require_lab_or_nothing(tmp_path / "link")
    place.require_lab_or_nothing(tmp_path / "real")


def test_looking_for_the_running_lab_loads_nothing_heavy() -> None:
    asked = "import sys, balbook.local.lab_place as p; print(*{'yaml', 'pydantic', 'paramiko', 'pandas', 'jinja2'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=Path(place.__file__).parents[2])
    assert shown.stdout.strip() == ""
