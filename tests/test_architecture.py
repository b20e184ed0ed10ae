"""The layers: an import only ever points down, vendors stay behind their fences, modules stay short."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import balbook
from balbook.cli import COMMANDS

ROOT = Path(balbook.__file__).parent
# Top to bottom; rooms of one row may use each other, and a row has three at most.
ROWS = (
    "cli",
    "jupyter schedule report",
    "run",
    "procedures",
    "engine",
    "record artifacts probe",
    "plan transport",
    "commands facts",
    "inventory secrets notebook",
    "show local",
    "errors",
)
EVERYWHERE = ("authoring", "lab", "testing", "__main__")
"""These may use everything; only the CLI and each other use them."""
MIRRORED = ("cli", "procedures", "commands", "facts")
"""Rooms whose modules bear the name of what they are about: a command, a runbook, a program, a fact."""
FENCES = {
    "paramiko": ("transport",),
    "papermill": ("run/headless",),
    "pandas": ("report",),
    "matplotlib": ("report",),
    "ipywidgets": ("jupyter/forms",),
    "httpx": ("local/http",),
    "markupsafe": ("show/markup",),
    "psutil": ("local/processes",),
    "argcomplete": ("cli/__init__",),
    "pydantic": ("inventory", "local/typed_json", "record/lines"),
    "nbformat": ("notebook/notebook_file",),
}
EVENT_NAMES = ("record/event", "record/statement", "record/executed", "jupyter/forms/live", "engine/downtime")
"""Where the name of an event is told to a person, or `event` is a move's."""
LONGEST = 330

RANK = {name: len(ROWS) - number for number, row in enumerate(ROWS) for name in row.split()}
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix(): path for path in sorted(ROOT.rglob("*.py")) if "_data" not in path.parts}


def top(module: str) -> str:
    """The name of a module in the layers: that of its file or folder right below `balbook`."""
    return module.split("/")[0]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, read once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parsed(path)))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in it, with the line."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "balbook":
            yield from ((f"balbook.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield node.module or "", node.lineno


def arrows() -> Iterator[tuple[str, str, str]]:
    """`place`, module and used module, of every import of balbook's own."""
    for module, path in MODULES.items():
        for name, line in imported(path):
            parts = name.split(".")
            if parts[0] == "balbook" and len(parts) > 1 and parts[1] != "__version__":
                yield f"balbook/{module}.py:{line}", top(module), parts[1]


def is_allowed(module: str, used: str) -> bool:
    if module in EVERYWHERE or used == module:
        return True
    if used in EVERYWHERE:
        return module == "cli"
    return RANK[used] <= RANK[module]


def test_a_row_has_three_rooms_at_most() -> None:
    assert [row for row in ROWS if len(row.split()) > 3] == []


def test_every_module_is_in_a_room() -> None:
    assert {top(module) for module in MODULES} - set(RANK) - {*EVERYWHERE, "__init__"} == set()


def test_no_import_points_up() -> None:
    assert [f"{place} uses {used}" for place, module, used in arrows() if module != "__init__" and not is_allowed(module, used)] == []


@pytest.mark.parametrize("vendor", FENCES)
def test_a_vendor_stays_behind_its_fence(vendor: str) -> None:
    users = {module for module, path in MODULES.items() for name, _ in imported(path) if name.split(".")[0] == vendor}
    assert [user for user in sorted(users) if top(user) not in EVERYWHERE and not user.startswith(FENCES[vendor])] == []


@pytest.mark.parametrize("module", [module for module in MODULES if top(module) in ("engine", "transport")])
def test_what_applies_a_plan_knows_neither_ballerina_nor_the_lab(module: str) -> None:
    assert re.findall(r".*(?i:ballerina|\bbal\b|\blab\b|balbook_lab).*", MODULES[module].read_text(encoding="utf-8")) == []


def test_the_test_itself_sees_arrows_and_vendors() -> None:
    assert ("run", "record") in {(module, used) for _, module, used in arrows()}
    assert "papermill" in {name for name, _ in imported(MODULES["run/headless"])}
    assert not is_allowed("plan", "engine")
    assert not is_allowed("engine", "lab")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_not_too_long(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "helpers", "common", "manager"}
    assert [m for m in MODULES if drawers & set(m.split("/")) and m != "cli/common"] == []


def test_no_two_modules_have_one_name() -> None:
    names = [m.split("/")[-1] for m in MODULES if (not m.endswith("__") and top(m) not in MIRRORED) or m.startswith("procedures/parts/")]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_a_file_of_the_command_line_is_a_command() -> None:
    files = {m.removeprefix("cli/").replace("_", "-") for m in MODULES if m.startswith("cli/")} - {"--init--", "common"}
    assert files == set(COMMANDS)


@pytest.mark.parametrize("room", [m for m in MODULES if m.endswith("__init__") and m.count("/") == 1])
def test_a_room_says_what_happens_in_it_and_what_does_not(room: str) -> None:
    said = ast.get_docstring(parsed(MODULES[room])) or ""
    assert len(said.splitlines()) >= 3
    assert re.search(r"\b(nothing|no|nobody|never|only)\b", said, re.I)


def test_nothing_stands_beside_the_rooms() -> None:
    assert {m for m in MODULES if "/" not in m} == {"__init__", "__main__", "errors"}


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(("record/lines", "record/journal", "record/chain", "lab/"))])
def test_nobody_else_reads_the_keys_of_an_event_or_matches_its_name(module: str) -> None:
    found = []
    for node in nodes(MODULES[module]):
        is_key = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == "event"
        is_got = isinstance(node, ast.Call) and any(isinstance(arg, ast.Constant) and arg.value == "event" for arg in node.args)
        is_named = isinstance(node, ast.Attribute) and node.attr == "event" and module not in EVENT_NAMES
        found += [f"balbook/{module}.py:{node.lineno}"] if is_key or is_got or is_named else []
    assert found == []


def test_a_run_is_opened_and_closed_in_one_place_each() -> None:
    made = {
        (module, node.func.id)
        for module, path in MODULES.items()
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("RunOpened", "RunClosed")
    }
    assert made == {("run/folder", "RunOpened"), ("run/closing", "RunClosed")}
