"""The page on writing a runbook, followed to the letter on a lab."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from balbook.lab import loopback, needs
from tests.integration.hotel import command_environment
from tests.test_docs import commands_of, misses

PAGE = (Path(__file__).parents[2] / "runbooks" / "WRITING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(needs.missing()), reason="programs of the lab are missing")]


def test_a_newcomer_who_follows_the_page_has_a_runbook_of_their_own(tmp_path: Path) -> None:
    labs, work = tmp_path / "labs", tmp_path / "work"
    labs.mkdir(mode=0o700)
    work.mkdir()
    environ = command_environment(labs)
    try:
        *first, (_, taking_down) = BLOCKS
        for kind, block in first:
            if kind == "console":
                type_in(block, work, environ)
            else:
                edit(block, work)
        refused = balbook("balbook plan ./clear_notes.ipynb -p days=0", work, environ)
        assert "days: 0 is below 1" in refused.stdout
        assert refused.returncode == 2
        type_in(taking_down, work, environ)
    finally:
        loopback.down("default", environ=environ)
    assert len(BLOCKS) >= 6


def type_in(block: str, work: Path, environ: dict[str, str]) -> None:
    """Each command of a console block does what is shown."""
    for command, shown in commands_of(block):
        done = balbook(command, work, environ)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        assert misses(shown, done.stdout) == [], f"$ {command}\n{done.stdout}"


def balbook(command: str, work: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(shlex.split(command), cwd=work, env=environ, capture_output=True, text=True, check=False, timeout=120)


def edit(block: str, work: Path) -> None:
    """What a person does with a block: its first line says where it goes."""
    where, _, code = block.partition("\n")
    if found := re.fullmatch(r"# cell (\w+)", where):
        path = work / "clear_notes.ipynb"
        notebook = json.loads(path.read_text())
        cell = next(cell for cell in notebook["cells"] if cell["id"] == found[1])
        cell["source"] = code.rstrip("\n").splitlines(keepends=True)
        path.write_text(json.dumps(notebook, indent=1))
    else:
        path = work / where.removeprefix("# ")
        path.write_text(in_place_of_the_same_names(path.read_text(), code))


def in_place_of_the_same_names(text: str, code: str) -> str:
    """Functions of `code` replace those of the same names; the rest of it goes below the docstring."""
    new = ast.parse(code)
    lines, added = text.splitlines(keepends=True), code.splitlines(keepends=True)
    functions = {node.name: node for node in new.body if isinstance(node, ast.FunctionDef)}
    for node in sorted(ast.parse(text).body, key=lambda node: -node.lineno):
        if isinstance(node, ast.FunctionDef) and node.name in functions:
            other = functions.pop(node.name)
            lines[node.lineno - 1 : node.end_lineno] = added[other.lineno - 1 : other.end_lineno]
    assert not functions, f"nothing has the names {sorted(functions)}"
    docstring = ast.parse(text).body[0].end_lineno or 0
    rest = [line for node in new.body if not isinstance(node, ast.FunctionDef) for line in added[node.lineno - 1 : node.end_lineno]]
    return "".join([*lines[:docstring], "\n", *rest, *lines[docstring:]])
